"""How natural the texture of a picture is at the size that is written, without a reference."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from jaxinv.metrics.reconstruction import Scores, Stack, check_stack

TILE = 64  # px; tiles are looked at one by one
NEAR, FAR = 2, 6  # frequencies that surround a peak: their distance from it, in steps of 1/TILE
PATCH, PATCHES, SLICES = 7, 256, 128
REACH = 2  # of the pyramid's kernel, px
LUMA = (0.299, 0.587, 0.114)


def grid_energy(images: Stack, period: int) -> Scores:
    """Return how far a regular grid stands out of the texture around it, in decibels.

    The power at the frequencies of a pattern that repeats every `period` px, in rows, columns or
    both, over the median power of the frequencies around them; the median over tiles of 64 px.
    Networks that enlarge step by step leave such patterns (Odena et al. 2016, Deconvolution and
    Checkerboard Artifacts). White noise has about 2 dB, a clear grid 20 and more.

    Args:
        images: uint8 [b, h, w, 3] with h, w >= 64.
        period: 2, 4 or 8, in px.

    Raises:
        ValueError: images are smaller than a tile, or the period does not divide it so.
    """
    images = check_stack("images", images)
    if period not in (2, 4, 8):
        raise ValueError(f"period {period!r}; allowed: 2, 4, 8")
    if min(images.shape[1:3]) < TILE:
        raise ValueError(f"grid_energy: sides {images.shape[1:3]} are below the {TILE} px tile")
    return np.array([_grid_energy_one(image @ np.asarray(LUMA), period) for image in images])


def _grid_energy_one(luma: np.ndarray, period: int) -> float:
    rows, columns = (side // TILE * TILE for side in luma.shape)
    tiles = sliding_window_view(luma[:rows, :columns], (TILE, TILE))[::TILE, ::TILE]
    tiles = tiles.reshape(-1, TILE, TILE)
    window = np.outer(*[np.hanning(TILE + 1)[:-1]] * 2)
    flat = tiles - tiles.mean((1, 2), keepdims=True)
    power = np.square(np.abs(np.fft.fft2(flat * window))) + 1e-6
    step = TILE // period
    signs = (step, -step)
    places = {(u % TILE, v % TILE) for u in (0, *signs) for v in (0, *signs)} - {(0, 0)}
    peak = np.mean([power[:, u, v] for u, v in places], axis=0)
    around = np.concatenate([_surroundings(power, u, v) for u, v in places], axis=1)
    return float(np.median(10 * np.log10(peak / np.median(around, axis=1))))


def _surroundings(power: np.ndarray, u: int, v: int) -> np.ndarray:
    """The power [tiles, n] of the frequencies around (u, v), none of them on an axis through it."""
    near = [d for d in range(-FAR, FAR + 1) if abs(d) >= NEAR]
    places = [((u + a) % TILE, (v + b) % TILE) for a in near for b in near]
    return power[:, [p[0] for p in places], [p[1] for p in places]]


def fine_patches(images: Stack) -> np.ndarray:
    """Return patches of 7 x 7 px of the finest level of the Laplacian pyramid, [b * 256, 147].

    The level is a picture less its blur by the pyramid's binomial kernel; places are drawn once,
    the same for all pictures of a size.
    """
    rows, columns = (side - PATCH for side in images.shape[1:3])
    draws = np.random.default_rng(0)
    places = zip(
        draws.integers(rows, size=PATCHES), draws.integers(columns, size=PATCHES), strict=True
    )
    edged = np.pad(images, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    wide = PATCH + 2 * REACH
    cut = np.stack([edged[:, y : y + wide, x : x + wide] for y, x in places], axis=1) / 127.5
    level = cut[:, :, REACH:-REACH, REACH:-REACH] - _binomial(_binomial(cut, 2), 3)
    return level.reshape(len(images) * PATCHES, -1)


def projected_quantiles(patches: np.ndarray) -> np.ndarray:
    """Return patches [n, d] as quantiles along `SLICES` random directions, [256, SLICES]."""
    directions = np.random.default_rng(0).standard_normal((patches.shape[1], SLICES))
    directions /= np.linalg.norm(directions, axis=0)
    shares = (np.arange(PATCHES) + 0.5) / PATCHES
    return np.quantile(patches @ directions, shares, axis=0)


def quantile_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the sliced Wasserstein distance of two sets of patches by `projected_quantiles`.

    The mean difference, in root mean squares of `theirs` (Karras et al. 2018, Progressive Growing
    of GANs, section 5: there both sets are scaled by themselves; here one scale is for both, so
    that too faint and too strong count).
    """
    return float(np.mean(np.abs(ours - theirs)) / np.sqrt(np.mean(np.square(theirs))))


def _binomial(values: np.ndarray, axis: int) -> np.ndarray:
    """Values blurred by 1 4 6 4 1 along an axis, which becomes shorter by twice `REACH`."""
    return sliding_window_view(values, 5, axis=axis) @ (np.asarray([1, 4, 6, 4, 1]) / 16)
