"""PGGAN, the progressive GAN (Karras et al. 2018, arXiv:1710.10196). It draws from z alone.

All gains are folded into the weights. `lod` is the level at which training stood: 0 is the full
resolution, a fraction blends two levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.generators.base import Generator, from_z
from jaxinv.nn.conv import FROZEN, conv
from jaxinv.nn.linear import leaky_relu, pixel_norm
from jaxinv.nn.progressive import nearest_double
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array


class Layer(nn.Module):
    """Convolution, bias, leaky ReLU, pixel norm; with `up` the resolution is doubled first."""

    channels: tuple[int, int]
    up: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h, w, out], or twice that size."""
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, *self.channels))
        x = nearest_double(x) if self.up else x
        y = conv(x, kernel, self.get_variable(FROZEN, "backward"))
        bias = self.param("bias", nn.initializers.zeros, (self.channels[1],))
        return pixel_norm(leaky_relu(y + bias))


class Dense(nn.Module):
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


class Colours(nn.Module):
    """Pointwise layer to an image."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h, w, 3]."""
        weight = self.param("weight", nn.initializers.lecun_normal(), (x.shape[-1], 3))
        return x @ weight + self.param("bias", nn.initializers.zeros, (3,))


class Progressive(nn.Module):
    """z -> image. `widths` are the channels at 4, 8 ... px."""

    widths: tuple[int, ...]
    lod: float
    tanh: bool

    def setup(self) -> None:
        first = self.widths[0]
        self.dense = Dense(first)
        blocks = [[Layer((first, first), False, name="b4_conv1")]]
        pairs = zip(self.widths, self.widths[1:], strict=False)
        for index, (inside, outside) in enumerate(pairs, start=1):
            side = 4 << index
            blocks.append(
                [
                    Layer((inside, outside), True, name=f"b{side}_conv0"),
                    Layer((outside, outside), False, name=f"b{side}_conv1"),
                ]
            )
        self.blocks = blocks
        self.colours = [Colours(name=f"b{4 << i}_rgb") for i in range(len(self.widths))]

    def __call__(self, z: Array, size: int) -> Array:
        """[z_dim] -> [size, size, 3]."""
        x, last = self.dense(z), len(self.widths) - 1
        low = image = jnp.zeros((4, 4, 3))
        for index, block in enumerate(self.blocks):
            for layer in block:
                x = layer(x)
            level = last - index  # of detail: 0 at the full resolution
            if index:
                low, image = nearest_double(low), nearest_double(image)
            own = self.colours[index](x) if level - self.lod < 1 or self.is_initializing() else low
            # Linear between two levels, and above the finer one only enlarged.
            if level >= self.lod:
                image = own
            elif level > self.lod - 1:
                image = own + (low - own) * (self.lod - level)
            low = own
        return area_reduce(jnp.tanh(image) if self.tanh else image, size)


def build(spec: GeneratorSpec) -> Generator:
    """The generator of a `spec` with the facts widths, lod and tanh."""
    facts = dict(spec.facts)
    network = Progressive(facts["widths"], facts.get("lod", 0.0), facts.get("tanh", False))
    return from_z(spec, network)
