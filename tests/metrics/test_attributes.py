"""Attributes of pictures: values known by hand, another implementation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from jaxinv.metrics.attributes import ATTRIBUTES, attribute_scores, attributes

# Of a picture 40 px high and 80 px wide: black, with a white box in rows 10:30, columns 50:60.
BOX = {
    "luma": 255 * 200 / 3200,
    "contrast": 255 * np.sqrt(1 / 16 * 15 / 16),
    "centroid_x": 55 / 80,
    "centroid_y": 0.5,
    "scale": np.sqrt(((400 - 1) / 12 / 1600 + (100 - 1) / 12 / 6400) / 2),
    "aspect": np.sqrt(((100 - 1) / 6400) / ((400 - 1) / 1600)),
    "asymmetry": 255 * np.sqrt(2 / 16),
}


def box() -> np.ndarray:
    picture = np.zeros((1, 40, 80, 3), np.uint8)
    picture[:, 10:30, 50:60] = 255
    return picture


@pytest.mark.parametrize("name", BOX)
def test_a_white_box_has_the_attributes_known_by_hand(name: str) -> None:
    assert attribute_scores(name, box()) == pytest.approx(BOX[name], rel=1e-12)


def test_colours_are_those_of_scikit_image() -> None:
    color = pytest.importorskip("skimage.color")
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 7, 3)).astype(np.uint8)
    expected = color.rgb2lab(images).mean((1, 2))
    for name, index in (("lab_a", 1), ("lab_b", 2)):
        np.testing.assert_allclose(attribute_scores(name, images), expected[:, index], atol=0.02)


def test_sharpness_falls_with_blur() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    soft = ((sharp[:, 1:].astype(int) + sharp[:, :-1]) // 2).astype(np.uint8)
    assert attribute_scores("sharpness", soft) < attribute_scores("sharpness", sharp)
    assert attribute_scores("sharpness", np.full((1, 5, 5, 3), 9, np.uint8)) == 0


def test_a_black_picture_has_a_centre_and_finite_numbers() -> None:
    found = attributes(np.zeros((2, 4, 4, 3), np.uint8), tuple(BOX))
    assert found["centroid_x"].tolist() == found["centroid_y"].tolist() == [0.5, 0.5]
    assert all(
        np.isfinite(values).all() and values.dtype == np.float64 for values in found.values()
    )


def test_several_attributes_are_each_alone() -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 20, 30, 3)).astype(np.uint8)
    for name, values in attributes(images, tuple(BOX)).items():
        np.testing.assert_array_equal(values, attribute_scores(name, images))


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="attribute 'beauty'; allowed: luma, "):
        attribute_scores("beauty", box())
    with pytest.raises(ValueError, match="uint8"):
        attribute_scores("luma", box() / 255)
    with pytest.raises(ValueError, match="names"):
        attributes(box(), "luma")  # pyright: ignore[reportArgumentType]
    assert all(one.title for one in ATTRIBUTES.values())
