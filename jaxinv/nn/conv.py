"""Convolutions whose backward pass is a plain convolution with a kernel laid out beforehand.

Inside a loop XLA:CPU runs the reversed, axis-swapped kernel of an automatic gradient on a generic
slow path (8 to 30 times slower). Handing the flipped kernel in as a separate, frozen array avoids
it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from jaxinv.types import Array, Params

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
FROZEN = "frozen"


def backward_kernel(kernel: Array) -> Array:
    """Kernel of the transposed convolution: [h, w, in, out] flipped, in and out swapped."""
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


def freeze(params: Params) -> Params:
    """Tree of backward kernels, one for every convolution kernel [h, w, in, out] in `params`."""
    frozen: Params = {}
    for name, value in params.items():
        if isinstance(value, dict):
            if inner := freeze(value):
                frozen[name] = inner
        elif name == "kernel" and value.ndim == 4:
            frozen["backward"] = jnp.array(backward_kernel(value))
    return frozen


class Geometry(NamedTuple):
    """Stride, zeros on all sides, and spread: 2 puts a zero between neighbours (transposed)."""

    stride: int = 1
    padding: int = 1
    spread: int = 1


def plain_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Cross-correlation of x [h, w, in] with kernel [kh, kw, in, out]."""
    stride, padding, spread = geometry
    pads = ((padding, padding), (padding, padding))
    out = lax.conv_general_dilated(
        x[None],
        kernel,
        (stride, stride),
        pads,
        lhs_dilation=(spread, spread),
        dimension_numbers=DIMENSIONS,
    )
    return out[0]


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def frozen_conv(x: Array, kernel: Array, backward: Array, geometry: Geometry) -> Array:
    """Same as `plain_conv`; the kernels are constants: their gradient is zero by definition."""
    del backward
    return plain_conv(x, kernel, geometry)


def _forward(
    x: Array, kernel: Array, backward: Array, geometry: Geometry
) -> tuple[Array, tuple[Array, Array, Array]]:
    return plain_conv(x, kernel, geometry), (jnp.zeros((0, *x.shape)), kernel, backward)


def _backward(
    geometry: Geometry, kept: tuple[Array, Array, Array], g: Array
) -> tuple[Array, Array, Array]:
    empty, kernel, backward = kept
    stride, _, spread = geometry
    pads = tuple(
        _transposed_padding(
            empty.shape[1 + axis], g.shape[axis], kernel.shape[axis], geometry=geometry
        )
        for axis in (0, 1)
    )
    dx = lax.conv_general_dilated(
        g[None],
        backward,
        (spread, spread),
        pads,
        lhs_dilation=(stride, stride),
        dimension_numbers=DIMENSIONS,
    )
    return dx[0], jnp.zeros_like(kernel), jnp.zeros_like(backward)


def _transposed_padding(size: int, out: int, kernel: int, *, geometry: Geometry) -> tuple[int, int]:
    low = kernel - 1 - geometry.padding
    spread_out = (size - 1) * geometry.spread + 1
    return low, spread_out - ((out - 1) * geometry.stride + 1) + kernel - 1 - low


frozen_conv.defvjp(_forward, _backward)


SAME = Geometry()


def conv(x: Array, kernel: Array, backward: Array | None, geometry: Geometry = SAME) -> Array:
    """Cross-correlation; its gradient uses the backward kernel if there is one."""
    if backward is None:
        return plain_conv(x, kernel, geometry)
    return frozen_conv(x, kernel, backward, geometry)


class Conv(nn.Module):
    """Convolution with a [k, k, in, features] kernel and a bias, on one sample [h, w, in].

    Uses the frozen backward kernel when the "frozen" collection holds one, otherwise automatic
    gradients.
    """

    features: int
    size: int = 3
    stride: int = 1
    padding: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h', w', features]."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        backward = self.get_variable(FROZEN, "backward")
        y = conv(x, kernel, backward, Geometry(self.stride, self.padding))
        return y + self.param("bias", nn.initializers.zeros, (self.features,))
