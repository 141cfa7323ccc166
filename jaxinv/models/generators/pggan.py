"""PGGAN, the progressive GAN (Karras et al. 2018, arXiv:1710.10196). It draws from z alone.

All gains are folded into the weights. `lod` is the level at which training stood: 0 is the full
resolution, a fraction blends two levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import BACKWARD_KERNELS, conv
from jaxinv.nn.linear import cast_like, leaky_relu, pixel_norm
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import nearest_double
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State


class Layer(Module):
    """Convolution, bias, leaky ReLU, pixel norm; with `up` the resolution is doubled first."""

    channels: tuple[int, int]
    up: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h, w, out], or twice that size."""
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, *self.channels))
        x = nearest_double(x) if self.up else x
        y = conv(x, kernel, self.get_variable(BACKWARD_KERNELS, "backward"))
        bias = self.param("bias", nn.initializers.zeros, (self.channels[1],))
        return pixel_norm(leaky_relu(y + cast_like(bias, y)))


class Dense(Module):
    """z [z_dim] -> [4, 4, channels]."""

    channels: int

    @nn.compact
    def __call__(self, z: Array) -> Array:
        """Fully connected from the normalised z."""
        shape = (z.shape[0], 16 * self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, shape[1:])
        y = (pixel_norm(z) @ kernel + bias).reshape(4, 4, self.channels)
        return pixel_norm(leaky_relu(y))


class Colours(Module):
    """Pointwise layer to an image."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h, w, 3]."""
        weight = self.param("weight", nn.initializers.lecun_normal(), (x.shape[-1], 3))
        return x @ weight + self.param("bias", nn.initializers.zeros, (3,))


class Progressive(Module):
    """z -> image. `widths` are the channels at 4, 8 ... px."""

    widths: tuple[int, ...]
    lod: float
    tanh: bool

    @property
    def steps(self) -> tuple[str, ...]:
        """The dense layer, then one per convolution."""
        return ("dense", *base.block_steps(len(self.widths))[1:])

    def setup(self) -> None:
        layers: list[Dense | Layer] = [Dense(self.widths[0], name="dense")]
        for number, name in enumerate(self.steps[1:], start=1):
            block, second = divmod(number, 2)
            channels = self.widths[block if second else block - 1], self.widths[block]
            layers.append(Layer(channels, not second, name=name))
        self.layers = layers
        self.colours = [Colours(name=f"b{4 << i}_rgb") for i in range(len(self.widths))]

    def step(self, index: int, state: State, z: Array, noise: None) -> State:
        """One layer: {"x": [h, w, channels]}; "image" too from the coarser of two blended levels.

        Between two levels the image is linear; above the finer one it is only enlarged.
        """
        del noise
        block, second = divmod(index, 2)
        state = {**state, "x": self.layers[index](state["x"] if index else z)}
        level = len(self.widths) - 1 - block  # of detail: 0 at the full resolution
        if not second or (level - self.lod >= 1 and not self.is_initializing()):
            return state
        own = self.colours[block](state["x"])
        if level >= self.lod:
            return {**state, "image": own}
        low = nearest_double(state["image"])
        share = min(self.lod - level, 1.0)
        return {**state, "image": own + (low - own) * share if share < 1 else low}

    def finish(self, state: State, z: Array, size: int) -> Array:
        """-> image [size, size, 3]."""
        del z
        image = state["image"]
        return area_reduce(jnp.tanh(image) if self.tanh else image, size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts widths, lod and tanh."""
    facts = dict(spec.facts)
    network = Progressive(facts["widths"], facts.get("lod", 0.0), facts.get("tanh", False))
    return base.from_z(spec, base.Synthesis(network, jnp.ones(spec.z_dim)))
