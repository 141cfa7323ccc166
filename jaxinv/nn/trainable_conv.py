"""Gradients of kernels: sums over pixels, one matrix product per tap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from jaxinv.types import Array


@dataclass(frozen=True)
class Taps:
    """The sums over pixels that make the gradient of a kernel [h, w, in, out]."""

    size: tuple[int, int]
    stride: int
    pads: tuple[tuple[int, int], tuple[int, int]]
    spread: int
    sums_lanes: ClassVar[bool] = True

    def __call__(self, g: Array, x: Array) -> Array:
        """g [..., h', w', out] and x [..., h, w, in] -> [size, size, in, out]."""
        config = [(low, high, self.spread - 1) for low, high in self.pads]
        lanes = [(0, 0, 0)] * (x.ndim - 3)
        wide = lax.pad(x, jnp.zeros((), x.dtype), [*lanes, *config, (0, 0, 0)])
        rows, columns, outside = g.shape[-3:]
        flat = g.reshape(-1, outside)
        reach = [(n - 1) * self.stride + 1 for n in (rows, columns)]

        def tap(row: int, column: int) -> Array:
            seen = wide[..., row : row + reach[0] : self.stride, column : column + reach[1], :]
            return seen[..., :: self.stride, :].reshape(len(flat), -1).T @ flat

        height, width = self.size
        return jnp.stack([jnp.stack([tap(r, c) for c in range(width)]) for r in range(height)])


@dataclass(frozen=True)
class Forward:
    """A map of (x, kernel, kernel) as one of (x, kernel)."""

    map: Any

    def __call__(self, x: Array, kernel: Array) -> Array:
        """The same value."""
        return self.map(x, kernel, kernel)


@dataclass(frozen=True)
class Backward:
    """A map of (g, kernel, `lay(kernel)`) as one of (g, kernel)."""

    map: Any
    lay: Any

    def __call__(self, g: Array, kernel: Array) -> Array:
        """The same value."""
        # Without the barrier the layout is folded back into the convolution: slow inside a loop.
        return self.map(g, kernel, lax.optimization_barrier(self.lay(kernel)))
