"""Attention of linear cost (Shen et al. 2021, arXiv:1812.01243) and of the pixels around each.

As in the small generators of lucidrains; heads have `HEAD` channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.nn.depthwise import depthwise3x3
from jaxinv.nn.linear import Linear, cast_like
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array

HEAD = 64
EPSILON = 1e-5


class ChannelNorm(Module):
    """Mean 0 and variance 1 over the channels of every pixel, then a factor and a shift."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [h, w, c]."""
        shape = x.shape[-1:]
        factor = self.param("scale", nn.initializers.ones, shape)
        shift = self.param("bias", nn.initializers.zeros, shape)
        mean = jnp.mean(x, -1, keepdims=True)
        scale = lax.rsqrt(jnp.var(x, -1, keepdims=True) + EPSILON)
        return (x - mean) * scale * factor + shift


class LinearAttention(Module):
    """Attention whose keys are summed before queries see them; `local` adds 3 x 3 neighbours.

    Both parts see the same pixels; their channels stand beside each other, the linear ones first.
    """

    inner: int
    local: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [h, w, c]."""
        height, width, channels = x.shape
        query = Linear(self.inner, bias=False, name="query")(x)
        taps = self.param("depthwise", nn.initializers.normal(1 / 3), (3, 3, channels))
        near = depthwise3x3(cast_like(x, taps), taps)
        key, value = jnp.split(Linear(2 * self.inner, bias=False, name="pair")(near), 2, -1)
        found = jax.nn.gelu(linear_attention(query, key, value), approximate=False)
        if self.local:
            query = Linear(self.inner, bias=False, name="local_query")(x)
            pair = Linear(2 * self.inner, bias=False, name="local_pair")(x)
            key, value = jnp.split(pair, 2, -1)
            found = jnp.concatenate([found, neighbour_attention(query, key, value)], -1)
        return Linear(channels, name="out")(found).reshape(height, width, channels)


def _heads(x: Array) -> Array:
    """[h, w, heads * HEAD] -> [h w, heads, HEAD]."""
    return x.reshape(-1, x.shape[-1] // HEAD, HEAD)


def linear_attention(query: Array, key: Array, value: Array) -> Array:
    """Normalised queries over channels times normalised keys over positions times values.

    All are [h, w, inner], and so is the result.
    """
    q, k, v = (_heads(x) for x in (query, key, value))
    q, k = jax.nn.softmax(q, axis=-1) * HEAD**-0.5, jax.nn.softmax(k, axis=0)
    seen = jnp.einsum("nhd,nhe->hde", k, v)
    return jnp.einsum("nhd,hde->nhe", q, seen).reshape(query.shape)


def neighbour_attention(query: Array, key: Array, value: Array) -> Array:
    """Scaled dot-product attention of every pixel over its 3 x 3 neighbours, zeros beyond edges.

    All are [h, w, inner]; the zeros take part in the softmax, as in the published code.
    """
    height, width, _ = query.shape
    k, v = (jnp.pad(x, ((1, 1), (1, 1), (0, 0))) for x in (key, value))
    places = [(row, column) for row in range(3) for column in range(3)]
    keys, values = (
        jnp.stack([_heads(x[r : r + height, c : c + width]) for r, c in places]) for x in (k, v)
    )
    products = jnp.einsum("nhd,jnhd->jnh", _heads(query), keys) * HEAD**-0.5
    weights = jax.nn.softmax(products, axis=0)
    return jnp.einsum("jnh,jnhd->nhd", weights, values).reshape(query.shape)
