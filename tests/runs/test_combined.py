"""What is known of a picture is in the answer, at the size of the observation, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from jaxinv.io import images
from jaxinv.runs.combined import combined
from jaxinv.runs.observations import Observation
from jaxinv.runs.restoration_results import remeasured
from jaxinv.specs import read_operator

SIDE, FULL = 16, 32
DRAWS = np.random.default_rng(0)
CLEAN = DRAWS.uniform(-0.4, 0.4, (SIDE, SIDE, 3)).astype(np.float32)
ANSWER = DRAWS.integers(90, 160, (FULL, FULL, 3)).astype(np.uint8)
LEVEL = 1 / 127.5


def again(operator: str | None, full: np.ndarray, given: Observation) -> np.ndarray:
    return remeasured(None if operator is None else read_operator(operator), full, given)


@pytest.mark.parametrize("operator", ["gray", "luma"])
def test_a_picture_has_the_grey_of_its_photograph_and_the_colours_that_were_found(
    operator: str,
) -> None:
    spec = read_operator(operator)
    clean = Observation(CLEAN, None, None, SIDE)
    given = Observation(again(operator, images.to_uint8(CLEAN), clean), None, None, SIDE)
    found = combined(spec, ANSWER, again(operator, ANSWER, given), given)
    assert found is not None
    assert np.abs(again(operator, found, given) - given.measurement).max() < LEVEL
    moved = found.astype(int) - ANSWER
    assert np.ptp(moved, axis=-1).max() <= 1  # by rounding: all channels move alike


def test_known_pixels_are_the_photographs_and_the_hole_fits_them() -> None:
    mask = np.ones((SIDE, SIDE), np.float32)
    mask[5:9, 4:10] = 0
    shift = np.float32(0.2)
    small = images.resize(images.from_uint8(ANSWER), SIDE)
    measured = (small + shift) * mask[..., None]
    given = Observation(measured, mask, None, SIDE)
    found = combined(None, ANSWER, again(None, ANSWER, given), given)
    assert found is not None
    reduced = images.resize(images.from_uint8(found), SIDE)
    assert np.abs(reduced - (small + shift)).max() < LEVEL  # also in the hole: no border is left


def test_what_is_not_known_pixel_by_pixel_is_left_alone() -> None:
    given = Observation(CLEAN, None, None, SIDE)
    assert combined(None, ANSWER, CLEAN, given) is None
    for operator in ("blur:sigma=1", "gray+blur:sigma=1"):
        spec = read_operator(operator)
        assert combined(spec, ANSWER, again(operator, ANSWER, given), given) is None
