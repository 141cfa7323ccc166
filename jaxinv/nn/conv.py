"""Convolutions whose backward pass is a plain convolution with a kernel prepared beforehand.

Inside a loop XLA:CPU runs the reversed, axis-swapped kernel of an automatic gradient on a generic
slow path (8 to 30 times slower). Handing the flipped kernel in as a separate, frozen array avoids
it. Forward mode runs the convolution itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.nn.bilinear_primitive import bilinear
from jaxinv.nn.linear import cast_like
from jaxinv.nn.linear_primitive import linear, shape_of
from jaxinv.nn.module import Module
from jaxinv.nn.trainable_conv import Backward, Forward, Taps

if TYPE_CHECKING:
    from jaxinv.types import Array, Params

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
BACKWARD_KERNELS = "frozen"
Pads = tuple[tuple[int, int], tuple[int, int]]


def backward_kernel(kernel: Array) -> Array:
    """Kernel of the transposed convolution: [h, w, in, out] flipped, in and out swapped."""
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


def kernel_sum_squares(kernel: Array) -> Array:
    """Sums of squares [in, out] of a kernel [h, w, in, out]: what demodulation needs of it."""
    return jnp.sum(jnp.square(kernel), (0, 1))


@jax.jit
def precompute_backward(params: Params) -> Params:
    """What is computed once: a backward kernel for every kernel [h, w, in, out] in `params`.

    Where a style belongs to the kernel, its energies too (see `kernel_sum_squares`).
    """
    return _frozen(params)


def _frozen(params: Params) -> Params:
    frozen: Params = {}
    for name, value in params.items():
        if isinstance(value, dict):
            if inner := _frozen(value):
                frozen[name] = inner
        elif name == "kernel" and value.ndim == 4:
            frozen["backward"] = backward_kernel(value)
            if "style" in params:
                frozen["energy"] = kernel_sum_squares(value)
    return frozen


class Geometry(NamedTuple):
    """Stride, zeros on all sides, and spread: 2 puts a zero between neighbours (transposed).

    The zeros are as many in both directions, or (above and below, left and right).
    """

    stride: int = 1
    padding: int | tuple[int, int] = 1
    spread: int = 1

    @property
    def paddings(self) -> tuple[int, int]:
        """Zeros above and below, left and right."""
        return self.padding if isinstance(self.padding, tuple) else (self.padding, self.padding)


@dataclass(frozen=True)
class Convolve:
    """Cross-correlation of x [h, w, in] with one of the two kernels, as a function that is data."""

    stride: int
    pads: Pads
    spread: int
    adjoint: bool = False

    def __call__(self, x: Array, kernel: Array, backward: Array) -> Array:
        """[h, w, in] -> [h', w', out], with `backward` instead of `kernel` if it is the adjoint."""
        used = backward if self.adjoint else kernel
        if self.stride == self.spread == 1 and min(x.shape[:2]) < max(used.shape[:2]):
            return _by_patches(x, used, self.pads)
        pads, columns = self._padded(x.shape, used.shape)
        out = lax.conv_general_dilated(
            x[None],
            used,
            (self.stride, self.stride),
            pads,
            lhs_dilation=(self.spread, self.spread),
            dimension_numbers=DIMENSIONS,
        )
        return out[0, :, :columns]

    def _padded(self, shape: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[Pads, int]:
        """The pads, and how many columns of the result are wanted.

        XLA:CPU is slower where nothing is padded. One more column of zeros on
        the right is the cure; if it yields one more column of the result, that is cut off.
        """
        room = (shape[1] - 1) * self.spread + 1 + sum(self.pads[1]) - kernel[1]
        columns = room // self.stride + 1
        if kernel[1] == 1 or any(pad > 0 for axis in self.pads for pad in axis):
            return self.pads, columns
        low, high = self.pads[1]
        return (self.pads[0], (low, high + 1)), columns


def _by_patches(x: Array, kernel: Array, pads: Pads) -> Array:
    """The convolution as one product of matrices.

    XLA:CPU has no fast path for images that are smaller than the kernel.
    """
    padded = jnp.pad(x, (*pads, (0, 0)))
    height, width = (padded.shape[axis] - kernel.shape[axis] + 1 for axis in (0, 1))
    parts = [
        padded[row : row + height, column : column + width]
        for row in range(kernel.shape[0])
        for column in range(kernel.shape[1])
    ]
    return jnp.concatenate(parts, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def convolve(geometry: Geometry) -> Convolve:
    """The convolution of a geometry."""
    rows, columns = geometry.paddings
    return Convolve(geometry.stride, ((rows, rows), (columns, columns)), geometry.spread)


def plain_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Cross-correlation of x [h, w, in] with kernel [kh, kw, in, out]."""
    return convolve(geometry)(x, kernel, kernel)


def fixed_kernel_conv(x: Array, kernel: Array, backward: Array, geometry: Geometry) -> Array:
    """Same as `plain_conv`; the kernels are constants: their gradient is zero by definition."""
    return linear(convolve(geometry), _adjoint(x, kernel, geometry), x, kernel, backward)


def trainable_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Same as `plain_conv`; the derivatives by both, of any order, are fast inside a loop too."""
    forward = convolve(geometry)
    size = (kernel.shape[0], kernel.shape[1])
    taps = Taps(size, geometry.stride, forward.pads, geometry.spread)
    adjoint = Backward(_adjoint(x, kernel, geometry), backward_kernel)
    return bilinear((Forward(forward), adjoint, taps), x, kernel)


def _adjoint(x: Array, kernel: Array, geometry: Geometry) -> Convolve:
    shapes = tuple((a.shape, a.dtype) for a in (x, kernel, kernel))
    out = shape_of(convolve(geometry), shapes).shape
    height, width = (
        _transposed_padding(
            x.shape[axis], out[axis], kernel.shape[axis], geometry.paddings[axis], geometry=geometry
        )
        for axis in (0, 1)
    )
    return Convolve(geometry.spread, (height, width), geometry.stride, adjoint=True)


def _transposed_padding(
    size: int, out: int, kernel: int, padding: int, *, geometry: Geometry
) -> tuple[int, int]:
    low = kernel - 1 - padding
    spread_out = (size - 1) * geometry.spread + 1
    return low, spread_out - ((out - 1) * geometry.stride + 1) + kernel - 1 - low


SAME = Geometry()


def conv(x: Array, kernel: Array, backward: Array | None, geometry: Geometry = SAME) -> Array:
    """Cross-correlation; without a backward kernel, the kernel may be differentiated by too.

    The kernel's type decides: x is cast to it, and so is the result.
    """
    x = x.astype(kernel.dtype)
    if backward is None:
        return trainable_conv(x, kernel, geometry)
    return fixed_kernel_conv(x, kernel, backward, geometry)


class Conv(Module):
    """Convolution with a [k, k, in, features] kernel, on one sample [h, w, in].

    `size` and `padding` may differ by direction: (rows, columns). Uses the frozen backward kernel
    when the "frozen" collection holds one; otherwise the kernel has a gradient as well.
    """

    features: int
    size: int | tuple[int, int] = 3
    stride: int = 1
    padding: int | tuple[int, int] = 1
    bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h', w', features]."""
        sides = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        shape = (*sides, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        backward = self.get_variable(BACKWARD_KERNELS, "backward")
        y = conv(x, kernel, backward, Geometry(self.stride, self.padding))
        if not self.bias:
            return y
        return y + cast_like(self.param("bias", nn.initializers.zeros, (self.features,)), y)
