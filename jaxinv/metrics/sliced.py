"""The sliced Wasserstein distance: of any samples, and of the texture of pictures by scale."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import correlate1d

from jaxinv.metrics.feature_sets import check_two_sets
from jaxinv.metrics.reconstruction import Stack, check_stack
from jaxinv.specs.checks import check_array, check_seed, check_whole, told

SIDE, PATCHES = 7, 128  # px of a patch; patches of an image and level
DIRECTIONS, REPEATS = 128, 4
SMALLEST = 16  # px of the coarsest level
SCALE = 1e3  # in which tables report it
_KERNEL = np.asarray([1, 4, 6, 4, 1]) / 16


def random_directions(width: int, count: int, draws: np.random.Generator) -> np.ndarray:
    """Unit vectors [width, count], evenly spread over the sphere."""
    found = draws.standard_normal((width, count))
    return found / np.linalg.norm(found, axis=0)


def sliced_wasserstein_distance(
    a: np.ndarray, b: np.ndarray, directions: np.ndarray, *, p: int = 1
) -> float:
    """The distance of order p of samples [n, d] and [n, d], over directions [d, k].

    Both sets are projected and sorted; (mean |difference|^p over samples and directions)^(1/p).
    Karras et al. 2018 use p = 1, the survey's equation 4 p = 2 (Rabin et al. 2011).

    Raises:
        ValueError: other shapes, unequal numbers of samples, directions that are not unit vectors,
            p other than 1 and 2.
    """
    x, y = check_two_sets(a, b)
    if len(x) != len(y):
        raise ValueError(f"a has {len(x)} samples, b {len(y)}; allowed: as many in both")
    if p not in (1, 2):
        raise ValueError(f"p is {told(p)}; allowed: 1, 2")
    unit = check_array("directions", directions, "f").astype(np.float64)
    if unit.ndim != 2 or unit.shape[0] != x.shape[1] or not unit.shape[1]:
        raise ValueError(f"directions are {told(unit)}; allowed: [{x.shape[1]}, k]")
    lengths = np.linalg.norm(unit, axis=0)
    if np.abs(lengths - 1).max() > 1e-5:
        raise ValueError(f"directions have lengths from {lengths.min():g}; allowed: 1")
    apart = np.abs(np.sort(x @ unit, axis=0) - np.sort(y @ unit, axis=0))
    return float(np.mean(apart**p) ** (1 / p))


def laplacian_pyramid(images: Stack, levels: int) -> list[np.ndarray]:
    """Levels [b, h, w, 3] of the pyramid of uint8 images, the finest first, in units of 0 to 255.

    Each is an image less its enlarged half; the last is the small image itself. Filter 1 4 6 4 1,
    mirrored at the border (Burt and Adelson 1983).

    Raises `ValueError` for other arrays, and for sides that `levels` - 1 halvings do not divide.
    """
    check_whole("levels", levels, 1)
    current = check_stack("images", images).astype(np.float32)
    if any(side % 2 ** (levels - 1) for side in current.shape[1:3]):
        raise ValueError(
            f"images are {told(current)}; allowed: sides that {2 ** (levels - 1)} divides"
        )
    found = []
    for _ in range(levels - 1):
        half = _blurred(current, 1)[:, ::2, ::2]
        spread = np.zeros_like(current)
        spread[:, ::2, ::2] = half
        found.append(current - _blurred(spread, 4))
        current = half
    return [*found, current]


def _blurred(images: np.ndarray, gain: float) -> np.ndarray:
    rows = correlate1d(images, _KERNEL * math.sqrt(gain), axis=1, mode="mirror")
    return correlate1d(rows, _KERNEL * math.sqrt(gain), axis=2, mode="mirror")


def patch_positions(
    count: int, shape: tuple[int, int], draws: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the centres of 128 patches in each of `count` images, [count * 128]."""
    reach = SIDE // 2
    rows, columns = (draws.integers(reach, side - reach, count * PATCHES) for side in shape)
    return rows, columns


def patch_descriptors(level: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Patches of 7 x 7 px as rows [n, 147]: colours one after another, x before y in each.

    level [b, h, w, 3]; the centres of patches are `rows` and `columns` [n], as many in every image.
    All values of a colour together get mean 0 and deviation 1 (Karras et al. 2018, section 5).

    Raises `ValueError` for a level without contrast in a colour.
    """
    reach = np.arange(SIDE) - SIDE // 2
    image = np.arange(len(rows)) // (len(rows) // len(level))
    cut = level[
        image[:, None, None],
        rows[:, None, None] + reach[None, None, :],
        columns[:, None, None] + reach[None, :, None],
    ]
    spread = cut.std(axis=(0, 1, 2), dtype=np.float64)
    if not spread.all():
        raise ValueError(f"patches have deviations {spread}; allowed: images with contrast")
    scaled = (cut - cut.mean(axis=(0, 1, 2), dtype=np.float64)) / spread
    return scaled.transpose(0, 3, 1, 2).reshape(len(rows), -1)


def texture_distance(real: Stack, fake: Stack, *, p: int = 1, seed: int = 0) -> dict[int, float]:
    """Sliced Wasserstein distance of the texture of two sets of pictures, x 1000, by side in px.

    Of every level of their Laplacian pyramids down to 16 px, 128 patches per image and level, mean
    over 4 x 128 directions. Karras et al. 2018 (Progressive Growing of GANs), section 5; tables
    show the levels and their mean.

    Args:
        real: uint8 [b, s, s, 3] with s = 16, 32, 64, ...
        fake: uint8, same shape.
        p: order of the distance, 1 in tables; 2 in the survey.
        seed: of patches and directions.

    Raises:
        ValueError: other shapes, or a set of one colour.
    """
    x, y = check_stack("real", real), check_stack("fake", fake)
    side = x.shape[1]
    if x.shape != y.shape or x.shape[2] != side or side < SMALLEST or side & (side - 1):
        raise ValueError(
            f"real and fake are {told(x)} and {told(y)}; allowed: one shape [b, s, s, 3], "
            f"s = {SMALLEST}, 32, 64, ..."
        )
    check_seed(seed)
    levels = side.bit_length() - SMALLEST.bit_length() + 1
    draws, found = np.random.default_rng(seed), {}
    pyramids = (laplacian_pyramid(one, levels) for one in (x, y))
    for pair in zip(*pyramids, strict=True):
        a, b = (
            patch_descriptors(level, *patch_positions(len(level), level.shape[1:3], draws))
            for level in pair
        )
        directions = random_directions(a.shape[1], REPEATS * DIRECTIONS, draws)
        found[pair[0].shape[1]] = SCALE * sliced_wasserstein_distance(a, b, directions, p=p)
    return found
