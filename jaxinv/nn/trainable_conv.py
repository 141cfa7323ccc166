"""The parts of convolutions with trainable kernels: forward, adjoint, gradient of the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from jaxinv.types import Array

    Pads = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Taps:
    """The sums over pixels that make the gradient of a kernel [h, w, in, out]."""

    size: tuple[int, int]
    stride: int
    pads: Pads
    spread: int

    def __call__(self, g: Array, x: Array) -> Array:
        """g [h', w', out] and x [h, w, in] -> [size, size, in, out]."""
        config = [(low, high, self.spread - 1) for low, high in self.pads]
        wide = lax.pad(x, jnp.zeros((), x.dtype), [*config, (0, 0, 0)])
        rows, columns, outside = g.shape
        flat = g.reshape(-1, outside)
        reach = [(n - 1) * self.stride + 1 for n in (rows, columns)]

        def tap(row: int, column: int) -> Array:
            seen = wide[row : row + reach[0] : self.stride, column : column + reach[1], :]
            return seen[:, :: self.stride].reshape(len(flat), -1).T @ flat

        height, width = self.size
        return jnp.stack([jnp.stack([tap(r, c) for c in range(width)]) for r in range(height)])

    def total(self) -> TotalTaps:
        """The same, summed over lanes."""
        return TotalTaps(self.size, self.stride, self.pads, self.spread)


@dataclass(frozen=True)
class TotalTaps:
    """The sum of `Taps` over all samples of a batch, as one convolution.

    Pixels of the result are the kernel's taps, its channels in are the samples. Written so, with
    the axes laid out beforehand, it is on the fast path of XLA:CPU, inside a loop too.
    """

    size: tuple[int, int]
    stride: int
    pads: Pads
    spread: int

    def __call__(self, g: Array, x: Array) -> Array:
        """g [..., h', w', out] and x [..., h, w, in] -> [size, size, in, out]."""
        g, x = (a.reshape(-1, *a.shape[-3:]) for a in (g, x))
        laid = jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(g, (1, 2, 0, 3))
        pixels, kernel = lax.optimization_barrier(laid)
        pads = []
        for axis, (low, _) in enumerate(self.pads):
            wide = (x.shape[1 + axis] - 1) * self.spread + 1
            reach = (g.shape[1 + axis] - 1) * self.stride + 1
            pads.append((low, self.size[axis] - 1 + reach - wide - low))
        found = lax.conv_general_dilated(
            pixels,
            kernel,
            (1, 1),
            pads,
            lhs_dilation=(self.spread, self.spread),
            rhs_dilation=(self.stride, self.stride),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return jnp.transpose(found, (1, 2, 0, 3))

    def total(self) -> TotalTaps:
        """The same: it takes any number of leading axes."""
        return self


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
