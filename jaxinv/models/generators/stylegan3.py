"""StyleGAN3, configurations t and r (Karras et al. 2021, arXiv:2106.12423).

A grid of Fourier features, then layers that carry a margin around the image and whose
nonlinearity is applied at a higher resolution, between two filters. There are no noise inputs.
`synthesis/input/transform` [3, 3] is the inverse of a transformation of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from jaxinv.models.generators import base
from jaxinv.nn.conv import BACKWARD_KERNELS, Geometry, conv
from jaxinv.nn.linear import SQRT2, Linear, cast_like, leaky_relu
from jaxinv.nn.mapping import mapping_of
from jaxinv.nn.modulated import Kernel, demodulation
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce
from jaxinv.nn.upfirdn import resample

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Key, State


class Grid(NamedTuple):
    """Facts of the input: channels, side in pixels, sampling rate and bandwidth."""

    channels: int
    side: int
    rate: float
    bandwidth: float


class Plan(NamedTuple):
    """Facts of one layer; taps are 0 without a filter, `radial` makes the second one square.

    `padding` is (rows before, after, columns before, after) at the higher resolution. `image`: the
    last layer, which has neither demodulation nor filters.
    """

    inside: int
    outside: int
    size: int
    up: int
    down: int
    taps: tuple[int, int]
    radial: bool
    padding: tuple[int, int, int, int]
    clamp: float
    image: bool


class Input(Module):
    """Fourier features, turned and shifted by w."""

    grid: Grid

    def setup(self) -> None:
        channels = self.grid.channels
        self.style = Linear(4)
        self.freqs = self.param("freqs", nn.initializers.normal(), (channels, 2))
        self.phases = self.param("phases", nn.initializers.uniform(), (channels,))
        self.transform = self.param("transform", lambda key: jnp.eye(3))
        self.weight = self.param("weight", nn.initializers.lecun_normal(), (channels, channels))

    def __call__(self, style: Array) -> Array:
        """[4]: cosine and sine of the rotation, translation -> [side, side, channels]."""
        _, side, rate, bandwidth = self.grid
        cosine, sine, right, down = style / jnp.linalg.norm(style[:2])
        zero, one = jnp.zeros(()), jnp.ones(())
        turn = jnp.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one])
        shift = jnp.stack([one, zero, -right, zero, one, -down, zero, zero, one])
        matrix = turn.reshape(3, 3) @ shift.reshape(3, 3) @ self.transform
        phases = self.phases + self.freqs @ matrix[:2, 2]
        freqs = self.freqs @ matrix[:2, :2]
        above = jnp.linalg.norm(freqs, axis=1) - bandwidth
        strength = jnp.clip(1 - above / (rate / 2 - bandwidth), 0, 1)
        axis = ((2 * jnp.arange(side) + 1) / side - 1) * (0.5 * side / rate)
        across = axis[None, :, None] * freqs[:, 0] + axis[:, None, None] * freqs[:, 1]
        return (jnp.sin(2 * jnp.pi * (across + phases)) * strength) @ self.weight


class Layer(Module):
    """Modulated convolution, bias, and a leaky ReLU between two filters."""

    plan: Plan

    def setup(self) -> None:
        plan = self.plan
        self.style = Linear(plan.inside)
        shape = (plan.size, plan.size, plan.inside, plan.outside)
        self.kernel = self.param("kernel", nn.initializers.normal(), shape)
        self.bias = self.param("bias", nn.initializers.zeros, (plan.outside,))
        self.gain = self.param("gain", nn.initializers.ones, ())
        up, down = plan.taps
        if up:
            self.up_filter = self.param("up_filter", _box, (up,))
        if down:
            square = (down, down) if plan.radial else (down,)
            self.down_filter = self.param("down_filter", _box, square)

    def __call__(self, x: Array, style: Array) -> Array:
        """[h, w, inside] -> [h', w', outside]."""
        plan = self.plan
        if plan.image:
            strength = self.gain
        else:
            style = style * lax.rsqrt(jnp.mean(style * style))
            energy = self.get_variable(BACKWARD_KERNELS, "energy")
            strength = self.gain * demodulation(style, Kernel(self.kernel, None, energy))
        backward = self.get_variable(BACKWARD_KERNELS, "backward")
        y = conv(x * cast_like(style, x), self.kernel, backward, Geometry(1, plan.size - 1))
        y = y * cast_like(strength, y) + cast_like(self.bias, y)
        if plan.image:
            return jnp.clip(y, -plan.clamp, plan.clamp)
        top, bottom, left, right = plan.padding
        pads = ((top, bottom), (left, right))
        taps = self.up_filter if plan.taps[0] else jnp.ones(1)
        y = resample(y, taps, up=plan.up, pads=pads)
        y = jnp.clip(SQRT2 * leaky_relu(y), -plan.clamp, plan.clamp)
        return resample(y, self.down_filter, down=plan.down) if plan.taps[1] else y


def _box(key: Key, shape: tuple[int, ...]) -> Array:
    """An averaging filter, for parameters that come from no checkpoint."""
    del key
    return jnp.full(shape, 1 / jnp.prod(jnp.asarray(shape)))


class Synthesis(Module):
    """Styles -> image."""

    grid: Grid
    plans: tuple[Plan, ...]
    scale: float

    @property
    def steps(self) -> tuple[str, ...]:
        """The input, then one per layer."""
        return ("input", *(f"layer{i}" for i in range(len(self.plans))))

    def setup(self) -> None:
        self.input = Input(self.grid)
        self.layers = [Layer(plan, name=f"layer{i}") for i, plan in enumerate(self.plans)]

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> one style per row: the input's four numbers, then one per layer."""
        parts = (self.input, *self.layers)
        return tuple(part.style(row) for part, row in zip(parts, w, strict=True))

    def step(self, index: int, state: State, s: tuple[Array, ...], noise: Any) -> State:
        """The input or one layer: {"x": [h, w, channels]}, with a margin around the image."""
        del noise
        return {"x": self.layers[index - 1](state["x"], s[index]) if index else self.input(s[0])}

    def finish(self, state: State, s: tuple[Array, ...], size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del s
        return area_reduce(self.scale * state["x"], size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts grid, layers, scale and those of the mapping."""
    facts = dict(spec.facts)
    plans = tuple(Plan(*fields) for fields in facts["layers"])
    synthesis = Synthesis(Grid(*facts["grid"]), plans, facts["scale"])

    code = jnp.ones((spec.rows, spec.w_dim))
    return base.from_w(spec, mapping_of(spec), base.Synthesis(synthesis, code))
