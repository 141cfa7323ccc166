"""Pictures as life damages them: prints with a tint, masks that somebody painted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxinv.cli.console import DONE
from jaxinv.cli.main import main
from jaxinv.inversion.compatibility import source_side
from jaxinv.io import images
from jaxinv.io.files import BadFile
from jaxinv.runs.masks import mask_of
from jaxinv.runs.observations import ObservationModel, make_observation
from jaxinv.specs import OperatorSpec, read_operator
from tests.offline import go_offline, read_results

PORTRAIT = Path(__file__).parents[2] / "notebooks/photos/astronaut.png"


def toned(kind: str) -> np.ndarray:
    """A portrait as old prints are when they have been scanned, uint8 [256, 256, 3]."""
    photo = PORTRAIT
    grey = (images.read_photo(photo, size=256).pixels.mean(-1, keepdims=True) + 1) / 2
    rows, columns = (np.mgrid[:256, :256] / 255)[..., None]
    edge = (rows - 0.5) ** 2 + (columns - 0.5) ** 2
    spot = np.exp(-((rows - 0.2) ** 2 + (columns - 0.8) ** 2) / 0.01)
    kinds = {
        "scanned": 0.06 + 0.9 * grey ** [0.85, 0.9, 1.0] * [0.98, 0.94, 0.85],
        "sepia": grey * [1.35, 1.2, 0.94],
        "two-tone": np.where(grey < 0.5, grey * [1.1, 0.9, 1.15], grey * [1.03, 1.0, 0.88]),
        "cyanotype": [0.0, 0.12, 0.35] + grey * [0.95, 0.85, 0.6],
        "yellowed": grey * (1 - edge * [0.1, 0.3, 0.7]),
        "stained": grey - spot * [0.02, 0.1, 0.27],
        "noisy": grey * [1.2, 1.1, 0.9] + np.random.default_rng(0).normal(0, 0.05, (256, 256, 3)),
    }
    return np.rint(255 * np.clip(kinds[kind], 0, 1)).astype(np.uint8)


TONES = ("scanned", "sepia", "two-tone", "cyanotype", "yellowed", "stained", "noisy")


@pytest.mark.parametrize("quality", [20, 90])
@pytest.mark.parametrize("kind", TONES)
def test_prints_with_a_tint_are_grey(kind: str, quality: int, tmp_path: Path) -> None:
    file = tmp_path / "print.jpg"
    file.write_bytes(images.encode_jpeg(toned(kind), quality))
    model = ObservationModel(256, operator=OperatorSpec("gray"))
    photo = images.read_photo(file)
    seen = make_observation(model, photo, None)
    expected = np.repeat(photo.pixels.mean(-1, keepdims=True), 3, axis=-1)
    np.testing.assert_allclose(seen.measurement, expected, atol=1e-6)
    assert len(seen.notes) == 1
    assert "made grey: it has a tint" in seen.notes[0]


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_photographs_in_colour_are_no_prints_with_a_tint(strength: float) -> None:
    photo = images.read_photo(PORTRAIT)
    grey = photo.pixels.mean(-1, keepdims=True)
    pale = replace(photo, pixels=(grey + strength * (photo.pixels - grey)).astype(np.float32))
    with pytest.raises(BadFile, match=r"it is in colour.*save it as grey first"):
        make_observation(ObservationModel(256, operator=OperatorSpec("gray")), pale, None)


def test_that_a_print_was_made_grey_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_offline(tmp_path, monkeypatch)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(images.encode_jpeg(toned("sepia"), 90))
    command = ["colorize", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main([*command, "-g", "tiny", "-p", "pixels"]) == DONE
    (line,) = read_results(tmp_path / "out")
    assert line["status"] == "ok"
    assert any("made grey" in warning for warning in line["warnings"])


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_masks_may_be_coded_as_jpeg(quality: int, tmp_path: Path) -> None:
    mask, file = tmp_path / "mask.jpg", tmp_path / "a.png"
    mask.write_bytes(images.encode_jpeg(painted("scan"), quality))
    file.write_bytes(images.encode_png(np.full((64, 64, 3), 90, np.uint8)))
    photo = images.read_photo(file)
    seen = make_observation(ObservationModel(64), photo, mask_of(mask, file, photo))
    rows, columns = np.mgrid[:64, :64]
    assert seen.mask is not None
    assert not seen.mask[np.abs(rows - columns) < 2].any()
    assert seen.mask[np.abs(rows - columns) > 16].mean() > 0.95


@pytest.mark.parametrize("side", [24, 48, 50, 64])
def test_pictures_of_any_side_can_be_what_is_enlarged(side: int) -> None:
    made = read_operator("down:factor=4")
    assert source_side(256, made, (side, side, 3)) == 4 * side
    with pytest.raises(ValueError, match=r"80, 3\]; allowed: 256 px give \[64, 64, 3\]"):
        source_side(256, made, (80, 80, 3))


def painted(kind: str) -> np.ndarray:
    """A mask of one scratch as people paint them, [64, 64] or [64, 64, 4]."""
    rows, columns = np.mgrid[:64, :64]
    soft = np.clip(3 - np.abs(rows - columns), 0, 1)  # edges in grey levels
    stroke = np.rint(255 * soft).astype(np.uint8)
    layer = np.stack([np.full_like(stroke, 255)] * 3 + [stroke], axis=-1)
    scan = np.rint(25 + 200 * soft).astype(np.uint8)
    grain = np.random.default_rng(0).normal(0, 2, scan.shape)
    noisy = np.rint(scan + np.clip(grain, -5, 5)).astype(np.uint8)
    kinds = {"soft": stroke, "grey": stroke // 2, "layer": layer, "scan": scan, "noisy": noisy}
    return kinds[kind]


@pytest.mark.parametrize("kind", ["soft", "grey", "layer", "scan", "noisy"])
def test_masks_may_be_painted_in_grey_levels(kind: str, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(painted(kind)).save(mask)
    file = tmp_path / "a.png"
    file.write_bytes(images.encode_png(np.full((64, 64, 3), 90, np.uint8)))
    photo = images.read_photo(file)
    missing = mask_of(mask, file, photo)
    seen = make_observation(ObservationModel(64), photo, missing)
    rows, columns = np.mgrid[:64, :64]
    kept = np.abs(rows - columns) >= 3
    assert seen.mask is not None
    np.testing.assert_array_equal(seen.mask, kept)
