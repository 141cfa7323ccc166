"""Discriminators and critics of the DCGAN family (Radford et al. 2016), as chains of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxinv.models.discriminators.base import Discriminator, discriminator
from jaxinv.nn.layer_chain import Layer, Step
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State


class Judge(Module):
    """Image -> score. `channels`: 1 for a network of grey images."""

    channels: int
    layers: tuple[Layer, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """One per layer."""
        return tuple(f"layer{index}" for index in range(len(self.layers)))

    def setup(self) -> None:
        self.chain = [
            Step(layer, name=name) for layer, name in zip(self.layers, self.steps, strict=True)
        ]

    def step(self, index: int, x: Array) -> State:
        """Image [r, r, 3], or features, -> {"x": features}, and "attention" where it is one."""
        if index == 0 and self.channels == 1:
            x = jnp.mean(x, axis=-1, keepdims=True)
        return self.chain[index](x)

    def score_features(self, x: Array, deviation: Array, label: Array | None) -> Array:
        """The last layer's one number."""
        del deviation, label
        return x.ravel()[0]


def build(spec: GeneratorSpec) -> Discriminator:
    """The discriminator of a `spec` whose fact "discriminator" is ("chain", channels, layers)."""
    _, channels, layers = dict(spec.facts)["discriminator"]
    module = Judge(channels, tuple(Layer(*fields) for fields in layers))
    return discriminator(module, (spec.resolution, spec.resolution, 3))
