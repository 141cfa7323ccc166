"""Directions of a generator's Jacobian at a code: spectra, curves, and low-rank subspaces.

Ramesh et al. 2019 (arXiv:1812.01161) and Zhu et al. 2021 (LowRankGAN, arXiv:2106.04488).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.boundaries import unit
from jaxinv.edits.discovery.sefa import signed
from jaxinv.specs.checks import check_array, check_at_least, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array

    Picture = Callable[[Array], Array]


class Spectrum(NamedTuple):
    """Directions [k, d] of unit length and how fast the picture changes along them [k]."""

    directions: np.ndarray
    values: np.ndarray


class LowRank(NamedTuple):
    """A symmetric matrix as low rank plus sparse, the rank found and the rounds it took."""

    low: np.ndarray
    sparse: np.ndarray
    rank: int
    rounds: int


def spectrum(draw: Picture, code: Array, count: int) -> Spectrum:
    """The `count` leading right singular vectors of the Jacobian of `draw` at a code [...].

    No Jacobian is formed: products with it and with its transpose are enough (Lanczos). `draw`
    makes any array of one code: a picture, a region of it, its features. Ramesh et al. 2019,
    section 3. Raises `ValueError` for a count that is not below the numbers of the code.
    """
    check_whole("count", count, 1)
    point = jnp.asarray(code, float)
    if count >= point.size:
        raise ValueError(f"{count} directions at a code of {point.size}; allowed: less")
    from scipy.sparse.linalg import LinearOperator, eigsh

    def gram(vector: Array) -> Array:
        _, push = jax.linearize(draw, point)
        pull = jax.linear_transpose(push, point)
        return pull(push(vector.reshape(point.shape)))[0].ravel()

    product = jax.jit(gram)
    kind: Any = LinearOperator  # annotated as a class of its own makers
    operator = kind(
        (point.size, point.size),
        matvec=lambda v: np.asarray(product(jnp.asarray(v, point.dtype)), np.float64),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).standard_normal(point.size)
    values, vectors = eigsh(operator, int(count), v0=start)
    order = np.argsort(-values)
    return Spectrum(signed(vectors.T[order]), np.sqrt(np.maximum(values[order], 0)))


def curve(draw: Picture, code: Array, number: int, *, steps: int, length: float) -> np.ndarray:
    """Codes [steps + 1, d] along the `number`-th direction, found anew at every step.

    The sign is kept from step to step, and so is the direction where two change places: of the
    leading ones, the one nearest to the last. `length` is that of the whole curve. Ramesh et al.
    2019, section 4.
    """
    check_whole("steps", steps, 1)
    check_whole("number", number, 0)
    points, last = [np.asarray(code, np.float64)], None
    for _ in range(steps):
        found = spectrum(draw, jnp.asarray(points[-1]), number + 2).directions
        if last is not None:
            likeness = found @ last
            nearest = int(np.abs(likeness).argmax())
            last = found[nearest] * np.sign(likeness[nearest])
        else:
            last = found[number]
        points.append(points[-1] + length / steps * last.reshape(points[-1].shape))
    return np.stack(points)


def gram_matrix(draw: Picture, code: Array, rows: int | None = None) -> np.ndarray:
    """J^T J / `rows` [d, d] of the Jacobian of `draw` at a code [d]; rows: the numbers drawn."""
    point = jnp.asarray(code, float)

    def push(axis: Array) -> Array:
        return jax.jvp(draw, (point,), (axis.reshape(point.shape),))[1].ravel()

    jacobian = np.asarray(jax.jit(jax.vmap(push))(jnp.eye(point.size)), np.float64)
    return jacobian @ jacobian.T / (rows or jacobian.shape[1])


def robust_pca(
    matrix: np.ndarray, weight: float = 1 / 60, *, rounds: int = 3000, tolerance: float = 1e-7
) -> LowRank:
    """`matrix` [d, d] as low rank plus sparse, by alternating directions.

    Minimises the nuclear norm plus `weight` times the l1 norm (principal component pursuit; Candès
    et al. 2011; Zhu et al. 2021, equation 4), until the sum fits to `tolerance`.
    """
    m = check_array("matrix", matrix).astype(np.float64)
    check_at_least("weight", weight, 0)
    check_whole("rounds", rounds, 1)
    if m.ndim != 2 or not m.any():
        raise ValueError(f"matrix {list(m.shape)}; allowed: [d, d], not all 0")
    mu = m.size / (4 * np.linalg.norm(m, 1))
    sparse, multiplier, low, done = np.zeros_like(m), np.zeros_like(m), m, 0
    for round_ in range(rounds):
        left, values, right = np.linalg.svd(m - sparse + multiplier / mu, full_matrices=False)
        low = (left * np.maximum(values - 1 / mu, 0)) @ right
        rest = m - low + multiplier / mu
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - weight / mu, 0)
        gap = m - low - sparse
        multiplier = multiplier + mu * gap
        done = round_ + 1
        if np.linalg.norm(gap) <= tolerance * np.linalg.norm(m):
            break
    return LowRank(low, sparse, int(np.linalg.matrix_rank(low)), done)


def low_rank_directions(low: LowRank) -> np.ndarray:
    """The unit directions [rank, d] that span the low-rank part, the strongest first."""
    return np.linalg.svd(low.low)[2][: low.rank]


def null_projected(directions: np.ndarray, rest: LowRank, relax: int = 0) -> np.ndarray:
    """Directions [k, d] without what moves the rest of the picture: unit rows [k, d].

    They are projected on the null space of the low-rank part of the rest's Gram matrix; `relax`
    strongest of its directions more are let through. Zhu et al. 2021, section 3.3. Raises
    `ValueError` where nothing is left.
    """
    check_whole("relax", relax, 0)
    free = np.linalg.svd(rest.low)[2][max(1, rest.rank - relax) :]
    if not len(free):
        raise ValueError(f"the rest has full rank {rest.rank}; allowed: a null space (see relax)")
    return unit(check_array("directions", directions) @ free.T @ free)
