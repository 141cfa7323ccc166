"""The modulated convolution of StyleGAN2, with its weights shared by all lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from jaxinv.nn.conv import SAME, Geometry, conv
from jaxinv.nn.resample import blur

if TYPE_CHECKING:
    from jaxinv.types import Array

EPSILON = 1e-8
DOUBLE = Geometry(stride=1, padding=2, spread=2)


def demodulation(style: Array, kernel: Array) -> Array:
    """Factors [out] that give every output unit variance: equation 3, without a kernel per lane."""
    energy = jnp.sum(jnp.square(kernel), (0, 1))
    return lax.rsqrt(jnp.square(style) @ energy + EPSILON)


def modulated_conv(
    x: Array, style: Array, kernel: Array, backward: Array | None, *, up: bool = False
) -> Array:
    """Convolution of x [h, w, in] with a kernel [3, 3, in, out] scaled by style [in], demodulated.

    Karras et al. 2020 (StyleGAN2), equations 1 and 3. Scaling the input and the output gives the
    same as scaling the kernel, and no lane has a kernel of its own. With `up`, a transposed
    convolution of stride 2 and a blur give [2h, 2w, out]; the kernel is then the correlation's,
    applied after zeros were put between the pixels.
    """
    y = conv(x * style, kernel, backward, DOUBLE if up else SAME)
    return (blur(y) if up else y) * demodulation(style, kernel)
