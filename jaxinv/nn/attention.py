"""Attention: of pixels (Zhang et al. 2019, SAGAN, section 3) and of tokens with several heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.nn.linear import Linear, cast_like
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array

REDUCTION = 8  # queries and keys have an eighth of the channels


class SelfAttention(Module):
    """x + gamma * (attention over all pixels), without a scale of the products.

    `pooled`: keys and values are the largest of every 2x2 pixels, values have half the channels,
    and nothing has a bias (Brock et al. 2019, BigGAN).
    """

    pooled: bool = False

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """[h, w, c] -> the same, and the weights [h w, keys] of every pixel's attention."""
        channels, bias = x.shape[-1], not self.pooled
        narrow, wide = channels // REDUCTION, channels // 2 if self.pooled else channels
        query = _flat(Linear(narrow, bias, name="query")(x))
        key, value = (
            _flat(largest(y) if self.pooled else y)
            for y in (Linear(narrow, bias, name="key")(x), Linear(wide, bias, name="value")(x))
        )
        weights = jax.nn.softmax(query @ key.T, axis=-1)
        seen = weights @ value
        if self.pooled:
            seen = Linear(channels, bias, name="out")(seen)
        gamma = self.param("gamma", nn.initializers.zeros, ())
        return x + cast_like(gamma * seen.reshape(x.shape), x), weights


def _flat(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def largest(x: Array) -> Array:
    """[h, w, c] -> [h/2, w/2, c]: the largest of every 2x2 pixels."""
    height, width, channels = x.shape
    return jnp.max(x.reshape(height // 2, 2, width // 2, 2, channels), (1, 3))


def many_headed(
    query: Array, key: Array, value: Array, heads: int, mask: Array | None = None
) -> Array:
    """Scaled dot-product attention of query [n, c] over key and value [m, c] -> [n, c].

    Every head sees c / heads channels; `mask` [n, m] is added to the products (Vaswani et al. 2017,
    section 3.2).
    """
    q, k, v = (x.reshape(len(x), heads, -1) for x in (query, key, value))
    products = jnp.einsum("nhc,mhc->hnm", q, k) / q.shape[-1] ** 0.5
    weights = jax.nn.softmax(products if mask is None else products + mask, axis=-1)
    return jnp.einsum("hnm,mhc->nhc", weights, v).reshape(len(query), -1)
