"""FastGAN (Liu et al. 2021, arXiv:2101.04775) and that of Projected GAN (Sauer et al. 2021).

Blocks of nearest enlargement, convolution and gated linear units; early features gate the channels
of late ones (section 3.1, skip-layer excitation). Spectral norms and normalisations are folded into
the weights; the scale and shift that a class adds stay. Noise maps have one strength per block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.conv import Conv
from jaxinv.nn.gated import GatedUnit, gated
from jaxinv.nn.linear import Linear, cast_like, pixel_norm
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import nearest_double
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State

CELLS = 4  # side of what gates look at


class Block(NamedTuple):
    """Channels that a block gives, and how many convolutions it has.

    `gate` is the step whose features gate its channels, 0 for the first; -1 without a gate.
    """

    width: int
    convolutions: int
    gate: int = -1


class Plan(NamedTuple):
    """Facts of a network.

    `noisy`: the blocks whose convolutions are followed by noise. `normalised`: z is. `tanh`: the
    image passes through it.
    """

    first: int
    blocks: tuple[Block, ...]
    noisy: tuple[int, ...]
    normalised: bool
    tanh: bool

    @property
    def noise(self) -> tuple[int, ...]:
        """The side of every noise map."""
        return tuple(
            8 << index
            for index, block in enumerate(self.blocks)
            if index in self.noisy
            for _ in range(block.convolutions)
        )


class Gate(Module):
    """Factors of channels, from features reduced to 4 x 4 px."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [width]."""
        y = Linear(self.width, bias=False, name="fc0")(area_reduce(x, CELLS).ravel())
        return jax.nn.sigmoid(Linear(self.width, bias=False, name="fc1")(jax.nn.silu(y)))


class Synthesis(Module):
    """z, or (z, class vector) -> image. `table` is [classes, length] of the vectors, or empty."""

    plan: Plan
    table: tuple[int, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """What makes 4 px of z, then one block per resolution."""
        return ("init", *(f"b{8 << index}" for index in range(len(self.plan.blocks))))

    def setup(self) -> None:
        plan = self.plan
        if self.table:
            self.classes = self.param("classes", nn.initializers.normal(), self.table)
        self.init_dense = Linear(16 * 2 * plan.first, name="init")
        units: dict[str, GatedUnit] = {}
        gates: dict[str, Gate] = {}
        for index, (width, count, gate) in enumerate(plan.blocks):
            for number in range(count):
                name = f"b{8 << index}_unit{number}"
                facts = (width, 8 << index, index in plan.noisy, bool(self.table))
                units[name] = GatedUnit(*facts, name=name)
            if gate >= 0:
                gates[f"b{8 << index}"] = Gate(width, name=f"b{8 << index}_gate")
        self.units, self.gates = units, gates
        self.image = Conv(3)

    def embed(self, label: Array) -> Array:
        """[classes], a one-hot vector or any mixture -> the class vector."""
        return label @ self.classes

    def step(self, index: int, state: State, code: Any, noise: Any) -> State:
        """What makes 4 px, or one block: {"x": [h, w, channels]}, and gates of later blocks."""
        z, vector = code if self.table else (code, None)
        if index == 0:
            first = self.init_dense(pixel_norm(z) if self.plan.normalised else z)
            x = gated(first.reshape(CELLS, CELLS, -1))
        else:
            x = self.block(index - 1, state["x"], vector, noise)
        name = self.steps[index]
        gates = {key: value for key, value in state.items() if key not in ("x", f"gate_{name}")}
        if name in self.gates:
            x = x * cast_like(state[f"gate_{name}"], x)
        for later, block in enumerate(self.plan.blocks):
            if block.gate == index:
                key = f"b{8 << later}"
                gates[f"gate_{key}"] = self.gates[key](x)
        return {**gates, "x": x}

    def block(self, index: int, x: Array, vector: Array | None, noise: Any) -> Array:
        """[h, w, in] -> [2h, 2w, out]."""
        plan, x = self.plan, nearest_double(x)
        before = sum(b.convolutions for i, b in enumerate(plan.blocks[:index]) if i in plan.noisy)
        for number in range(plan.blocks[index].convolutions):
            given = noise[before + number] if noise and index in plan.noisy else None
            x = self.units[f"b{8 << index}_unit{number}"](x, given, vector)
        return x

    def finish(self, state: State, code: Any, size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del code
        image = self.image(state["x"])
        return area_reduce(jnp.tanh(image) if self.plan.tanh else image, size)


def plan_of(spec: GeneratorSpec) -> Plan:
    """The plan in the facts first, blocks, noisy, normalised and tanh of a `spec`."""
    facts = dict(spec.facts)
    blocks = tuple(Block(*fields) for fields in facts["blocks"])
    return Plan(facts["first"], blocks, facts["noisy"], facts["normalised"], facts["tanh"])


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec`, see `plan_of`; a class vector is a row of its table."""
    plan = plan_of(spec)
    network = Synthesis(plan, (spec.labels, spec.embedding) if spec.labels else ())

    def stored_noise(params: Params) -> tuple[Array, ...]:
        units = (
            f"b{8 << index}_unit{number}"
            for index, block in enumerate(plan.blocks)
            if index in plan.noisy
            for number in range(block.convolutions)
        )
        return tuple(params["synthesis"][name]["noise"] for name in units)

    def embed(params: Params, label: Array) -> Array:
        held: Any = network.apply({"params": params["synthesis"]}, label, method="embed")
        return held

    z = jnp.ones(spec.z_dim)
    code = (z, jnp.ones(spec.embedding)) if spec.labels else z
    synthesis = base.Synthesis(network, code, stored_noise)
    return base.from_z(spec, synthesis, embed if spec.labels else None)
