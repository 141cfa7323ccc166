"""The end of a StyleGAN2 layer: scale, noise, bias and leaky ReLU in one, with a lean gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.nn.linear import SQRT2, leaky_relu

if TYPE_CHECKING:
    from jaxinv.types import Array

SLOPE = 0.2


@jax.custom_jvp
def activated(y: Array, scale: Array, noise: Array, bias: Array) -> Array:
    """sqrt(2) leaky_relu(y * scale + noise + bias): [h, w, c], [c], [h, w, 1], [c] -> [h, w, c].

    Its derivative by the scale asks for y, which is worked out of the result instead of being kept:
    half the memory of a gradient. The scale must not be 0.
    """
    return SQRT2 * leaky_relu(y * scale + noise + bias, SLOPE)


def _tangent(
    primals: tuple[Array, Array, Array, Array], tangents: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array]:
    _, scale, noise, bias = primals
    dy, dscale, dnoise, dbias = tangents
    out = activated(*primals)
    positive = out >= 0
    y = (jnp.where(positive, out, out / SLOPE) / SQRT2 - noise - bias) / scale
    inner = dy * scale + y * dscale + dnoise + dbias
    return out, jnp.where(positive, SQRT2 * inner, SQRT2 * SLOPE * inner)


activated.defjvp(_tangent)
