"""Lightweight GAN of lucidrains: FastGAN with subpixel enlargement, attention and other gates.

Images are nominally in [0, 1] there, [-1, 1] here. Normalisations are folded into the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import Conv
from jaxinv.nn.gated import GatedUnit, gated
from jaxinv.nn.linear import Linear, leaky_relu
from jaxinv.nn.linear_attention import ChannelNorm, LinearAttention
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import smooth
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State

SLOPE, SHORTEST = 0.1, 1e-12


class Layer(NamedTuple):
    """One doubling: channels that it gives, inner channels of its attention (0 without one).

    `gate` is the layer whose channels its features gate, -1 without, `hidden` the width of that
    gate, "pooled" by attention over the pixels or "frequencies" by fixed cosines (`way`).
    """

    width: int
    attention: int
    gate: int
    hidden: int
    way: str


class Gate(Module):
    """Factors of channels from all pixels."""

    hidden: int
    width: int
    way: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [width]."""
        if self.way == "frequencies":
            cosines = self.param("cosines", nn.initializers.normal(), x.shape)
            pooled = jnp.sum(x * cosines, (0, 1))
        else:
            weights = jax.nn.softmax(Linear(1, name="key")(x).ravel())
            pooled = weights @ x.reshape(-1, x.shape[-1])
        y = leaky_relu(Linear(self.hidden, name="fc0")(pooled), SLOPE)
        return jax.nn.sigmoid(Linear(self.width, name="fc1")(y))


class Attention(Module):
    """Attention of normalised pixels, linear and local."""

    inner: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> the same and what was seen."""
        y = ChannelNorm(name="norm")(x)
        return x + LinearAttention(self.inner, local=True, name="attention")(y)


class Synthesis(Module):
    """z -> image. `smoothed`: what is enlarged passes through a filter."""

    layers: tuple[Layer, ...]
    first: int
    smoothed: bool

    @property
    def steps(self) -> tuple[str, ...]:
        """What makes 4 px of z, then one layer per resolution."""
        return ("init", *(f"b{8 << index}" for index in range(len(self.layers))))

    def setup(self) -> None:
        self.init_dense = Linear(16 * 2 * self.first, name="init")
        parts: dict[str, Any] = {}
        inside = self.first
        for name, layer in zip(self.steps[1:], self.layers, strict=True):
            parts[f"{name}_up"] = Linear(4 * inside, name=f"{name}_up")
            unit = GatedUnit(layer.width, int(name[1:]), noisy=True, size=4, name=f"{name}_unit")
            parts[f"{name}_unit"] = unit
            if layer.attention:
                parts[f"{name}_attention"] = Attention(layer.attention, name=f"{name}_attention")
            if layer.gate >= 0:
                facts = (layer.hidden, self.layers[layer.gate].width, layer.way)
                parts[f"{name}_gate"] = Gate(*facts, name=f"{name}_gate")
            inside = layer.width
        self.parts = parts
        self.image = Conv(3)

    def step(self, index: int, state: State, z: Array, noise: Any) -> State:
        """What makes 4 px, or one layer: {"x": [h, w, channels]}, and gates of later layers."""
        if index == 0:
            x = gated(self.init_dense(z).reshape(4, 4, -1))
            length = jnp.sqrt(jnp.sum(x * x, -1, keepdims=True))
            return {"x": x / jnp.maximum(length, SHORTEST)}
        name, layer, x = self.steps[index], self.layers[index - 1], state["x"]
        gates = {key: value for key, value in state.items() if key not in ("x", f"gate_{name}")}
        if layer.attention:
            x = self.parts[f"{name}_attention"](x)
        x = subpixels(jax.nn.silu(self.parts[f"{name}_up"](x)))
        x = smooth(x, "reflect") if self.smoothed else x
        x = self.parts[f"{name}_unit"](x, noise[index - 1] if noise else None)
        if layer.gate >= 0:
            gates[f"gate_{self.steps[layer.gate + 1]}"] = self.parts[f"{name}_gate"](x)
        if f"gate_{name}" in state:
            x = x * state[f"gate_{name}"]
        return {**gates, "x": x}

    def finish(self, state: State, z: Array, size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del z
        return area_reduce(2 * self.image(state["x"]) - 1, size)


def subpixels(x: Array) -> Array:
    """[h, w, 4c], of every channel 2 x 2 pixels in rows -> [2h, 2w, c] (Shi et al. 2016)."""
    height, width, channels = x.shape
    cells = x.reshape(height, width, channels // 4, 2, 2).transpose(0, 3, 1, 4, 2)
    return cells.reshape(2 * height, 2 * width, channels // 4)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts layers, first and smoothed."""
    facts = dict(spec.facts)
    layers = tuple(Layer(*fields) for fields in facts["layers"])
    network = Synthesis(layers, facts["first"], facts["smoothed"])

    def stored_noise(params: Params) -> tuple[Array, ...]:
        return tuple(params["synthesis"][f"{name}_unit"]["noise"] for name in network.steps[1:])

    return base.from_z(spec, base.Synthesis(network, jnp.ones(spec.z_dim), stored_noise))
