"""MobileStyleGAN: a distilled StyleGAN2 with separable convolutions and a wavelet head.

Belousov 2021, arXiv:2104.04767. There is no demodulation (it is folded into the exported weights)
and no image skip: one head gives the four Haar bands of the image. The low band alone is the
area-reduced image, so a loss below full resolution never renders it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import BACKWARD_KERNELS, conv
from jaxinv.nn.depthwise import depthwise3x3
from jaxinv.nn.linear import Linear, cast_like, leaky_relu
from jaxinv.nn.mapping import Mapping
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce, inverse_haar

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State

MAPPING_LAYERS = 8


class First(Module):
    """The full 3x3 convolution at 4x4."""

    channels: int

    def setup(self) -> None:
        self.style = Linear(self.channels)
        shape = (3, 3, self.channels, self.channels)
        self.kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        self.bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        self.noise = self.param("noise", nn.initializers.normal(), (4, 4))

    def __call__(self, x: Array, style: Array, noise: Array | None) -> Array:
        """[4, 4, channels] -> [4, 4, channels]."""
        y = conv(
            x * cast_like(style, x), self.kernel, self.get_variable(BACKWARD_KERNELS, "backward")
        )
        return leaky_relu(
            y + cast_like(scaled_noise(self.noise, noise), y) + cast_like(self.bias, y)
        )


class Separable(Module):
    """Modulate, depthwise 3x3, pointwise, noise, bias, leaky ReLU."""

    channels: tuple[int, int]
    side: int

    def setup(self) -> None:
        inside, outside = self.channels
        self.style = Linear(inside)
        self.depthwise = self.param("depthwise", nn.initializers.normal(1 / 3), (3, 3, inside))
        self.pointwise = self.param("pointwise", nn.initializers.he_normal(), (inside, outside))
        self.bias = self.param("bias", nn.initializers.zeros, (outside,))
        self.noise = self.param("noise", nn.initializers.normal(), (self.side, self.side))

    def __call__(self, x: Array, style: Array, noise: Array | None) -> Array:
        """[side, side, in] -> [side, side, out]."""
        # The style commutes with the depthwise kernel; applied after it, one pass over memory is
        # saved.
        y = depthwise3x3(cast_like(x, self.depthwise), self.depthwise)
        y = cast_like(y * cast_like(style, y), self.pointwise) @ self.pointwise
        return leaky_relu(
            y + cast_like(scaled_noise(self.noise, noise), y) + cast_like(self.bias, y)
        )


class Modulation(Module):
    """The style alone, of a layer without weights of its own."""

    channels: int

    def setup(self) -> None:
        self.style = Linear(self.channels)


class Block(Module):
    """Double the resolution by an inverse wavelet, then two separable convolutions."""

    channels: tuple[int, int]
    side: int

    def setup(self) -> None:
        inside, outside = self.channels
        self.up = Modulation(inside)
        self.conv1 = Separable((inside // 4, outside), self.side)
        self.conv2 = Separable((outside, outside), self.side)

    def __call__(
        self, x: Array, styles: tuple[Array, ...], noise: tuple[Array | None, ...]
    ) -> Array:
        """[side/2, side/2, in] -> [side, side, out]."""
        x = inverse_haar(x * cast_like(styles[0], x))
        return self.conv2(self.conv1(x, styles[1], noise[0]), styles[2], noise[1])


class Head(Module):
    """Modulated pointwise layer to the four wavelet bands of an RGB image."""

    channels: int

    def setup(self) -> None:
        self.style = Linear(self.channels)
        self.kernel = self.param("kernel", nn.initializers.lecun_normal(), (self.channels, 12))
        self.bias = self.param("bias", nn.initializers.zeros, (12,))

    def __call__(self, x: Array, style: Array, size: int) -> Array:
        """[side, side, in] -> image [size, size, 3]; half the low band is the image halved.

        Only a size that divides `side` may start from the low band: the cells of any other cut
        through its pixels.
        """
        side = x.shape[0]
        if side % size:
            return area_reduce(inverse_haar((x * style) @ self.kernel + self.bias), size)
        low = (x * style) @ self.kernel[:, :3] + self.bias[:3]
        return area_reduce(0.5 * low, size)


class Synthesis(Module):
    """Styles and noise -> image. `widths` are the channels at 4, 8, 16 ... px."""

    widths: tuple[int, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """The first convolution, then one per block."""
        return ("first", *(f"block{i}" for i in range(len(self.widths) - 1)))

    def setup(self) -> None:
        self.const = self.param("const", nn.initializers.normal(), (4, 4, self.widths[0]))
        self.first = First(self.widths[0])
        self.blocks = [
            Block((inside, outside), 8 * 2**index, name=f"block{index}")
            for index, (inside, outside) in enumerate(
                zip(self.widths, self.widths[1:], strict=False)
            )
        ]
        self.head = Head(self.widths[-1])

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> one style vector per modulation, in drawing order."""
        layers: list[Any] = [self.first]
        for block in self.blocks:
            layers += [block.up, block.conv1, block.conv2]
        layers.append(self.head)
        return tuple(layer.style(row) for layer, row in zip(layers, w, strict=True))

    def step(
        self, index: int, state: State, s: tuple[Array, ...], noise: tuple[Array, ...] | None
    ) -> State:
        """The first convolution or one block: {"x": [h, w, channels]}."""
        maps = noise or (None,) * (2 * len(self.steps) - 1)
        if index == 0:
            return {"x": self.first(state.get("x", self.const), s[0], maps[0])}
        block, last = self.blocks[index - 1], 3 * index + 1
        return {"x": block(state["x"], s[last - 3 : last], maps[2 * index - 1 : 2 * index + 1])}

    def finish(self, state: State, s: tuple[Array, ...], size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        return self.head(state["x"], s[-1], size)


def scaled_noise(stored: Array, noise: Array | None) -> Array:
    """The stored map, or a given unit-variance map at the stored one's strength; [r, r, 1]."""
    if noise is None:
        return stored[..., None]
    return (noise * jnp.sqrt(jnp.mean(stored * stored)))[..., None]


def widths(spec: GeneratorSpec) -> tuple[int, ...]:
    """Channels at 4, 8, 16 ... px, read off the style vectors of the spec."""
    return (spec.styles[0], *spec.styles[3::3])


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` whose `styles` lists the channels of all modulations."""
    mapping, synthesis = Mapping(spec.w_dim, MAPPING_LAYERS), Synthesis(widths(spec))

    def stored_noise(params: Params) -> tuple[Array, ...]:
        tree = params["synthesis"]
        maps = [tree["first"]["noise"]]
        for index in range(len(widths(spec)) - 1):
            maps += [tree[f"block{index}"][conv]["noise"] for conv in ("conv1", "conv2")]
        return tuple(m / jnp.maximum(jnp.sqrt(jnp.mean(m * m)), 1e-12) for m in maps)

    code = jnp.ones((spec.rows, spec.w_dim))
    return base.from_w(spec, mapping, base.Synthesis(synthesis, code, stored_noise))
