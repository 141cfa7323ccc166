"""Moving averages of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxinv.types import Array, Tree


def moved(average: Tree, weights: Tree, decay: Array | float) -> Tree:
    """The exponential moving average one step on: decay * average + (1 - decay) * weights."""
    return jax.tree.map(lambda a, w: w + decay * (a - w), average, weights)


def decay_by_half_life(seen: Array, batch: int, half_life: float, ramp: float = 0.05) -> Array:
    """The decay of one step whose weight halves after `half_life` pictures.

    At first the half-life is no more than the share `ramp` of the pictures `seen` (Karras et al.
    2020, StyleGAN2-ADA, as their code has it); a ramp of 0 leaves it as it is.
    """
    pictures = jnp.minimum(half_life, seen * ramp) if ramp else jnp.asarray(half_life)
    return 0.5 ** (batch / jnp.maximum(pictures, 1e-8))
