"""What verbs of restoration rest on: operators, observations, and pictures within reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.preset_adaptation import adapt_preset
from jaxinv.io import images
from jaxinv.models.rendering import render
from jaxinv.operators import build as build_operator
from jaxinv.runs import restoration
from jaxinv.runs.masks import mask_of
from jaxinv.runs.observations import ObservationModel, as_measured, make_observation
from jaxinv.runs.request import Request
from jaxinv.runs.restoration_results import as_image, data_misfit, missing_psnr, remeasured
from jaxinv.specs import OperatorSpec, SolverSpec, Variable, read_operator
from tests.engine import SIDE as LINEAR_SIDE
from tests.engine import one, preset, run
from tests.tiny import draw, linear

SIDE = 32


def write(path: Path, pixels: np.ndarray) -> Path:
    """Write uint8 [h, w] or [h, w, 3] as a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(pixels))
    return path


def hole(side: int = SIDE) -> np.ndarray:
    """White where the middle is missing, uint8 [side, side]."""
    mask = np.zeros((side, side), np.uint8)
    mask[side // 4 : side // 2, side // 4 : side // 2] = 255
    return mask


def test_operators_are_read_from_texts() -> None:
    assert read_operator("dense:count=500,seed=1") == OperatorSpec("dense", count=500, seed=1)
    assert read_operator("crop:box=0/0.5/0.5/0.5").box == (0.0, 0.5, 0.5, 0.5)
    assert read_operator("half:side=left,invert=yes") == OperatorSpec(
        "half", side="left", invert=True
    )
    both = read_operator("down:factor=4 + gray")
    parts = (OperatorSpec("down", factor=4), OperatorSpec("gray"))
    assert both == OperatorSpec("compose", parts=parts)
    for text, words in {
        "gray:seed=1": "unknown option of operator 'gray' 'seed'; allowed: none",
        "half:invert=1": "invert is '1'; allowed: yes, no",
        "crop:box=1/2": "box is '1/2'; allowed: top/left/height/width",
        "mask": "unknown operator 'mask'",
    }.items():
        with pytest.raises(ValueError, match=words):
            read_operator(text)


def test_verbs_say_what_pictures_have_gone_through() -> None:
    plain = Request(("a",), "out")
    assert restoration.super_resolve(plain, 8).operator == "down:factor=8,kernel=bicubic"
    assert restoration.denoise(plain, 0.1).discrepancy == 0.1
    assert restoration.deblur(plain, motion=9, angle=30.0).operator == "motion:length=9,angle=30.0"
    assert [restoration.usual_align(v, simulate=False) for v in ("inpaint", "deblur")] == [
        "auto",
        "none",
    ]
    assert restoration.usual_align("deblur", simulate=True) == "auto"


def photo(pixels: np.ndarray, mask: np.ndarray | None = None) -> images.Photo:
    sides = [pixels.shape[1], pixels.shape[0]]
    quad = [[0, 0], [0, sides[1]], sides, [sides[0], 0]]
    return images.Photo("", "", pixels, mask, {"source_size": sides, "quad": quad}, ())


def test_a_picture_is_the_middle_of_a_larger_one() -> None:
    pixels = draw(linear(), 1)[0]
    given = make_observation(ObservationModel(32, border=0.25), photo(pixels), None)
    assert given.mask is not None
    np.testing.assert_array_equal(given.measurement[8:24, 8:24], pixels)
    assert (given.side, given.mask.sum(), np.abs(given.measurement).sum()) == pytest.approx(
        (32, 256, np.abs(pixels).sum())
    )
    clean = make_observation(ObservationModel(16, border=0.25, simulate=True), photo(pixels), None)
    assert clean.reference is not None
    np.testing.assert_array_equal(clean.reference, pixels)
    np.testing.assert_array_equal(clean.measurement[4:12, 4:12], pixels[4:12, 4:12])


def test_a_pixel_that_is_missing_in_part_is_missing(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[3:9, 3:9] = 255
    file = write(tmp_path / "m.png", mask)
    missing = mask_of(file, file, photo(np.zeros((32, 32, 3), np.float32)))
    np.testing.assert_allclose(missing, mask / 255, atol=1e-6)
    given = make_observation(ObservationModel(16), photo(np.ones((32, 32, 3), np.float32)), missing)
    assert given.mask is not None
    assert np.argwhere(given.mask == 0).min(0).tolist() == [1, 1]
    assert np.argwhere(given.mask == 0).max(0).tolist() == [4, 4]
    assert np.unique(given.mask[given.mask > 0]).tolist() == [1.0]


def test_one_channel_of_a_grey_picture_is_enough() -> None:
    luma = build_operator(OperatorSpec("luma"), (8, 8, 3))
    grey = np.full((8, 8, 3), 0.25, np.float32)
    made = as_measured(grey, OperatorSpec("luma"), luma)
    np.testing.assert_array_equal(made, grey[..., :1])


@pytest.mark.parametrize(
    "operator", ["down:factor=4", "gray", "blur:sigma=1.5", "dense:count=60", "fourier:share=0.3"]
)
def test_pictures_within_reach_are_recovered(operator: str) -> None:
    clean = draw(linear(), 7)[0]
    what = ObservationModel(LINEAR_SIDE, operator=read_operator(operator), simulate=True)
    given = make_observation(what, photo(clean), None)
    search = preset(one(Variable("w"), solver=SolverSpec("lbfgs"), steps=40))
    made = adapt_preset(replace(search, operator=what.operator), given.measurement.shape)
    found = run(made, given.measurement[None])
    np.testing.assert_allclose(render(*linear(), found.latents)[0], clean, atol=5e-3)


@pytest.mark.parametrize("border", [None, 0.25])
def test_missing_parts_within_reach_are_recovered(border: float | None) -> None:
    clean = draw(linear(), 8)[0]
    missing = None if border else (hole(LINEAR_SIDE) / 255).astype(np.float32)
    given = make_observation(
        ObservationModel(LINEAR_SIDE, border=border, simulate=True), photo(clean), missing
    )
    assert given.mask is not None
    search = preset(one(Variable("w"), solver=SolverSpec("lbfgs"), steps=40))
    found = run(search, given.measurement[None], masks=given.mask[None])
    np.testing.assert_allclose(render(*linear(), found.latents)[0], clean, atol=5e-3)


@pytest.mark.parametrize(
    "operator", ["", "down:factor=4", "luma", "motion:length=5", "dense:count=60", "crop"]
)
def test_the_clean_picture_degraded_again_is_what_was_given(operator: str) -> None:
    full = images.to_uint8(draw(linear(), 7)[0])
    spec = read_operator(operator) if operator else None
    what = ObservationModel(16, operator=spec, simulate=True)
    missing = None if operator else (hole(16) / 255).astype(np.float32)
    given = make_observation(what, photo(images.from_uint8(full)), missing)
    again = remeasured(spec, full, given)
    assert again.shape == given.measurement.shape
    assert data_misfit(again, given) < 1e-9
    other = remeasured(spec, 255 - full, given)
    assert data_misfit(other, given) > 1e-3
    shown = as_image(spec, again, given.side)
    assert (shown.dtype, shown.shape) == (np.uint8, (16, 16, 3))
    if missing is not None:
        other = np.where(missing[..., None] > 0, full.astype(int) ^ 16, full).astype(np.uint8)
        assert missing_psnr(other, given) == {"psnr_missing": pytest.approx(24.05, abs=0.01)}
        assert data_misfit(remeasured(spec, other, given), given) < 1e-9


def test_simulated_measurements_follow_the_operator() -> None:
    clean = draw(linear(), 9)[0]
    operator = read_operator("down:factor=2+gray")
    given = make_observation(
        ObservationModel(16, operator=operator, simulate=True), photo(clean), None
    )
    made = build_operator(operator, clean.shape)
    np.testing.assert_allclose(given.measurement, made.apply(jnp.asarray(clean)), atol=1e-6)
