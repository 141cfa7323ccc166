"""Chains of layers as data: what DCGAN generators and chain discriminators are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.nn.attention import SelfAttention
from jaxinv.nn.conv import BACKWARD_KERNELS, Geometry, conv
from jaxinv.nn.linear import cast_like, leaky_relu
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, State


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": lambda x: 2 * jax.nn.sigmoid(x) - 1,  # from [0, 1] to [-1, 1]
}


class Layer(NamedTuple):
    """One step of a chain, and the activation behind it (`slope` is leaky_relu's).

    "dense" (to [side, side, channels], or flat if side is 0); "conv" and "up", the transposed
    convolution, with a kernel [size, size], a stride and a padding, cut to [side, side] if side is
    not 0; "attend", self-attention (Zhang et al. 2019, SAGAN); "scale", a factor and a shift per
    channel; "reshape" to [side, side, channels]; "nearest", which repeats every pixel `size` times
    each way.
    """

    kind: str
    channels: int
    activation: str
    side: int = 0
    size: int = 0
    stride: int = 1
    padding: int = 0
    slope: float = 0.2


class Step(Module):
    """One layer with its weights."""

    layer: Layer

    @nn.compact
    def __call__(self, x: Array) -> State:
        """Flat or [h, w, in] -> {"x": flat or [h', w', channels]}; see `SelfAttention` for more."""
        kind, _, activation, *_ = self.layer
        if kind == "attend":
            y, weights = SelfAttention(name="attention")(x)
            return {"x": y, "attention": weights}
        found = {"dense": self.dense, "conv": self.convolved, "up": self.convolved}
        found |= {"scale": self.scaled, "reshape": self.reshaped, "nearest": self.enlarged}
        y = found[kind](x)
        if activation == "leaky_relu":
            return {"x": leaky_relu(y, self.layer.slope)}
        return {"x": ACTIVATIONS[activation](y)}

    def dense(self, x: Array) -> Array:
        """Fully connected."""
        _, channels, _, side, *_ = self.layer
        count = channels * max(side, 1) ** 2
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.size, count))
        y = x.ravel() @ kernel + self.param("bias", nn.initializers.zeros, (count,))
        return y.reshape(side, side, channels) if side else y

    def scaled(self, x: Array) -> Array:
        """A factor and a shift per channel: a normalisation that no layer before can take in."""
        shape = (self.layer.channels,)
        factor = self.param("scale", nn.initializers.ones, shape)
        return x * factor + self.param("bias", nn.initializers.zeros, shape)

    def reshaped(self, x: Array) -> Array:
        """[side * side * channels] -> [side, side, channels]."""
        return x.reshape(self.layer.side, self.layer.side, self.layer.channels)

    def enlarged(self, x: Array) -> Array:
        """[h, w, channels] -> [size * h, size * w, channels]."""
        return x.repeat(self.layer.size, 0).repeat(self.layer.size, 1)

    def convolved(self, x: Array) -> Array:
        """Convolution, or the transposed one: a correlation after x was spread by the stride."""
        kind, channels, _, side, size, stride, padding, _ = self.layer
        x = x if x.ndim == 3 else x[None, None]
        shape = (size, size, x.shape[-1], channels)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        spread = Geometry(1, size - 1 - padding, stride)
        geometry = spread if kind == "up" else Geometry(stride, padding)
        y = conv(x, kernel, self.get_variable(BACKWARD_KERNELS, "backward"), geometry)
        y = y + cast_like(self.param("bias", nn.initializers.zeros, (channels,)), y)
        return y[:side, :side] if side else y
