"""Penalties on unknowns: pure functions of the codes or parameters of one lane.

Each is a scalar unless it says so. Gradients are finite everywhere.
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


def principal_coordinates(code: Array, mean: Array, axes: Array, scales: Array) -> Array:
    """Coordinates [..., k] of code - mean along principal axes, in standard deviations.

    code [..., d], mean [d], axes [d, k] (orthonormal columns), scales [k]. Their mean square is the
    prior of P_N (Zhu et al. 2020, II2S) where the code is `to_p(w)` and the axes are those of P.
    """
    return (code - mean) @ axes / scales


def norm(apart: Array, power: int = 1) -> Array:
    """Euclidean length over all rows, to the power 1 (pSp's norm of w - mean) or 2 (iGAN).

    Raises `ValueError` for other powers.
    """
    if power not in (1, 2):
        raise ValueError(f"power of norm must be 1 or 2, got {power}")
    square = jnp.sum(jnp.square(apart))
    return square if power == 2 else jnp.sqrt(square + TINY)


def delta_norm(rows: Array) -> Array:
    """Sum, over rows 1 and up, of the distance to row 0; rows [n, d] (Tov et al. 2021, e4e)."""
    return jnp.sum(delta_norms(rows))


def delta_norms(rows: Array) -> Array:
    """The distances [n - 1] of rows 1 and up to row 0; rows [n, d]."""
    return jnp.sqrt(jnp.sum(jnp.square(rows[1:] - rows[0]), axis=-1) + TINY)


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


def drift(changes: Tree, power: int = 2) -> Array:
    """Mean of |change| ** power over all values of a tree, power 1 or 2.

    Raises `ValueError` for other powers.
    """
    if power not in (1, 2):
        raise ValueError(f"power of drift must be 1 or 2, got {power}")
    leaves = jax.tree.leaves(changes)
    total = sum((jnp.sum(jnp.abs(x) if power == 1 else x * x) for x in leaves), jnp.zeros(()))
    return total / max(sum(x.size for x in leaves), 1)
