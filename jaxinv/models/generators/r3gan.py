"""R3GAN (Huang et al. 2024, arXiv:2501.05441): residual blocks of grouped convolutions.

There is no mapping network, no noise and no normalisation: z, beside the vector of a class where
there are classes, is mixed into a basis of 4 x 4 px, and stages of blocks double the resolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.generators import base
from jaxinv.nn.grouped import GroupedConv
from jaxinv.nn.linear import Linear, cast_like, leaky_relu
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce, blur_double

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Params, State


class Stage(NamedTuple):
    """Channels, those inside its blocks, and the groups of the convolution of every block."""

    width: int
    hidden: int
    groups: tuple[int, ...]


class First(Module):
    """A basis of images of 4 px, each times a number."""

    width: int

    @nn.compact
    def __call__(self, u: Array) -> Array:
        """[inputs] -> [4, 4, width]."""
        basis = self.param("basis", nn.initializers.normal(), (4, 4, self.width))
        return basis * Linear(self.width, bias=False, name="linear")(u)


class Transition(Module):
    """Twice the resolution, after a pointwise layer where the channels change."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [2h, 2w, width]."""
        changed = x.shape[-1] != self.width
        y = Linear(self.width, bias=False, name="linear")(x) if changed else x
        return blur_double(y)


class Block(Module):
    """x + three convolutions of it: pointwise, grouped, pointwise."""

    hidden: int
    groups: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> [h, w, c]."""
        y = leaky_relu(Linear(self.hidden, name="conv1")(x))
        y = GroupedConv(self.hidden, self.groups, name="conv2")(y)
        bias = self.param("bias", nn.initializers.zeros, (self.hidden,))
        y = leaky_relu(y + cast_like(bias, y))
        return x + Linear(x.shape[-1], bias=False, name="conv3")(y)


class Residual(Module):
    """z, or (z, class vector) -> image. `table` is [classes, length] of the vectors, or empty."""

    stages: tuple[Stage, ...]
    table: tuple[int, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """The change of resolution of every stage, then its blocks."""
        return tuple(
            name
            for number, stage in enumerate(self.stages)
            for name in (
                f"stage{number}_transition",
                *(f"stage{number}_block{index}" for index in range(len(stage.groups))),
            )
        )

    def setup(self) -> None:
        if self.table:
            self.classes = self.param("classes", nn.initializers.normal(), self.table)
        parts: dict[str, Any] = {}
        for number, stage in enumerate(self.stages):
            name = f"stage{number}_transition"
            parts[name] = (Transition if number else First)(stage.width, name=name)
            for index, groups in enumerate(stage.groups):
                name = f"stage{number}_block{index}"
                parts[name] = Block(stage.hidden, groups, name=name)
        self.parts = parts
        self.image = Linear(3, bias=False)

    def embed(self, label: Array) -> Array:
        """[classes], a one-hot vector or any mixture -> the class vector."""
        return label @ self.classes

    def step(self, index: int, state: State, code: Any, noise: None) -> State:
        """A change of resolution or one block: {"x": [h, w, channels]}."""
        del noise
        given = state.get("x", jnp.concatenate(code) if self.table else code)
        return {"x": self.parts[self.steps[index]](given)}

    def finish(self, state: State, code: Any, size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del code
        return area_reduce(self.image(state["x"]), size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` whose fact "stages" lists width, hidden width and groups of each.

    With classes, a class vector is a mixture of the rows of a table, as the embedding is linear.
    """
    stages = tuple(Stage(*fields) for fields in dict(spec.facts)["stages"])
    network = Residual(stages, (spec.labels, spec.embedding) if spec.labels else ())
    z = jnp.ones(spec.z_dim)
    if not spec.labels:
        return base.from_z(spec, base.Synthesis(network, z))

    def embed(params: Params, label: Array) -> Array:
        held: Any = network.apply({"params": params["synthesis"]}, label, method="embed")
        return held

    return base.from_z(spec, base.Synthesis(network, (z, jnp.ones(spec.embedding))), embed)
