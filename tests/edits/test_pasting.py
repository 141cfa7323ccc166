"""Pictures put back into photographs, and edits behind masks."""

from __future__ import annotations

import numpy as np
import pytest

from jaxinv.edits.pasting import behind_mask, fade, paste
from jaxinv.io.image_ops import box_quad, crop, to_uint8

DRAWS = np.random.default_rng(1)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A photo of slow waves, uint8."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + k * y + seed * 7) / (9 + k)) for k in range(3)]
    return to_uint8(0.8 * np.stack(waves, -1))


QUADS = {
    "upright": box_quad(20, 10, 40, 40),
    "turned": np.array([[40, 8], [12, 40], [44, 68], [72, 36]], float),
    "half outside": box_quad(-20, 30, 50, 50),
    "stretched": box_quad(10, 10, 60, 30),
}


@pytest.mark.parametrize("name", QUADS)
@pytest.mark.parametrize("size", [24, 64, 256])
def test_what_was_cut_out_comes_back_to_its_place(name: str, size: int) -> None:
    photo, quad = smooth(80, 90), QUADS[name]
    picture = to_uint8(crop(photo, quad, size)[0])
    back = paste(photo, picture, quad)
    apart = np.abs(back.astype(int) - photo)
    assert apart.mean() < 1.0 if size > 24 else 3.0
    assert apart.max() <= (6 if size > 24 else 60)
    again = paste(photo, 255 - picture, quad)
    inside = np.abs(again.astype(int) - photo).max(-1) > 0
    y, x = np.mgrid[:80, :90] + 0.5
    along = np.stack([quad[3] - quad[0], quad[1] - quad[0]], 1)
    u, v = np.tensordot(np.linalg.inv(along), np.stack([x - quad[0, 0], y - quad[0, 1]]), 1)
    within = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
    assert not inside[~within].any()
    middle = (np.abs(u - 0.5) < 0.3) & (np.abs(v - 0.5) < 0.3)
    expected = 255 - back[middle].astype(int)
    np.testing.assert_allclose(again[middle], expected, atol=8 if size > 24 else 40)


def test_orientation_is_that_of_the_quad() -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16, :16] = (200, 0, 0)  # top-left
    back = paste(photo, picture, box_quad(16, 16, 32, 32), border=0.0)
    np.testing.assert_array_equal(back[18:30, 18:30, 0], 200)
    assert not back[34:, :, 0].any()
    quarter = np.roll(box_quad(16, 16, 32, 32), -1, axis=0)  # its top-left is at the bottom-left
    turned = paste(photo, picture, quarter, border=0.0)
    np.testing.assert_array_equal(turned[34:46, 18:30, 0], 200)
    assert not turned[:30, :, 0].any()


def test_the_border_fades_and_a_mask_holds_the_photo() -> None:
    photo, picture = np.zeros((100, 100, 3), np.uint8), np.full((50, 50, 3), 200, np.uint8)
    quad = box_quad(20, 20, 60, 60)
    row = paste(photo, picture, quad, border=0.25)[50, :, 0].astype(int)
    assert (np.diff(row[20:50]) >= 0).all()
    assert np.abs(np.diff(row)).max() < 30
    assert row[50] == 200
    mask = np.zeros((50, 50))
    mask[:, 25:] = 1
    masked = paste(photo, picture, quad, border=0.0, mask=mask)
    assert not masked[:, :49].any()
    np.testing.assert_array_equal(masked[25:75, 52:78], 200)
    far = paste(photo, picture, box_quad(300, 300, 50, 50))
    np.testing.assert_array_equal(far, photo)


def test_fades_are_smooth_and_symmetric() -> None:
    x = np.linspace(-0.5, 1.5, 201)
    y = fade(x, 0.2)
    np.testing.assert_allclose(y, y[::-1])
    assert (y[x < 0] == 0).all()
    assert y[100] == 1
    assert np.abs(np.diff(y, 2)).max() < 0.02


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"photo": np.zeros((8, 8, 3))}, "photo is float64"),
        ({"picture": np.zeros((8, 8), np.uint8)}, r"picture is uint8 \[8, 8\]"),
        ({"quad": np.zeros((4, 2))}, "spans no area"),
        ({"quad": np.zeros((3, 2))}, r"shape \[3, 2\]"),
        ({"quad": np.full((4, 2), np.nan)}, "quad must be finite"),
        ({"border": 0.7}, "border 0.7; allowed: 0 to 0.5"),
    ],
)
def test_what_cannot_be_pasted_is_refused(change: dict, said: str) -> None:
    given = {
        "photo": np.zeros((64, 64, 3), np.uint8),
        "picture": np.zeros((8, 8, 3), np.uint8),
        "quad": box_quad(0, 0, 32, 32),
    }
    with pytest.raises(ValueError, match=said):
        paste(**(given | change))


def test_edits_show_behind_a_mask_only() -> None:
    before, after = np.full((64, 64, 3), 10, np.uint8), np.full((64, 64, 3), 210, np.uint8)
    mask = np.zeros((64, 64))
    mask[:, 32:] = 1
    row = behind_mask(after, before, mask)[30, :, 0].astype(int)
    assert (row[:24] == 10).all()
    assert (row[40:] == 210).all()
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 120
    with pytest.raises(ValueError, match="allowed: one size"):
        behind_mask(after, before, mask[:32])
