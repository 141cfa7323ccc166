"""Penalties on unknowns: pure functions of the codes or parameters of one lane, each a scalar.

The Gaussian prior, the spread of rows and the autocorrelation of noise maps stand in `losses`: the
negative log-likelihood of N(0, 1) per value is half of its "gaussian". Gradients are finite
everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxinv.types import Array, Tree

TINY = 1e-12  # under roots, for finite gradients at 0


def l1(code: Array) -> Array:
    """Mean absolute value."""
    return jnp.mean(jnp.abs(code))


def mahalanobis(code: Array, mean: Array, axes: Array, scales: Array) -> Array:
    """Mean square of the code's principal coordinates in standard deviations.

    code [..., d], mean [d], axes [k, d] (orthonormal rows), scales [k]: the prior of P_N (Zhu et
    al. 2020, II2S) where the code is `leaky(w, 5)` and the axes are those of such codes.
    """
    return jnp.mean(jnp.square((code - mean) @ axes.T / scales))


def leaky(code: Array, slope: float) -> Array:
    """Leaky ReLU; slope 5 undoes the 0.2 at the end of a mapping network (the space P)."""
    return jnp.where(code >= 0, code, slope * code)


def norm_from(code: Array, mean: Array, power: int = 1) -> Array:
    """Euclidean length of code - mean over all rows, to the power 1 (pSp's norm of w) or 2 (iGAN).

    Raises `ValueError` for other powers.
    """
    if power not in (1, 2):
        raise ValueError(f"power of norm_from must be 1 or 2, got {power}")
    square = jnp.sum(jnp.square(code - mean))
    return square if power == 2 else jnp.sqrt(square + TINY)


def delta_norm(rows: Array) -> Array:
    """Sum, over rows 1 and up, of the distance to row 0; rows [n, d] (Tov et al. 2021, e4e)."""
    return jnp.sum(jnp.sqrt(jnp.sum(jnp.square(rows[1:] - rows[0]), axis=-1) + TINY))


def geodesic(a: Array, b: Array) -> Array:
    """Angle between vectors of equal length, in radians; over the last axis (Kahan's formula)."""
    apart = jnp.sqrt(jnp.sum(jnp.square(a - b), axis=-1) + TINY)
    across = jnp.sqrt(jnp.sum(jnp.square(a + b), axis=-1) + TINY)
    return 2 * jnp.arctan2(apart, across)


def geocross(rows: Array) -> Array:
    """Mean squared angle between all pairs of rows [n, d], times d / 8.

    All n^2 ordered pairs count, a row with itself as 0. Source: Menon et al. 2020, PULSE, as its
    code scales it.
    """
    angles = geodesic(rows[:, None], rows[None])
    return jnp.mean(jnp.square(angles)) * rows.shape[-1] / 8


def residual_energy(residuals: Tree) -> Array:
    """Sum, over the arrays of a tree, of their mean squares (Bau et al. 2019, GANSeeing)."""
    return sum((jnp.mean(jnp.square(x)) for x in jax.tree.leaves(residuals)), jnp.zeros(()))


def drift(params: Tree, start: Tree, power: int = 2) -> Array:
    """Mean of |change| ** power over all values of two trees of parameters; power 1 or 2.

    Raises `ValueError` for other powers, and for trees that differ in structure.
    """
    if power not in (1, 2):
        raise ValueError(f"power of drift must be 1 or 2, got {power}")
    changes = jax.tree.leaves(jax.tree.map(jnp.subtract, params, start))
    total = sum((jnp.sum(jnp.abs(x) if power == 1 else x * x) for x in changes), jnp.zeros(()))
    return total / max(sum(x.size for x in changes), 1)
