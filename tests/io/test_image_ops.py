"""Number formats, resizing, square fits and grids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxinv.io import images
from jaxinv.io.image_ops import from_uint8, to_uint8
from jaxinv.io.images import ImageError, read_photo
from tests import awkward

N = 48
FACE = awkward.smooth_face(N)
COLOUR = from_uint8(FACE)
DISC = (awkward.alpha_disc(N) / 255).astype(np.float32)


def read(data: bytes, tmp_path: Path, **options) -> images.Photo:
    path = tmp_path / "picture"
    path.write_bytes(data)
    return read_photo(path, **options)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    return awkward.encoded(image, kind, **options)


def off(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference in 8-bit levels."""
    return float(np.abs(got - wanted).max() * 127.5)


def test_every_byte_survives_the_round_trip():
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_uint8(from_uint8(levels)), levels)
    assert from_uint8(levels)[[0, -1]].tolist() == [-1, 1]
    assert to_uint8(np.array([-9, -1, 1, np.inf])).tolist() == [0, 0, 255, 255]
    assert to_uint8(np.array([1.6, 2.4, 2.6]) / 127.5 - 1).tolist() == [2, 2, 3]
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(np.array([np.nan]))
    with pytest.raises(ValueError, match="float32"):
        from_uint8(np.zeros(3, np.float32))


def test_resize_down_is_the_exact_area_average():
    x = from_uint8(FACE)
    half = x.reshape(24, 2, 24, 2, 3).mean((1, 3))
    assert np.allclose(images.resize(x, 24), half, atol=1e-6)
    fine = np.repeat(np.repeat(x.astype(np.float64), 5, 0), 5, 1)
    by_hand = fine.reshape(5, 48, 5, 48, 3).mean((1, 3))
    assert np.allclose(images.resize(x, 5), by_hand, atol=1e-6)
    assert np.array_equal(images.resize(FACE, N), x)


def test_resize_up_interpolates_within_the_range():
    ramp = np.linspace(-0.5, 0.5, 32, dtype=np.float32)[None, :, None].repeat(32, 0).repeat(3, 2)
    large = images.resize(ramp, 64)
    centres = np.interp((np.arange(64) + 0.5) / 2 - 0.5, np.arange(32), ramp[0, :, 0])
    assert np.allclose(large[30, 8:-8, 0], centres[8:-8], atol=1e-3)
    steps = np.where(np.indices((16, 16)).sum(0) % 2, 1.0, -1.0)[..., None].repeat(3, -1)
    assert np.abs(images.resize(steps.astype(np.float32), 50)).max() == 1
    with pytest.raises(ValueError, match=r"\[4, 5, 3\]"):
        images.resize(np.zeros((4, 5, 3), np.float32), 2)


def test_grid_lays_out_row_by_row():
    tiles = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 4, 3), np.uint8)
    sheet = images.grid(tiles, 2)
    assert sheet.shape == (4, 8, 3)
    assert sheet[::2, ::4, 0].tolist() == [[0, 1], [2, 255]]
    assert images.grid(tiles.astype(np.float32), 2)[-1, -1, 0] == 1
    with pytest.raises(ValueError, match="columns"):
        images.grid(tiles, 0)


WIDE = np.pad(FACE, ((0, 0), (16, 16), (0, 0)))


def test_fit_crop_keeps_the_centre_and_says_so(tmp_path):
    photo = read(encoded(Image.fromarray(WIDE)), tmp_path)
    assert off(photo.pixels, COLOUR) < 0.01
    assert photo.warnings == ("80x48 px cut to its central square",)
    quad = [[16, 0], [16, 48], [64, 48], [64, 0]]
    assert photo.transform == {
        "kind": "fit-crop", "quad": quad, "source_size": [80, 48], "size": 48
    }  # fmt: skip
    json.dumps(photo.transform)


def test_fit_pad_masks_what_it_adds(tmp_path):
    photo = read(encoded(Image.fromarray(WIDE)), tmp_path, fit="pad", background=0.0)
    assert photo.pixels.shape == (80, 80, 3)
    assert off(photo.pixels[16:64], from_uint8(WIDE)) < 0.01
    assert (photo.pixels[:16] == -1).all()
    assert photo.mask is not None
    assert photo.mask[16:64].min() == 1
    assert photo.mask[:16].max() == photo.mask[64:].max() == 0
    assert photo.transform is not None
    assert photo.transform["quad"] == [[0, -16], [0, 64], [80, 64], [80, -16]]


def test_fit_stretch_shows_all(tmp_path):
    doubled = np.repeat(FACE, 2, axis=0)
    photo = read(encoded(Image.fromarray(doubled)), tmp_path, fit="stretch")
    assert off(photo.pixels, COLOUR) < 0.01
    assert photo.transform is not None
    assert photo.transform["quad"] == [[0, 0], [0, 96], [48, 96], [48, 0]]
    assert photo.warnings == ("48x96 px stretched to a square",)


def test_fit_refuse_tells_what_to_do(tmp_path):
    with pytest.raises(ImageError, match="80x48 px is not square: use fit crop, pad or stretch"):
        read(encoded(Image.fromarray(WIDE)), tmp_path, fit="refuse")
    square = read(encoded(Image.fromarray(FACE)), tmp_path, fit="refuse")
    assert square.transform is not None
    assert square.transform["kind"] == "whole"


def test_fit_keeps_the_alpha_with_its_pixels(tmp_path):
    picture = np.dstack([WIDE, np.pad(awkward.alpha_disc(N), ((0, 0), (16, 16)))])
    data = encoded(Image.fromarray(picture))
    cut, padded = read(data, tmp_path), read(data, tmp_path, fit="pad")
    stretched = read(data, tmp_path, fit="stretch")
    assert cut.mask is not None and padded.mask is not None and stretched.mask is not None  # noqa: PT018
    assert np.array_equal(cut.mask, DISC)
    assert np.array_equal(padded.mask[16:64, 16:64], DISC)
    assert np.isclose(padded.mask.sum(), DISC.sum())
    assert np.isclose(stretched.mask.mean(), DISC.sum() / (48 * 80), atol=1e-5)


def test_enlarging_warns_and_reducing_does_not(tmp_path):
    data = encoded(Image.fromarray(FACE).convert("RGBA"))
    assert read(data, tmp_path, size=24).warnings == ()
    large = read(data, tmp_path, size=96)
    assert large.warnings == ("enlarged from 48 to 96 px, which adds no detail",)
    assert large.pixels.shape == (96, 96, 3)
    assert large.transform is not None
    assert large.transform["size"] == 96


def test_mask_follows_the_size(tmp_path):
    picture = Image.fromarray(FACE).convert("RGBA")
    picture.putalpha(Image.fromarray(awkward.alpha_disc(N)))
    for size in (24, 96):
        mask = read(encoded(picture), tmp_path, size=size).mask
        assert mask is not None
        assert mask.shape == (size, size)
        assert mask.min() >= 0
        assert mask.max() <= 1
        assert np.isclose(mask.mean(), DISC.mean(), atol=0.02)


@pytest.mark.parametrize("options", [{"size": 0}, {"fit": "squash"}, {"background": 2.0}])
def test_wrong_options_are_named(options, tmp_path):
    with pytest.raises(ValueError, match=next(iter(options))) as info:
        read(encoded(Image.fromarray(FACE)), tmp_path, **options)
    assert not isinstance(info.value, ImageError)
