"""Layers of encoders by name, on one sample, with a normalisation that can learn from a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import Linear
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Array

BATCH = "batch"  # the axis over which a training step maps
STATISTICS = "batch_stats"


class Norm(Module):
    """Batch normalisation (Ioffe & Szegedy 2015) of one sample of a batch.

    It uses its running mean and variance, unless the collection "batch_stats" may change: then
    those of the batch, the mapped axis "batch", towards which the running ones move by `momentum`.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1
    scaled: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., c] -> [..., c]."""
        shape = x.shape[-1:]
        mean = self.variable(STATISTICS, "mean", jnp.zeros, shape)
        variance = self.variable(STATISTICS, "variance", jnp.ones, shape)
        at, spread = mean.value, variance.value
        if self.is_mutable_collection(STATISTICS) and not self.is_initializing():
            axes = tuple(range(x.ndim - 1))
            at = lax.pmean(jnp.mean(x, axes), BATCH)
            spread = lax.pmean(jnp.mean(jnp.square(x - at), axes), BATCH)
            count = x.size // x.shape[-1] * lax.psum(1, BATCH)
            unbiased = spread * (count / max(count - 1, 1))
            mean.value += self.momentum * (lax.stop_gradient(at) - mean.value)
            variance.value += self.momentum * (lax.stop_gradient(unbiased) - variance.value)
        y = (x - at) * lax.rsqrt(spread + self.epsilon)
        if self.scaled:
            y = y * self.param("scale", nn.initializers.ones, shape)
        return y + self.param("bias", nn.initializers.zeros, shape)


class Slope(Module):
    """x where it is positive, else x times a slope per channel (He et al. 2015, PReLU)."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., c] -> [..., c]."""
        slope = self.param("slope", nn.initializers.constant(0.25), x.shape[-1:])
        return jnp.where(x >= 0, x, x * slope)


class Equalised(Module):
    """Fully connected layer with weights of deviation 1, scaled when used (Karras et al. 2018)."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., in] -> [..., features]."""
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return x @ kernel * shape[0] ** -0.5 + bias


class Network(Module):
    """A network that makes its layers by name: those of the published files."""

    spec: EncoderSpec

    def fact(self, name: str, usual: Any) -> Any:
        """A fact of its parts, where the spec says one."""
        return dict(self.spec.facts).get(name, usual)

    def conv(self, name: str, x: Array, features: int, size: int = 3, stride: int = 1) -> Array:
        """Convolution with a bias, padded by half of its kernel."""
        return Conv(features, size, stride, size // 2, name=name)(x)

    def plain_conv(
        self, name: str, x: Array, features: int, size: int = 3, stride: int = 1
    ) -> Array:
        """The same without a bias, as normalisations follow it."""
        return Conv(features, size, stride, size // 2, bias=False, name=name)(x)

    def norm(self, name: str, x: Array, epsilon: float = 1e-5) -> Array:
        """Batch normalisation."""
        return Norm(epsilon, name=name)(x)

    def slope(self, name: str, x: Array) -> Array:
        """PReLU."""
        return Slope(name=name)(x)

    def dense(self, name: str, x: Array, features: int) -> Array:
        """Fully connected layer over the last axis."""
        return Linear(features, name=name)(x)

    def equalised(self, name: str, x: Array, features: int) -> Array:
        """The same with an equalised learning rate."""
        return Equalised(features, name=name)(x)
