"""Convolutions whose channels fall into groups that do not see each other; one sample [h, w, c]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array


def grouped_conv(x: Array, kernel: Array) -> Array:
    """Cross-correlation of x [h, w, groups * in] with kernel [k, k, groups, in, out], same size.

    A product of matrices for every tap: XLA:CPU runs a convolution with groups, and its gradient
    even more so, on a slow path.
    """
    size, _, groups, inside, outside = kernel.shape
    height, width, _ = x.shape
    before = size // 2
    padded = jnp.pad(x, ((before, size - 1 - before),) * 2 + ((0, 0),))
    split = padded.reshape(*padded.shape[:2], groups, inside).transpose(2, 0, 1, 3)
    total = jnp.zeros((groups, height, width, outside), x.dtype)
    for row in range(size):
        for column in range(size):
            part = lax.slice(
                split, (0, row, column, 0), (groups, row + height, column + width, inside)
            )
            total = total + jnp.einsum("ghwi,gio->ghwo", part, kernel[row, column])
    return total.transpose(1, 2, 0, 3).reshape(height, width, groups * outside)


class GroupedConv(Module):
    """A convolution with a [3, 3, groups, in, out] kernel."""

    features: int
    groups: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h, w, features]."""
        shape = (3, 3, self.groups, x.shape[-1] // self.groups, self.features // self.groups)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        return grouped_conv(x.astype(kernel.dtype), kernel)
