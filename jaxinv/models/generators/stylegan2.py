"""StyleGAN2 and StyleGAN2-ADA (Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676).

The skip architecture of all published generators: blocks at 4, 8, 16 ... px, each with its own
image, and the sum of the enlarged images. Learning-rate multipliers and gains are folded into the
weights; the addition of 1 to every style is part of its bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.nn.linear import SQRT2, Linear, cast_like, clamped, leaky_relu
from jaxinv.nn.mapping import mapping_of
from jaxinv.nn.modulated import Kernel, demodulation, modulated_conv
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce, blur_double

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State


class Layer(Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; `up` doubles the resolution."""

    channels: tuple[int, int]
    side: int
    up: bool
    clamp: float | None

    def setup(self) -> None:
        inside, outside = self.channels
        self.style = Linear(inside)
        self.kernel = self.param("kernel", nn.initializers.normal(), (3, 3, inside, outside))
        self.bias = self.param("bias", nn.initializers.zeros, (outside,))
        self.noise = self.param("noise", nn.initializers.normal(), (self.side, self.side))
        self.strength = self.param("strength", nn.initializers.zeros, ())

    def __call__(self, x: Array, style: Array, noise: Array | None) -> Array:
        """[side or half of it, ..., in] -> [side, side, out]."""
        backward, energy = (
            self.get_variable(BACKWARD_KERNELS, name) for name in ("backward", "energy")
        )
        kernel = Kernel(self.kernel, backward, energy)
        y = modulated_conv(x, style, kernel, up=self.up)
        grain = SQRT2 * self.strength * (self.noise if noise is None else noise)[..., None]
        # The gain comes before the leaky ReLU, where it needs no pass of its own.
        y = y * cast_like(SQRT2 * demodulation(style, kernel), y)
        y = y + cast_like(grain, y) + cast_like(SQRT2 * self.bias, y)
        return clamped(leaky_relu(y), self.clamp)


class ToRGB(Module):
    """Modulated pointwise layer to an image, without demodulation."""

    channels: int
    clamp: float | None
    colours: int = 3

    def setup(self) -> None:
        self.style = Linear(self.channels)
        # Not called kernel: it needs no backward kernel. The gain 1 / sqrt(channels) is folded in.
        shape = (self.channels, self.colours)
        self.weight = self.param("weight", nn.initializers.normal(), shape)
        self.bias = self.param("bias", nn.initializers.zeros, (self.colours,))

    def __call__(self, x: Array, style: Array) -> Array:
        """[side, side, channels] -> [side, side, colours]."""
        return clamped(x @ (style[:, None] * self.weight) + self.bias, self.clamp)


class Synthesis(Module):
    """Styles and noise -> image. `widths` are the channels at 4, 8, 16 ... px."""

    widths: tuple[int, ...]
    clamp: float | None
    colours: int = 3

    @property
    def steps(self) -> tuple[str, ...]:
        """One per convolution; the second of a block draws its image too."""
        return base.block_steps(len(self.widths))[1:]

    def setup(self) -> None:
        self.const = self.param("const", nn.initializers.normal(), (4, 4, self.widths[0]))
        layers: list[Layer] = []
        for number, name in enumerate(self.steps):
            block, up = (number + 1) // 2, number % 2 == 1
            channels = self.widths[block - up], self.widths[block]
            layers.append(Layer(channels, 4 << block, up, self.clamp, name=name))
        self.layers = layers
        self.images = [
            ToRGB(width, self.clamp, self.colours, name=f"b{4 << index}_torgb")
            for index, width in enumerate(self.widths)
        ]

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> one style per modulation: conv0, conv1, torgb of every block.

        The image layer of a block shares its row with the first convolution of the next.
        """
        styles: list[Array] = []
        for number, layer in enumerate(self.layers):
            block = (number + 1) // 2
            styles.append(layer.style(w[number]))
            if number % 2 == 0:
                styles.append(self.images[block].style(w[number + 1]))
        return tuple(styles)

    def step(
        self, index: int, state: State, s: tuple[Array, ...], noise: tuple[Array, ...] | None
    ) -> State:
        """One convolution: {"x": [h, w, channels], "image": the sum so far, absent at first}."""
        block = (index + 1) // 2
        x = self.layers[index](
            state.get("x", self.const), s[index + block], noise[index] if noise else None
        )
        if index % 2:
            return {**state, "x": x}
        own = self.images[block](x, s[index + block + 1])
        return {"x": x, "image": blur_double(state["image"]) + own if block else own}

    def finish(self, state: State, s: tuple[Array, ...], size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del s
        return area_reduce(state["image"], size)


def widths(spec: GeneratorSpec) -> tuple[int, ...]:
    """Channels at 4, 8, 16 ... px, read off the style vectors of the spec (those of torgb)."""
    return tuple(spec.styles[1::3])


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts mapping_layers, label and clamp."""
    facts = dict(spec.facts)
    synthesis = Synthesis(widths(spec), facts.get("clamp"))

    def stored_noise(params: Params) -> tuple[Array, ...]:
        tree = params["synthesis"]
        return tuple(tree[name]["noise"] for name in synthesis.steps)

    code = jnp.ones((spec.rows, spec.w_dim))
    return base.from_w(spec, mapping_of(spec), base.Synthesis(synthesis, code, stored_noise))
