"""StyleGAN, the first one (Karras et al. 2019, arXiv:1812.04948).

A layer is: convolution (from the second on), noise of a strength per channel, bias, leaky ReLU,
instance norm, and a style of a scale and a shift per channel. Gains are folded into the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.generators.base import Generator, from_w
from jaxinv.nn.conv import FROZEN, conv
from jaxinv.nn.linear import Linear, leaky_relu
from jaxinv.nn.mapping import mapping_of
from jaxinv.nn.progressive import instance_norm, nearest_double, smooth
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params


class Layer(nn.Module):
    """One style's layer; the first has no convolution, every second one doubles the resolution."""

    channels: tuple[int, int]
    side: int
    kind: str  # "none", "plain" or "up"

    def setup(self) -> None:
        outside = self.channels[1]
        self.style = Linear(2 * outside)
        if self.kind != "none":
            shape = (3, 3, *self.channels)
            self.kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        self.bias = self.param("bias", nn.initializers.zeros, (outside,))
        self.noise = self.param("noise", nn.initializers.normal(), (self.side, self.side))
        self.strength = self.param("strength", nn.initializers.zeros, (outside,))

    def __call__(self, x: Array, style: Array, noise: Array | None) -> Array:
        """[side or half of it, ..., in] -> [side, side, out]; style is [scale - 1 | shift]."""
        if self.kind != "none":
            x = nearest_double(x) if self.kind == "up" else x
            x = conv(x, self.kernel, self.get_variable(FROZEN, "backward"))
            x = smooth(x) if self.kind == "up" else x
        x = x + self.strength * (self.noise if noise is None else noise)[..., None] + self.bias
        scale, shift = jnp.split(style, 2)
        return instance_norm(leaky_relu(x)) * (1 + scale) + shift


class Synthesis(nn.Module):
    """Styles and noise -> image. `widths` are the channels at 4, 8 ... px."""

    widths: tuple[int, ...]

    def setup(self) -> None:
        first = self.widths[0]
        self.const = self.param("const", nn.initializers.ones, (4, 4, first))
        layers = [
            Layer((first, first), 4, "none", name="b4_const"),
            Layer((first, first), 4, "plain", name="b4_conv1"),
        ]
        pairs = zip(self.widths, self.widths[1:], strict=False)
        for index, (inside, outside) in enumerate(pairs, start=1):
            side = 4 << index
            layers.append(Layer((inside, outside), side, "up", name=f"b{side}_conv0"))
            layers.append(Layer((outside, outside), side, "plain", name=f"b{side}_conv1"))
        self.layers = layers
        self.weight = self.param("weight", nn.initializers.lecun_normal(), (self.widths[-1], 3))
        self.bias = self.param("bias", nn.initializers.zeros, (3,))

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> one style [2 channels] per layer."""
        return tuple(layer.style(row) for layer, row in zip(self.layers, w, strict=True))

    def __call__(self, s: tuple[Array, ...], noise: tuple[Array, ...] | None, size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        x = self.const
        for layer, style, one in zip(
            self.layers, s, noise or (None,) * len(self.layers), strict=True
        ):
            x = layer(x, style, one)
        return area_reduce(x @ self.weight + self.bias, size)


def build(spec: GeneratorSpec) -> Generator:
    """The generator of a `spec` with the facts mapping_layers, label and label_width."""
    widths = tuple(both // 2 for both in spec.styles[1::2])
    synthesis = Synthesis(widths)

    def stored_noise(params: Params) -> tuple[Array, ...]:
        tree = params["synthesis"]
        names = ["b4_const", "b4_conv1"]
        names += [f"b{4 << i}_conv{k}" for i in range(1, len(widths)) for k in (0, 1)]
        return tuple(tree[name]["noise"] for name in names)

    return from_w(spec, mapping_of(spec), synthesis, stored_noise)
