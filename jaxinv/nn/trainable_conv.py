"""Convolutions whose kernels are unknowns too, with gradients that stay fast inside a loop.

The automatic gradients of a convolution inside a loop fall onto a generic slow path of XLA:CPU.
Here the gradient of the input is a plain convolution with the rearranged kernel, and that of the
kernel is one matrix product per tap. First derivatives only: in those of the second order each of
the two takes the other for a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxinv.nn.linear_primitive import linear

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array

    Map = Callable[..., Array]


@dataclass(frozen=True)
class Taps:
    """The sums over pixels that make the gradient of a kernel [h, w, in, out]."""

    size: tuple[int, int]
    stride: int
    pads: tuple[tuple[int, int], tuple[int, int]]
    spread: int

    def __call__(self, g: Array, x: Array) -> Array:
        """g [h', w', out] and x [h, w, in] -> [size, size, in, out]."""
        config = [(low, high, self.spread - 1) for low, high in self.pads]
        wide = lax.pad(x, jnp.zeros((), x.dtype), [*config, (0, 0, 0)])
        rows, columns, outside = g.shape
        flat = g.reshape(-1, outside)
        reach = [(n - 1) * self.stride + 1 for n in (rows, columns)]

        def tap(row: int, column: int) -> Array:
            seen = wide[row : row + reach[0] : self.stride, column : column + reach[1] :]
            return seen[:, :: self.stride].reshape(len(flat), -1).T @ flat

        height, width = self.size
        return jnp.stack([jnp.stack([tap(r, c) for c in range(width)]) for r in range(height)])


@dataclass(frozen=True)
class Swapped:
    """A map of (x, kernel) as one of (kernel, x)."""

    map: Any

    def __call__(self, kernel: Array, x: Array) -> Array:
        """The same value."""
        return self.map(x, kernel, kernel)


def trainable(maps: tuple[Map, Map, Taps], lay: Map, x: Array, kernel: Array) -> Array:
    """`maps[0](x, kernel, kernel)`, which may be differentiated by both, forwards and in reverse.

    `maps` are the convolution, its adjoint in x and the taps of the kernel's gradient;
    `lay(kernel)` is the kernel that the adjoint takes.
    """
    forward, adjoint, taps = maps

    @jax.custom_jvp
    def run(x: Array, kernel: Array) -> Array:
        return forward(x, kernel, kernel)

    def tangent(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
        (x, kernel), (dx, dkernel) = primals, tangents
        total: Any = jnp.zeros(())
        if not isinstance(dx, SymbolicZero):
            # Without the barrier the layout is folded back into the convolution.
            backward = lax.optimization_barrier(lay(kernel))
            total = total + linear(forward, adjoint, dx, kernel, backward)
        if not isinstance(dkernel, SymbolicZero):
            total = total + linear(Swapped(forward), taps, dkernel, x)
        return run(x, kernel), total

    run.defjvp(tangent, symbolic_zeros=True)
    return run(x, kernel)
