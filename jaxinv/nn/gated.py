"""Gated linear units with what stands before them in FastGAN and its kin; one sample [h, w, c]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import Linear, cast_like
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array


def gated(x: Array) -> Array:
    """The first half of the channels times the sigmoid of the second (Dauphin et al. 2017)."""
    kept, gate = jnp.split(x, 2, axis=-1)
    return kept * jax.nn.sigmoid(gate)


class GatedUnit(Module):
    """Convolution, noise, scale and shift of a class, gated linear unit.

    A kernel of 4 x 4 sees one pixel more above and on the left.
    """

    width: int
    side: int
    noisy: bool
    classes: bool = False
    size: int = 3

    @nn.compact
    def __call__(self, x: Array, noise: Array | None, vector: Array | None = None) -> Array:
        """[side, side, in] -> [side, side, width]."""
        wide = 2 * self.width
        x = jnp.pad(x, ((1, 0), (1, 0), (0, 0))) if self.size == 4 else x
        y = Conv(wide, self.size, name="conv")(x)
        if self.noisy:
            stored = self.param("noise", nn.initializers.normal(), (self.side, self.side))
            strength = self.param("strength", nn.initializers.zeros, (wide,))
            grain = (stored if noise is None else noise)[..., None] * strength
            y = y + cast_like(grain, y)
        if self.classes and vector is not None:
            gain, shift = (Linear(wide, name=name)(vector) for name in ("gain", "shift"))
            y = y * cast_like(1 + gain, y) + cast_like(shift, y)
        return gated(y)
