"""Attributes of pictures: values known by hand, another implementation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jaxinv.metrics import attributes as table
from jaxinv.metrics.attributes import ATTRIBUTES, attribute_scores, attributes
from jaxinv.metrics.face_geometry import HEAD, POINTS, eyes_open, head_angles, mouth_open, smile
from tests.weights import SHARED, need

FACES = [name for name, one in ATTRIBUTES.items() if one.needs]

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


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_a_line_across_the_bridge_of_the_nose_is_seen_as_glasses(side: int) -> None:
    faces = np.full((4, side, side, 3), 180, np.uint8)
    thick = max(2, side // 128)  # twice as far as a step reaches: its edges are whole
    top = round(0.48 * side)
    faces[1, top : top + thick] = 80  # from ear to ear
    faces[2, top : top + thick, : round(0.47 * side)] = 80  # only up to the nose
    faces[3, round(0.3 * side) : round(0.31 * side) + 1] = 80  # across the forehead
    assert attribute_scores("glasses", faces) == pytest.approx([0, 50, 0, 0], abs=1e-9)


def test_sharpness_falls_with_blur() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    soft = ((sharp[:, 1:].astype(int) + sharp[:, :-1]) // 2).astype(np.uint8)
    assert attribute_scores("sharpness", soft) < attribute_scores("sharpness", sharp)
    assert attribute_scores("sharpness", np.full((1, 5, 5, 3), 9, np.uint8)) == 0


@pytest.mark.parametrize("amounts", [(8, 0, 0), (0, 6, 0), (0, 0, 10), (6, 0, 8)])
def test_checkerboards_have_the_amplitude_that_was_put_in(amounts: tuple[int, int, int]) -> None:
    sign = (-1) ** np.arange(48)
    down, across = sign[:, None] * np.ones(48, int), sign[None] * np.ones((40, 1), int)
    waves = (down[:40], across, down[:40] * across)
    noise = np.random.default_rng(0).integers(-20, 21, (40, 48))
    values = 128 + np.einsum("a,ahw->hw", amounts, np.stack(waves))
    images = np.repeat(values[None, ..., None], 3, 3).astype(np.uint8)
    found = attribute_scores("checkerboard", images)
    assert found == pytest.approx(np.linalg.norm(amounts), abs=1e-9)
    grey = np.repeat((128 + noise)[None, ..., None], 3, 3).astype(np.uint8)
    assert attribute_scores("checkerboard", grey) < 2.5
    assert attribute_scores("checkerboard", np.full((1, 15, 40, 3), 7, np.uint8)) == 0


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


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Landmarks of the rough head, turned; the other landmarks are zero."""
    a, b, c = np.radians([yaw, pitch, roll])
    around_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    around_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    landmarks = np.zeros((68, 2))
    landmarks[list(POINTS)] = 0.3 * (HEAD @ (around_z @ around_x @ around_y).T)[:, :2] + (70, 90)
    return landmarks


@pytest.mark.parametrize("angle", [-35.0, 0.0, 20.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turned_head_has_its_angle(axis: int, angle: float) -> None:
    angles = [0.0, 0.0, 0.0]
    angles[axis] = angle
    assert head_angles(turned(*angles)) == pytest.approx(angles, abs=1e-6)


def test_eyes_and_mouth_are_measured_by_their_widths() -> None:
    landmarks = np.zeros((68, 2))
    for start in (36, 42):
        left = 5 * (start - 36)
        corners = [(0, 0), (3, -2), (6, -2), (9, 0), (6, 2), (3, 2)]
        landmarks[start : start + 6] = [(x + left, y) for x, y in corners]
    landmarks[48], landmarks[54], landmarks[62], landmarks[66] = (0, 9), (20, 9), (9, 8), (9, 13)
    assert eyes_open(landmarks) == pytest.approx(4 / 9)
    assert mouth_open(landmarks) == pytest.approx(5 / 20)
    assert smile(landmarks) == pytest.approx(20 / 30)


def test_faces_need_pulled_nets(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="jaxinv pull attributes"):
        attribute_scores("age", box())


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Faces at 256 px: of an old man, and of a young woman who smiles, looks to the left."""
    need("attributes")
    files = [SHARED / "data" / "faces" / f"{name}.jpg" for name in ("158", "499", "930")]
    if not files[0].is_file():
        pytest.skip("needs the faces of the shared folder")
    opened = [Image.open(file).convert("RGB").resize((256, 256)) for file in files]
    return np.stack([np.asarray(picture) for picture in opened])


@pytest.mark.slow
def test_faces_are_read_as_a_person_would(faces: np.ndarray) -> None:
    found = attributes(faces, tuple(FACES))
    assert found["age"][0] > 55 > 40 > found["age"][1] > 18
    assert found["male"][0] > 0.9 > 0.5 > found["male"][1]
    assert found["happy"][0] < 0.2 < 0.8 < found["happy"][1]
    assert found["smile"][1] > found["smile"][0]
    assert found["yaw"][1] < -10 < 10 < found["yaw"][2]
    shares = sum(found[name] for name in table.EXPRESSIONS)
    np.testing.assert_allclose(shares, 1, atol=1e-5)
    mirrored = attributes(faces[:, :, ::-1].copy(), ("yaw", "age"))
    np.testing.assert_allclose(mirrored["yaw"], -found["yaw"], atol=12)
    np.testing.assert_allclose(mirrored["age"], found["age"], atol=10)
