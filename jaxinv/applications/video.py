"""Videos: frames that are cut, searched for, tuned to and edited together.

Source: Tzaban et al. 2022, Stitch it in Time, arXiv:2201.08361 (STIT): crops smoothed in time, one
generator tuned to all frames, and every edited frame tuned so that its border fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from jaxinv.inversion.invert import invert
from jaxinv.inversion.preset_adaptation import adapt_preset
from jaxinv.inversion.presets import find_preset
from jaxinv.specs.checks import check_array, check_at_least

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Latents, Params

CENTRE_SIGMA, SHAPE_SIGMA = 1.0, 3.0  # frames: of where a face is, and of its size and turn
CODE_SIGMA = 1.0  # frames


def smoothed_landmarks(
    landmarks: np.ndarray, centre_sigma: float = CENTRE_SIGMA, shape_sigma: float = SHAPE_SIGMA
) -> np.ndarray:
    """Landmarks [T, n, 2] of T frames, smoothed in time; where none were found, from both sides.

    Frames without a face are NaN. The centre moves with `centre_sigma` frames, all else with
    `shape_sigma` (STIT smooths centre and axes of its crops so). Raises `ValueError` where no frame
    has a face.
    """
    given = check_array("landmarks", landmarks, "f", finite=False).astype(np.float64)
    check_at_least("centre_sigma", centre_sigma, 0.0)
    check_at_least("shape_sigma", shape_sigma, 0.0)
    if given.ndim != 3 or given.shape[2] != 2:
        raise ValueError(f"landmarks have shape {given.shape}; allowed: [T, n, 2]")
    known = np.isfinite(given).all((1, 2))
    if not known.any():
        raise ValueError(f"no face in {len(given)} frames; allowed: at least one")
    times = np.arange(len(given))
    flat = given.reshape(len(given), -1)
    columns = [np.interp(times, times[known], column[known]) for column in flat.T]
    filled = np.stack(columns, axis=1).reshape(given.shape)
    centre = filled.mean(axis=1, keepdims=True)
    return smoothed(centre, centre_sigma) + smoothed(filled - centre, shape_sigma)


def smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values [T, ...] under a Gaussian of `sigma` frames; the ends are repeated."""
    return gaussian_filter1d(values, sigma, axis=0, mode="nearest") if sigma > 0 else values


def invert_frames(
    gen: Generator,
    params: Params,
    frames: np.ndarray,
    *,
    preset: Preset | str = "default",
    tuning: Preset | str = "stit-tuning",
    sigma: float = CODE_SIGMA,
    checkpoints: Any = None,
    report: Any = None,
    **options: Any,
) -> Latents:
    """Latents [T, ...] of the frames of a video: codes smoothed in time, weights that all share.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        frames: [T, S, S, 3] in [-1, 1], cut alike.
        preset: the search for the codes of frames.
        tuning: a preset that shares weights and starts at given codes.
        sigma: of the Gaussian over codes, in frames.
        checkpoints: as of `invert`, for both searches.
        report: likewise.
        **options: likewise.

    Raises:
        ValueError: as `invert` does.
    """
    shape = frames.shape[1:]
    both = {"checkpoints": checkpoints, "report": report, **options}
    first = adapt_preset(find_preset(preset), shape)
    found = invert(gen, params, frames, preset=first, **both)
    codes = {
        name: smoothed(np.asarray(value), sigma).astype(np.float32)
        for name, value in found.latents.items()
        if name in ("w", "w+", "z")
    }
    second = adapt_preset(find_preset(tuning), shape)
    given = {**both, "steps": None, "batch": len(frames)}
    return invert(gen, params, frames, preset=second, starts=codes, **given).latents


def stitched(
    gen: Generator,
    params: Params,
    frame: np.ndarray,
    edited: tuple[Latents, np.ndarray],
    border: np.ndarray,
    **options: Any,
) -> Latents:
    """Latents of an edited frame whose border fits the frame: its weights tuned (STIT).

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        frame: [S, S, 3] in [-1, 1], the cut as it was.
        edited: latents of ONE sample after the edit, and their picture [S, S, 3] in [-1, 1].
        border: [S, S] in [0, 1], 1 where the frame shall be met.
        **options: of `invert`.

    Raises:
        ValueError: as `invert` does.
    """
    import jax

    latents, picture = edited
    starts = jax.tree.map(lambda a: np.asarray(a)[None], latents)
    found = invert(
        gen,
        params,
        frame[None],
        preset="stit-stitching",
        starts=starts,
        named_images={"edited": picture[None]},
        named_masks={"border": border[None]},
        **options,
    )
    return jax.tree.map(lambda a: a[0], found.latents)


def border_mask(side: int, width: float) -> np.ndarray:
    """[side, side], 1 within `width` sides of an edge, else 0."""
    near = max(round(side * width), 1)
    mask = np.ones((side, side), np.float32)
    mask[near:-near, near:-near] = 0
    return mask
