"""StyleGAN, the first one (Karras et al. 2019, arXiv:1812.04948).

A layer is: convolution (from the second on), noise of a strength per channel, bias, leaky ReLU,
instance norm, and a style of a scale and a shift per channel. Gains are folded into the weights.
rosinality's first port adds the bias before it smooths, which shows at the edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import BACKWARD_KERNELS, conv
from jaxinv.nn.linear import Linear, cast_like, leaky_relu
from jaxinv.nn.mapping import mapping_of
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import EPSILON, instance_norm, nearest_double, smooth
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State


class Layer(Module):
    """One style's layer; the first has no convolution, every second one doubles the resolution.

    `epsilon` of the instance norm; `early`: the bias of one that doubles is smoothed as well.
    """

    channels: tuple[int, int]
    side: int
    kind: str  # "none", "plain" or "up"
    epsilon: float
    early: bool

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
            x = conv(x, self.kernel, self.get_variable(BACKWARD_KERNELS, "backward"))
        early = self.early and self.kind == "up"
        bias = cast_like(self.bias, x)
        x = x + bias if early else x
        x = smooth(x) if self.kind == "up" else x
        x = x + cast_like(self.strength * (self.noise if noise is None else noise)[..., None], x)
        x = x if early else x + bias
        scale, shift = jnp.split(style, 2)
        normal = instance_norm(leaky_relu(x), self.epsilon)
        return normal * cast_like(1 + scale, x) + cast_like(shift, x)


class Synthesis(Module):
    """Styles and noise -> image. `widths` are the channels at 4, 8 ... px; see `Layer` for more."""

    widths: tuple[int, ...]
    epsilon: float = EPSILON
    early: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """One per layer."""
        return ("b4_const", *base.block_steps(len(self.widths))[1:])

    def setup(self) -> None:
        self.const = self.param("const", nn.initializers.ones, (4, 4, self.widths[0]))
        layers: list[Layer] = []
        for number, name in enumerate(self.steps):
            block, second = divmod(number, 2)
            kind = "plain" if second else "up" if block else "none"
            channels = self.widths[max(block - 1, 0) if not second else block], self.widths[block]
            own = (kind, self.epsilon, self.early)
            layers.append(Layer(channels, 4 << block, *own, name=name))
        self.layers = layers
        self.weight = self.param("weight", nn.initializers.lecun_normal(), (self.widths[-1], 3))
        self.bias = self.param("bias", nn.initializers.zeros, (3,))

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> one style [2 channels] per layer."""
        return tuple(layer.style(row) for layer, row in zip(self.layers, w, strict=True))

    def step(
        self, index: int, state: State, s: tuple[Array, ...], noise: tuple[Array, ...] | None
    ) -> State:
        """One layer: {"x": [h, w, channels]}."""
        x = state.get("x", self.const)
        return {"x": self.layers[index](x, s[index], noise[index] if noise else None)}

    def finish(self, state: State, s: tuple[Array, ...], size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del s
        return area_reduce(state["x"] @ self.weight + self.bias, size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts mapping_layers, label and label_width.

    The facts "epsilon" (of the instance norms) and "early_bias" may be left out.
    """
    facts = dict(spec.facts)
    widths = tuple(both // 2 for both in spec.styles[1::2])
    own = (facts.get("epsilon", EPSILON), facts.get("early_bias", False))
    synthesis = Synthesis(widths, *own)

    def stored_noise(params: Params) -> tuple[Array, ...]:
        tree = params["synthesis"]
        return tuple(tree[name]["noise"] for name in synthesis.steps)

    code = jnp.ones((spec.rows, spec.w_dim))
    return base.from_w(spec, mapping_of(spec), base.Synthesis(synthesis, code, stored_noise))
