"""WaveGAN (Donahue et al. 2019, arXiv:1802.04208): z -> sound, by convolutions along time.

A generator draws pictures here, so a sound is one: its samples in [-1, 1], line by line, in the
smallest square that holds them, zeros behind. One channel is three equal
colours; of two the third colour is their mean.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import BACKWARD_KERNELS, Geometry, conv
from jaxinv.nn.linear import Linear, cast_like
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State

FIRST, TIMES = 16, 4  # samples that the dense layer gives, and what a layer multiplies them by


class Layer(NamedTuple):
    """Channels of a layer, taps of its kernel, and the factor by which it makes sounds longer.

    `spread`: it is a transposed convolution; otherwise samples are repeated before it, four times.
    """

    channels: int
    taps: int
    factor: int
    spread: bool


class Lengthen(Module):
    """A convolution along time that makes sounds longer."""

    layer: Layer

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[n, 1, in] -> [factor * n, 1, channels] (2 more of a transposed one of factor 2)."""
        channels, taps, factor, spread = self.layer
        shape = (taps, 1, x.shape[-1], channels)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        backward = self.get_variable(BACKWARD_KERNELS, "backward")
        if spread:
            # Behind the last sample stands one zero more than before the first: both get as many,
            # and what the first of them makes is cut off.
            edge = taps - taps // 2 + 1
            y = conv(x, kernel, backward, Geometry(1, (edge, 0), factor))[1:]
        else:
            geometry = Geometry(TIMES // factor, (taps // 2, 0))
            y = conv(x.repeat(TIMES, 0), kernel, backward, geometry)
        return y + cast_like(self.param("bias", nn.initializers.zeros, (channels,)), y)


class Sound(Module):
    """z -> sound, as a picture."""

    layers: tuple[Layer, ...]
    first: int

    @property
    def steps(self) -> tuple[str, ...]:
        """The dense layer, then those along time."""
        return ("dense", *(f"layer{index}" for index in range(len(self.layers))))

    def setup(self) -> None:
        self.dense = Linear(FIRST * self.first)
        pairs = zip(self.layers, self.steps[1:], strict=True)
        self.chain = [Lengthen(layer, name=name) for layer, name in pairs]

    def step(self, index: int, state: State, z: Array, noise: None) -> State:
        """One layer: {"x": [samples, 1, channels]}."""
        del noise
        if index == 0:
            return {"x": jax.nn.relu(self.dense(z).reshape(FIRST, 1, self.first))}
        y = self.chain[index - 1](state["x"])
        return {"x": jnp.tanh(y) if index == len(self.layers) else jax.nn.relu(y)}

    def finish(self, state: State, z: Array, size: int) -> Array:
        """-> picture [size, size, 3] in [-1, 1]."""
        del z
        samples = state["x"][:, 0]
        if samples.shape[-1] == 2:
            samples = jnp.concatenate([samples, samples.mean(-1, keepdims=True)], -1)
        side = side_of(len(samples))
        padded = jnp.pad(samples, ((0, side * side - len(samples)), (0, 0)))
        return area_reduce(jnp.broadcast_to(padded, (side * side, 3)).reshape(side, side, 3), size)


def side_of(samples: int) -> int:
    """Side of the smallest square of so many samples."""
    return math.isqrt(samples - 1) + 1


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts layers and first."""
    facts = dict(spec.facts)
    network = Sound(tuple(Layer(*fields) for fields in facts["layers"]), facts["first"])
    return base.from_z(spec, base.Synthesis(network, jnp.ones(spec.z_dim)))
