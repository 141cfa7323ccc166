"""BigGAN, BigGAN-deep (Brock et al. 2019, arXiv:1809.11096), SAGAN (Zhang et al. 2019), YLG (2020).

Residual blocks whose normalisations are conditioned on a class vector, and on z. Spectral norms are
folded into the weights; the statistics of the normalisations are parameters, because truncation
chooses among several (see `latents.sampling.truncated`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.models.generators import base
from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import Linear, cast_like
from jaxinv.nn.local_attention import attention
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import nearest_double
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State

NARROW = 4  # the inner channels of a deep block are a quarter of those that come in


class Block(NamedTuple):
    """Channels in and out, and whether the resolution is doubled."""

    inside: int
    outside: int
    up: bool


class Plan(NamedTuple):
    """Facts of a network.

    `attention`: the blocks after which it stands. `condition` of the normalisations, e being the
    class vector: "class" (e; z goes into the first layer), "joint" (e and z; both go into the first
    layer as well) or "split" (e and the block's own share of z; the first share goes into the first
    layer). `epsilons` of the normalisations in blocks and of the last one. `local`: attention is
    sparse and in eight heads (YLG).
    """

    blocks: tuple[Block, ...]
    attention: tuple[int, ...]
    deep: bool
    condition: str
    epsilons: tuple[float, float]
    local: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """The first layer, then blocks and attentions."""
        names = ["linear"]
        for index in range(len(self.blocks)):
            looks = [f"attention{index}"] if index in self.attention else []
            names += [f"block{index}", *looks]
        return tuple(names)

    def conditions(self, z: Array, e: Array) -> list[Array]:
        """What the first layer and every block are given."""
        if self.condition == "split":
            first, *shares = jnp.split(z, len(self.blocks) + 1)
            return [first, *(jnp.concatenate([e, share]) for share in shares)]
        both = jnp.concatenate([e, z])
        first, other = (both, both) if self.condition == "joint" else (z, e)
        return [first, *[other] * len(self.blocks)]


class Norm(Module):
    """Batch normalisation by stored statistics, with gain and shift of its own or of a class."""

    epsilon: float

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """[h, w, c], [condition] -> relu of [h, w, c]."""
        shape = x.shape[-1:]
        mean = self.param("mean", nn.initializers.zeros, shape)
        variance = self.param("variance", nn.initializers.ones, shape)
        if condition is None:
            gain = self.param("gain", nn.initializers.ones, shape)
            shift = self.param("shift", nn.initializers.zeros, shape)
        else:
            gain = 1 + Linear(*shape, bias=False, name="gain")(condition)
            shift = Linear(*shape, bias=False, name="shift")(condition)
        y = (x - mean) * (lax.rsqrt(variance + self.epsilon) * gain) + shift
        return cast_like(jax.nn.relu(y), x)


class Wide(Module):
    """A residual block: two convolutions, and a pointwise shortcut."""

    plan: Block
    epsilon: float

    @nn.compact
    def __call__(self, x: Array, condition: Array) -> Array:
        """[h, w, inside] -> [h', w', outside]."""
        inside, outside, up = self.plan
        y = Norm(self.epsilon, name="norm1")(x, condition)
        y = Conv(outside, name="conv1")(nearest_double(y) if up else y)
        y = Norm(self.epsilon, name="norm2")(y, condition)
        y = Conv(outside, name="conv2")(y)
        around = Linear(outside, name="skip")(x) if up or inside != outside else x
        return y + (nearest_double(around) if up else around)


class Deep(Module):
    """Four convolutions with a narrow middle; the shortcut drops channels, if any."""

    plan: Block
    epsilon: float

    @nn.compact
    def __call__(self, x: Array, condition: Array) -> Array:
        """[h, w, inside] -> [h', w', outside]."""
        inside, outside, up = self.plan
        middle = inside // NARROW
        y = Norm(self.epsilon, name="norm1")(x, condition)
        y = Linear(middle, name="conv1")(y)
        y = Norm(self.epsilon, name="norm2")(y, condition)
        y = Conv(middle, name="conv2")(nearest_double(y) if up else y)
        y = Norm(self.epsilon, name="norm3")(y, condition)
        y = Conv(middle, name="conv3")(y)
        y = Norm(self.epsilon, name="norm4")(y, condition)
        y = Linear(outside, name="conv4")(y)
        around = x[..., :outside]
        return y + (nearest_double(around) if up else around)


class Residual(Module):
    """(z, class vector) -> image. `table` is [classes, length] of the class vectors, or empty."""

    plan: Plan
    table: tuple[int, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """The first layer, then blocks and attentions."""
        return self.plan.steps

    def setup(self) -> None:
        plan = self.plan
        if self.table:
            self.classes = self.param("classes", nn.initializers.normal(), self.table)
        kind = Deep if plan.deep else Wide
        first = Linear(16 * plan.blocks[0].inside, name="linear")
        parts: dict[str, Any] = {"linear": first}
        for index, block in enumerate(plan.blocks):
            parts[f"block{index}"] = kind(block, plan.epsilons[0], name=f"block{index}")
        for index in plan.attention:
            parts[f"attention{index}"] = attention(plan.local, f"attention{index}")
        self.parts = parts
        self.norm = Norm(plan.epsilons[1])
        self.image = Conv(3)

    def embed(self, label: Array) -> Array:
        """[classes], a one-hot vector or any mixture -> the class vector."""
        return label @ self.classes if self.table else label

    def step(self, index: int, state: State, code: tuple[Array, Array], noise: None) -> State:
        """One part: {"x": [h, w, channels]}, and "attention" [pixels, keys] after an attention.

        YLG's has one more axis before those, of its eight heads.
        """
        del noise
        name = self.steps[index]
        kind = name.rstrip("0123456789")
        if kind == "attention":
            x, weights = self.parts[name](state["x"])
            return {"x": x, "attention": weights}
        number = 0 if kind == "linear" else 1 + int(name.removeprefix("block"))
        given = self.plan.conditions(*code)[number]
        if kind == "linear":
            return {"x": self.parts[name](given).reshape(4, 4, -1)}
        return {"x": self.parts[name](state["x"], given)}

    def finish(self, state: State, code: tuple[Array, Array], size: int) -> Array:
        """-> image [size, size, 3]."""
        del code
        return area_reduce(jnp.tanh(self.image(self.norm(state["x"]))), size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` with the facts blocks, attention, deep, condition, epsilons.

    The fact "table" says whether class vectors are learnt; otherwise a class is its own vector. The
    fact "local" may be left out.
    """
    facts = dict(spec.facts)
    plan = Plan(
        tuple(Block(*fields) for fields in facts["blocks"]),
        facts["attention"],
        facts["deep"],
        facts["condition"],
        facts["epsilons"],
        facts.get("local", False),
    )
    network = Residual(plan, (spec.labels, spec.embedding) if facts["table"] else ())
    code = jnp.ones(spec.z_dim), jnp.ones(spec.embedding)

    def embed(params: Params, label: Array) -> Array:
        held: Any = network.apply({"params": params["synthesis"]}, label, method="embed")
        return held

    return base.from_z(spec, base.Synthesis(network, code), embed)
