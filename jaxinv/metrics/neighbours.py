"""Precision, recall, density and coverage of generated pictures among real ones, from features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from jaxinv.metrics.feature_sets import check_rows, check_two_sets
from jaxinv.specs.checks import check_whole

BLOCK = 1024  # rows whose distances are held at a time
K = 3  # Kynkaanniemi et al. 2019; Naeem et al. 2020 use 5


class Neighbourhoods(NamedTuple):
    """Shares in [0, 1], and density, which may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float

    @property
    def f_score(self) -> float:
        """The harmonic mean of precision and recall; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def neighbourhoods(real: np.ndarray, fake: np.ndarray, k: int = K) -> Neighbourhoods:
    """How generated samples [m, d] and real ones [n, d] lie among each other.

    A sample's ball reaches to its k-th nearest neighbour in its own set, itself not counted.
    Precision: the share of fakes inside a real ball; recall: of real ones inside a fake ball
    (Kynkaanniemi et al. 2019, equations 1 and 2). Density: real balls around a fake, over k;
    coverage: the share of real balls that hold a fake (Naeem et al. 2020, equations 2 and 3).

    Raises:
        ValueError: other shapes, k below 1, sets of fewer than k + 1 samples.
    """
    check_whole("k", k, 1)
    names = "real", "fake"
    x, y = check_two_sets(real, fake, k + 1, why=f"a neighbour of rank {k}", names=names)
    around_real, around_fake = radii(x, k), radii(y, k)
    precise, crowded, nearest = [], [], np.full(len(x), np.inf)
    recalled = np.zeros(len(x), bool)
    for rows, apart in _distances(y, x):
        inside = apart < around_real
        precise.append(inside.any(axis=1))
        crowded.append(inside.sum(axis=1))
        nearest = np.minimum(nearest, apart.min(axis=0))
        recalled |= (apart < around_fake[rows, None]).any(axis=0)
    return Neighbourhoods(
        float(np.concatenate(precise).mean()),
        float(recalled.mean()),
        float(np.concatenate(crowded).mean() / k),
        float((nearest < around_real).mean()),
    )


def radii(samples: np.ndarray, k: int = K) -> np.ndarray:
    """Distance [n] of every sample [n, d] to its k-th nearest neighbour, itself not counted."""
    check_whole("k", k, 1)
    rows = check_rows("samples", samples, k + 1, why=f"a neighbour of rank {k}")
    parts = [np.partition(apart, k, axis=1)[:, k] for _, apart in _distances(rows, rows)]
    return np.concatenate(parts)


def realism(real: np.ndarray, fake: np.ndarray, k: int = K, *, pruned: bool = True) -> np.ndarray:
    """How realistic each fake [m, d] is, [m]: at least 1 inside the ball of a real sample [n, d].

    The largest ratio of radius and distance, over the real samples whose radius is below the
    median (Kynkaanniemi et al. 2019, equation 3); over all of them unless `pruned`.
    """
    x, y = check_rows("real", real, k + 1, why=f"a neighbour of rank {k}"), check_rows("fake", fake)
    check_two_sets(x, y)
    around = radii(x, k)
    kept = around < np.median(around) if pruned else around > 0
    if not kept.any():
        raise ValueError(f"all radii of real are {around[0]:g}; allowed: samples that differ")
    with np.errstate(divide="ignore"):
        return np.concatenate(
            [(around[kept] / apart).max(axis=1) for _, apart in _distances(y, x[kept])]
        )


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Distances [rows, m] of a few rows of `a` at a time to all of `b`."""
    for start in range(0, len(a), BLOCK):
        rows = slice(start, start + BLOCK)
        yield rows, cdist(a[rows], b)
