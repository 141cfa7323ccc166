"""How natural the texture of a picture is at the size that is written, without a reference."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from jaxinv.metrics.reconstruction import Scores, Stack, check_stack

TILE = 64  # px; tiles are looked at one by one
NEAR, FAR = 2, 6  # frequencies that surround a peak: their distance from it, in steps of 1/TILE
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
