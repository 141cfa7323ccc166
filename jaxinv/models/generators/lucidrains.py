"""StyleGAN2 of lucidrains' stylegan2-pytorch: one row of W+ per block, one noise map for all.

A first convolution before the blocks, bilinear enlargement, and, where the code was told to,
attention before a block and a start that comes of w. Images are nominally in [0, 1] there, in
[-1, 1] here. The noise map is cropped for the smaller blocks; it has mean 0 and variance 1 here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import BACKWARD_KERNELS, Conv
from jaxinv.nn.linear import Linear, cast_like, leaky_relu
from jaxinv.nn.linear_attention import ChannelNorm, LinearAttention
from jaxinv.nn.mapping import mapping_of
from jaxinv.nn.modulated import Kernel, demodulation, modulated_conv
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import smooth
from jaxinv.nn.resample import area_reduce, blur_double

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State

SIDE = 4
KINDS = ("conv0", "conv1", "torgb")  # the modulations of a block


class Plan(NamedTuple):
    """Facts of a network: channels of the start and of every block, and what else it has.

    `attention` are the inner channels of that before every block, 0 without one; `mapped_start`:
    the start comes of w.
    """

    first: int
    widths: tuple[int, ...]
    attention: tuple[int, ...]
    mapped_start: bool

    @property
    def inputs(self) -> tuple[int, ...]:
        """Channels that come into every block."""
        return (self.first, *self.widths[:-1])


class Layer(Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU."""

    channels: tuple[int, int]

    def setup(self) -> None:
        inside, outside = self.channels
        self.style = Linear(inside)
        self.kernel = self.param("kernel", nn.initializers.normal(), (3, 3, inside, outside))
        self.bias = self.param("bias", nn.initializers.zeros, (outside,))
        self.strength = self.param("strength", nn.initializers.zeros, (outside,))

    def __call__(self, x: Array, style: Array, noise: Array) -> Array:
        """[side, side, in], [side, side] -> [side, side, out]."""
        backward, energy = (
            self.get_variable(BACKWARD_KERNELS, name) for name in ("backward", "energy")
        )
        kernel = Kernel(self.kernel, backward, energy)
        y = modulated_conv(x, style, kernel)
        y = y * cast_like(demodulation(style, kernel), y)
        return leaky_relu(y + cast_like(noise[..., None] * self.strength + self.bias, y))


class ToImage(Module):
    """Modulated pointwise layer to an image, without demodulation."""

    channels: int

    def setup(self) -> None:
        self.style = Linear(self.channels)
        self.weight = self.param("weight", nn.initializers.normal(), (self.channels, 3))

    def __call__(self, x: Array, style: Array) -> Array:
        """[side, side, channels] -> [side, side, 3]."""
        return x @ (style[:, None] * self.weight)


class Attention(Module):
    """Linear attention and two pointwise layers, each of normalised pixels and added."""

    inner: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [h, w, c]."""
        channels = x.shape[-1]
        y = ChannelNorm(name="norm0")(x)
        x = x + LinearAttention(self.inner, name="attention")(y)
        y = Linear(2 * channels, name="fc0")(ChannelNorm(name="norm1")(x))
        return x + Linear(channels, name="fc1")(leaky_relu(y))


class Synthesis(Module):
    """Styles and noise -> image."""

    plan: Plan

    @property
    def steps(self) -> tuple[str, ...]:
        """One per convolution, the first with that before the blocks, and every attention."""
        names: list[str] = []
        for index, inner in enumerate(self.plan.attention):
            side = SIDE << index
            names += [f"b{side}_attention"] if inner else []
            names += [f"b{side}_conv0", f"b{side}_conv1"]
        return tuple(names)

    def setup(self) -> None:
        plan, side = self.plan, SIDE << (len(self.plan.widths) - 1)
        self.noise = self.param("noise", nn.initializers.normal(), (side, side))
        if plan.mapped_start:
            self.start = Linear(SIDE * SIDE * plan.first, bias=False)
        else:
            shape = (SIDE, SIDE, plan.first)
            self.const = self.param("const", nn.initializers.normal(), shape)
        self.before = Conv(plan.first)
        parts: dict[str, Any] = {}
        sizes = zip(plan.inputs, plan.widths, plan.attention, strict=True)
        for index, (inside, outside, inner) in enumerate(sizes):
            name = f"b{SIDE << index}"
            parts[f"{name}_conv0"] = Layer((inside, outside), name=f"{name}_conv0")
            parts[f"{name}_conv1"] = Layer((outside, outside), name=f"{name}_conv1")
            parts[f"{name}_torgb"] = ToImage(outside, name=f"{name}_torgb")
            if inner:
                parts[f"{name}_attention"] = Attention(inner, name=f"{name}_attention")
        self.parts = parts

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> the start if it comes of w, then three styles per block."""
        styles = [self.start(jnp.mean(w, 0))] if self.plan.mapped_start else []
        for index, row in enumerate(w):
            name = f"b{SIDE << index}"
            styles += [self.parts[f"{name}_{kind}"].style(row) for kind in KINDS]
        return tuple(styles)

    def step(self, index: int, state: State, s: tuple[Array, ...], noise: Any) -> State:
        """One convolution or attention: {"x": [h, w, channels], "image": the sum so far}."""
        name = self.steps[index]
        side, kind = int(name[1:].partition("_")[0]), name.rpartition("_")[2]
        block = (side // SIDE).bit_length() - 1
        x = state.get("x")
        if x is None:
            start = s[0].reshape(SIDE, SIDE, -1) if self.plan.mapped_start else self.const
            x = self.before(start)
        if kind == "attention":
            return {**state, "x": self.parts[name](x)}
        grain = (noise[0] if noise else self.noise)[:side, :side]
        first = 3 * block + self.plan.mapped_start
        if kind == "conv0":
            x = blur_double(x, "edge") if block else x
            return {**state, "x": self.parts[name](x, s[first], grain)}
        x = self.parts[name](x, s[first + 1], grain)
        image = self.parts[f"b{side}_torgb"](x, s[first + 2])
        image = image + state["image"] if block else image
        last = block == len(self.plan.widths) - 1
        return {"x": x, "image": image if last else smooth(blur_double(image, "edge"), "reflect")}

    def finish(self, state: State, s: tuple[Array, ...], size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del s
        return area_reduce(2 * state["image"] - 1, size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts first, widths, attention and mapped_start."""
    facts = dict(spec.facts)
    plan = Plan(facts["first"], facts["widths"], facts["attention"], facts["mapped_start"])
    synthesis = Synthesis(plan)

    def stored_noise(params: Params) -> tuple[Array, ...]:
        return (params["synthesis"]["noise"],)

    code = jnp.ones((spec.rows, spec.w_dim))
    return base.from_w(spec, mapping_of(spec), base.Synthesis(synthesis, code, stored_noise))
