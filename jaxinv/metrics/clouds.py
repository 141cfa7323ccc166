"""How far two clouds of points are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from jaxinv.specs.checks import check_above, check_array

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 4096  # points between which an assignment is computed


def check_cloud(what: str, cloud: object) -> np.ndarray:
    """The points [n, 3], n > 0; `ValueError` for anything else."""
    found = check_array(what, cloud, "iuf", ", points").astype(np.float64)
    if found.ndim != 2 or found.shape[1] != 3 or not len(found):
        raise ValueError(f"{what} has shape {list(found.shape)}; allowed: [n, 3] points")
    return found


def _nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return KDTree(b).query(a)[0]


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared distance to the nearest point of the other cloud, both ways added.

    a: [n, 3]; b: [m, 3]. Source: Fan et al. 2017, A Point Set Generation Network; means
    take the place of sums.
    """
    x, y = check_cloud("a", a), check_cloud("b", b)
    return float(np.mean(_nearest(x, y) ** 2) + np.mean(_nearest(y, x) ** 2))


def one_way(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared distance of every point of a [n, 3] to the nearest of b [m, 3]."""
    return float(np.mean(_nearest(check_cloud("a", a), check_cloud("b", b)) ** 2))


def f_score(a: np.ndarray, b: np.ndarray, near: float = 0.01) -> float:
    """Harmonic mean of the shares of points that have one of the other cloud within `near`.

    Source: Tatarchenko et al. 2019, What Do Single-view 3D Reconstruction Networks Learn?
    """
    check_above("near", near, 0.0)
    x, y = check_cloud("a", a), check_cloud("b", b)
    shares = np.array([np.mean(_nearest(x, y) <= near), np.mean(_nearest(y, x) <= near)])
    return float(2 * shares.prod() / shares.sum()) if shares.any() else 0.0


def earth_movers(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance between clouds [n, 3] of as many points, each paired with one of the other.

    Exact, by an assignment of least cost. Raises `ValueError` for unequal numbers, or above 4096.
    """
    x, y = check_cloud("a", a), check_cloud("b", b)
    if len(x) != len(y) or len(x) > MOST:
        raise ValueError(f"{len(x)} and {len(y)} points; allowed: equal numbers, at most {MOST}")
    cost = cdist(x, y)
    return float(cost[linear_sum_assignment(cost)].mean())


def farthest(clouds: Sequence[np.ndarray], count: int) -> list[int]:
    """Numbers of `count` clouds, each the farthest from those before by `chamfer`; the first is 0.

    What ShapeInversion shows of many completions of one part (Zhang et al. 2021).
    """
    chosen = [0]
    apart = np.array([chamfer(clouds[0], one) for one in clouds])
    while len(chosen) < min(count, len(clouds)):
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, [chamfer(clouds[chosen[-1]], one) for one in clouds])
    return chosen
