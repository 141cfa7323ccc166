"""Fully connected layer and the activations that generators share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array


SQRT2 = 2.0**0.5


class Linear(Module):
    """y = x @ kernel + bias with kernel [in, features]; scales are folded in at conversion."""

    features: int
    bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., in] -> [..., features]."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        y = x.astype(kernel.dtype) @ kernel
        if not self.bias:
            return y
        return y + cast_like(self.param("bias", nn.initializers.zeros, (self.features,)), y)


def cast_like(a: Array, x: Array) -> Array:
    """`a` in the type of `x`, which it would otherwise widen: see `mixed_precision.cast_params`."""
    return a.astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def leaky_relu(x: Array, slope: float = 0.2) -> Array:
    """max(x, slope * x)."""
    return jnp.maximum(x, slope * x)


@leaky_relu.defjvp
def _leaky_tangent(
    slope: float, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    y = leaky_relu(primals[0], slope)
    # Asked of the result, which later layers keep anyway: the input needs not be kept as well.
    return y, jnp.where(y >= 0, tangents[0], slope * tangents[0])


def clamped(x: Array, limit: float | None) -> Array:
    """x, at most `limit` away from zero if there is a limit."""
    return x if limit is None else jnp.clip(x, -limit, limit)


def pixel_norm(x: Array, epsilon: float = 1e-8) -> Array:
    """x divided by the root mean square over its last axis (Karras et al. 2018, PGGAN, 4.2)."""
    square = jnp.square(x.astype(jnp.float32))
    return x * cast_like(lax.rsqrt(jnp.mean(square, axis=-1, keepdims=True) + epsilon), x)
