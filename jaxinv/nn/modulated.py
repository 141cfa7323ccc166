"""The modulated convolution of StyleGAN2, with its weights shared by all lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.nn.bilinear_primitive import bilinear
from jaxinv.nn.conv import Geometry, Pads, backward_kernel, conv, convolve, kernel_sum_squares
from jaxinv.nn.linear import cast_like
from jaxinv.nn.linear_primitive import linear
from jaxinv.nn.resample import blur, blur_phases
from jaxinv.nn.trainable_conv import Backward, Forward, Taps, TotalTaps

if TYPE_CHECKING:
    from jaxinv.types import Array

EPSILON = 1e-8
DOUBLE = Geometry(padding=2, spread=2)
HALVE = Geometry(stride=2, padding=0)
SMALL = 8
# Pixel i of x meets tap t of `doubled` at 2 i + 2 - t: taps of a convolution of stride 2, reversed.
HALVING_TAPS = Taps((3, 3), 2, ((0, 0), (0, 0)), 1)


class Kernel(NamedTuple):
    """A kernel [3, 3, in, out], and what `precompute_backward` made of it: both or none."""

    forward: Array
    backward: Array | None = None
    energy: Array | None = None


def demodulation(style: Array, kernel: Kernel) -> Array:
    """Factors [out] that give every output unit variance: equation 3, without a kernel per lane."""
    energy = kernel_sum_squares(kernel.forward) if kernel.energy is None else kernel.energy
    return lax.rsqrt(jnp.square(style) @ energy + EPSILON)


def modulated_conv(x: Array, style: Array, kernel: Kernel, *, up: bool = False) -> Array:
    """Convolution of x [h, w, in] with a kernel [3, 3, in, out] scaled by style [in].

    Karras et al. 2020 (StyleGAN2), equation 1. Scaling the input gives the same as scaling the
    kernel, and no lane has a kernel of its own; the output is still to be scaled by `demodulation`.
    With `up`, a transposed convolution of stride 2 and a blur give [2h, 2w, out]; the kernel is
    then the correlation's, applied after zeros were put between the pixels.
    """
    x = (x * cast_like(style, x)).astype(kernel.forward.dtype)
    if not up:
        return conv(x, kernel.forward, kernel.backward)
    if kernel.backward is None:
        maps = (Forward(doubled), Backward(halved, backward_kernel), DoubledTaps(HALVING_TAPS))
        return bilinear(maps, x, kernel.forward)
    return linear(doubled, halved, x, kernel.forward, kernel.backward)


def doubled(x: Array, kernel: Array, backward: Array) -> Array:
    """Zeros between the pixels of x [h, w, in], the kernel [3, 3, in, out], the filter of `blur`.

    Every second row and column of the result meets the same taps of the kernel: four convolutions
    with 4, 2, 2 and 1 of them make it without multiplying a zero. On the smallest images one is as
    fast on CPU.
    """
    if x.shape[0] <= SMALL:
        return blur(convolve(DOUBLE)(x, kernel, backward))
    corner = _part(x, kernel[::2, ::2], ((1, 1), (1, 1)))
    right = _part(x, kernel[::2, 1:2], ((1, 1), (0, 0)))
    below = _part(x, kernel[1:2, ::2], ((0, 0), (1, 1)))
    return blur_phases(corner, right, below, x @ kernel[1, 1])


def _part(x: Array, kernel: Array, pads: Pads) -> Array:
    return lax.conv_general_dilated(
        x[None], kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]


def halved(g: Array, kernel: Array, backward: Array) -> Array:
    """The transpose of `doubled`: [2h, 2w, out] -> [h, w, in]."""
    del kernel
    return convolve(HALVE)(blur(g, padding=2), backward, backward)


@dataclass(frozen=True)
class DoubledTaps:
    """The gradient of the kernel of `doubled`."""

    taps: Taps | TotalTaps

    def __call__(self, g: Array, x: Array) -> Array:
        """g [..., 2h, 2w, out] and x [..., h, w, in] -> [3, 3, in, out]."""
        flat = jax.vmap(lambda g: blur(g, padding=2))(g.reshape(-1, *g.shape[-3:]))
        return backward_kernel(self.taps(x, flat.reshape(*g.shape[:-3], *flat.shape[1:])))

    def total(self) -> DoubledTaps:
        """The same, summed over lanes."""
        return DoubledTaps(self.taps.total())
