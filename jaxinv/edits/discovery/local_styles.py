"""Edits of one region or one attribute through style channels.

Collins et al. 2020 (Editing in Style, arXiv:2004.14367) and Liu et al. 2020 (Style Intervention,
arXiv:2011.09699).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.boundaries import unit
from jaxinv.solvers.minimise import Minimum, minimise
from jaxinv.specs import SolverSpec
from jaxinv.specs.checks import check_array, check_at_least, check_whole

if TYPE_CHECKING:
    from jaxinv.types import Array


WEIGHTS = (1.0, 1.0, 0.01)  # of an intervention: its target, the others, sparsity
CUT = 0.01  # changes below this share of the largest are none


class Regions(NamedTuple):
    """Semantic regions of feature maps: centres [k, c] of unit length, labels [n, h, w]."""

    centres: np.ndarray
    labels: np.ndarray


def regions(features: np.ndarray, count: int, *, seed: int = 0) -> Regions:
    """Spherical k-means of the pixels of feature maps [n, h, w, c]; section 3.1 of Collins et al.

    Pixels are compared by their angle. Raises `ValueError` for more regions than pixels.
    """
    from sklearn.cluster import KMeans

    given = check_array("features", features, meant=" [n, h, w, c]")
    check_whole("count", count, 1)
    if given.ndim != 4 or count > given[..., 0].size:
        raise ValueError(f"features {list(given.shape)}; allowed: [n, h, w, c] of {count} pixels")
    flat = given.reshape(-1, given.shape[-1]).astype(np.float64)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = flat / np.maximum(length, 1e-12)
    tries: Any = 4
    found = KMeans(count, n_init=tries, random_state=seed).fit(flat)
    centres = found.cluster_centers_
    centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return Regions(centres, (flat @ centres.T).argmax(1).reshape(given.shape[:3]))


def contributions(features: np.ndarray, found: Regions) -> np.ndarray:
    """How much channel c contributes to region k: [k, c], from features [n, h, w, c].

    The mean square of its values, in units of its deviation over all pixels, with those outside of
    the region as 0: the regions add up to 1. Equation 2 of Collins et al.
    """
    given = check_array("features", features).astype(np.float64)
    flat, place = given.reshape(-1, given.shape[-1]), found.labels.ravel()
    square = ((flat - flat.mean(0)) / np.maximum(flat.std(0), 1e-12)) ** 2
    parts = [(square * (place == k)[:, None]).mean(0) for k in range(len(found.centres))]
    return np.stack(parts)


def channel_query(
    shares: np.ndarray, region: int, *, budget: float, least: float = 0.0
) -> np.ndarray:
    """Which channels [c] to take over for an edit of one region: 1 or 0, from shares [k, c].

    In the order of their shares, as long as what they do elsewhere, the sum of 1 - share, stays
    within `budget` (ε), and only those with a share above `least` (ρ). Section 3.3 of Collins et
    al.
    """
    m = check_array("shares", shares)
    check_at_least("budget", budget, 0)
    check_whole("region", region, 0)
    if m.ndim != 2 or region >= len(m):
        raise ValueError(f"region {region} of shares {list(m.shape)}; allowed: 0 to {len(m) - 1}")
    order = np.argsort(-m[region], kind="stable")
    spent = np.cumsum(1 - m[region][order])
    chosen = order[(spent <= budget) & (m[region][order] > least)]
    query = np.zeros(m.shape[1])
    query[chosen] = 1.0
    return query


def transfer(style: np.ndarray, reference: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The style [..., c] with the channels of `query` [c] taken from the reference; equation 5."""
    return (1 - query) * style + query * reference


class Intervention(NamedTuple):
    """The changed style [c], and the final loss."""

    style: np.ndarray
    loss: float


def intervene(
    style: np.ndarray,
    normals: np.ndarray,
    target: int,
    *,
    margin: float = 1.0,
    weights: tuple[float, float, float] = WEIGHTS,
    steps: int = 500,
) -> Intervention:
    """The style [c] that crosses one attribute's plane with the sparsest change, others kept.

    Args:
        style: the channels of a picture, in units of their deviations from the mean.
        normals: [k, c], unit normals of attributes in S (see `boundaries.boundary`).
        target: which of them is to reach `margin`, the signed distance wanted.
        margin: negative to lower the attribute.
        weights: of the wish for the target, of the distances of the others, of the l1 norm.
        steps: of Adam.

    The idea of Liu et al. 2020, section 3: attributes are nearly separated by planes in S.
    """
    start = jnp.asarray(check_array("style", style), float)
    planes = jnp.asarray(unit(check_array("normals", normals)), float)
    check_whole("target", target, 0)
    if planes.ndim != 2 or planes.shape[1:] != start.shape or target >= len(planes):
        raise ValueError(
            f"normals {list(planes.shape)}, style {list(start.shape)}, target {target}; allowed: "
            f"[k, c], [c], 0 to k - 1"
        )
    own = float(planes[target] @ start)
    side = 1.0 if margin > 0 else -1.0
    found = _sparsest(planes, target, (margin - own, side), weights, steps)
    change = np.asarray(found.u[0])
    kept = np.where(np.abs(change) < CUT * np.abs(change).max(initial=0), 0.0, change)
    return Intervention(np.asarray(start) + kept, float(found.loss[0]))


def step_across(
    normals: np.ndarray,
    target: int,
    amount: float,
    *,
    weights: tuple[float, float, float] = WEIGHTS,
    steps: int = 500,
) -> np.ndarray:
    """The sparse change [c] of a style by which it goes `amount` across plane `target`.

    As `intervene`, but from wherever a style lies: what the others keep and what the target gains
    do not depend on it. Everything is in units of deviations; a negative amount goes back.
    """
    planes = jnp.asarray(unit(check_array("normals", normals)), float)
    if not amount:
        return np.zeros(planes.shape[1])
    found = _sparsest(planes, target, (amount, float(np.sign(amount))), weights, steps)
    change = np.asarray(found.u[0])
    return np.where(np.abs(change) < CUT * np.abs(change).max(initial=0), 0.0, change)


def _sparsest(
    planes: Array,
    target: int,
    goal: tuple[float, float],
    weights: tuple[float, float, float],
    steps: int,
) -> Minimum:
    """The change [1, c] that gains goal[0], or more to the side of goal[1], of plane `target`."""
    gain, side = goal
    others = np.arange(len(planes)) != target

    def loss(change: Array) -> Array:
        moved = planes @ change
        short = jax.nn.relu(side * (gain - moved[target]))
        kept = jnp.where(others, moved, 0.0)
        return (
            weights[0] * short**2
            + weights[1] * (kept**2).sum()
            + weights[2] * jnp.abs(change).sum()
        )

    return minimise(loss, SolverSpec("adam", 0.02), jnp.zeros((1, planes.shape[1])), steps)
