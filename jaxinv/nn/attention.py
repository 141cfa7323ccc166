"""Self-attention over the pixels of one sample (Zhang et al. 2019, SAGAN, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax

from jaxinv.nn.linear import Linear

if TYPE_CHECKING:
    from jaxinv.types import Array

REDUCTION = 8  # queries and keys have an eighth of the channels


class SelfAttention(nn.Module):
    """x + gamma * (attention over all pixels), without pooling and without a scale."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [h, w, c]."""
        height, width, channels = x.shape
        flat = x.reshape(height * width, channels)
        query = Linear(channels // REDUCTION, name="query")(flat)
        key = Linear(channels // REDUCTION, name="key")(flat)
        value = Linear(channels, name="value")(flat)
        weights = jax.nn.softmax(query @ key.T, axis=-1)
        gamma = self.param("gamma", nn.initializers.zeros, ())
        return x + gamma * (weights @ value).reshape(x.shape)
