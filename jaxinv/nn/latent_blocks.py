"""Blocks of the autoencoders of latent diffusion (Rombach et al. 2022); one sample [h, w, c]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.nn.attention import many_headed
from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import Linear, cast_like
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array

EPSILON = 1e-6


class GroupNorm(Module):
    """Mean 0 and variance 1 over pixels and the channels of a group, factors, shifts (Wu 2018)."""

    groups: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [h, w, c]."""
        shape = x.shape[-1:]
        factor = self.param("scale", nn.initializers.ones, shape)
        shift = self.param("bias", nn.initializers.zeros, shape)
        wide = x.astype(jnp.float32).reshape(-1, self.groups, x.shape[-1] // self.groups)
        wide = wide - jnp.mean(wide, (0, 2), keepdims=True)
        wide = wide * lax.rsqrt(jnp.mean(wide * wide, (0, 2), keepdims=True) + EPSILON)
        return cast_like(wide.reshape(x.shape) * factor + shift, x)


class ResBlock(Module):
    """x + two convolutions of it, each after a normalisation and a sigmoid-weighted unit."""

    width: int
    groups: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h, w, width]."""
        y = Conv(self.width, name="conv1")(jax.nn.silu(GroupNorm(self.groups, name="norm1")(x)))
        y = Conv(self.width, name="conv2")(jax.nn.silu(GroupNorm(self.groups, name="norm2")(y)))
        changed = x.shape[-1] != self.width
        return y + (Linear(self.width, name="conv_shortcut")(x) if changed else x)


class PixelAttention(Module):
    """x + attention of one head over all its normalised pixels."""

    groups: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [h, w, c]."""
        flat = GroupNorm(self.groups, name="group_norm")(x).reshape(-1, x.shape[-1])
        parts = (Linear(x.shape[-1], name=name)(flat) for name in ("to_q", "to_k", "to_v"))
        seen = Linear(x.shape[-1], name="to_out")(many_headed(*parts, heads=1))
        return x + seen.reshape(x.shape)


class Halve(Module):
    """A convolution of stride 2 that sees one more row and column below and on the right."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h / 2, w / 2, width]."""
        wide = jnp.pad(x, ((0, 1), (0, 1), (0, 0)))
        return Conv(self.width, stride=2, padding=0, name="conv")(wide)
