"""The mapping network of all StyleGANs: z, and a label if there are classes, to w."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.nn.linear import SQRT2, Linear, leaky_relu, pixel_norm
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array


class Mapping(Module):
    """z (and a label) -> w. `label`: "embed" is ADA's, "concat" that of the first code."""

    width: int
    layers: int
    label: str = "none"
    label_width: int = 0

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None) -> Array:
        """[z_dim], [classes] -> [w_dim]."""
        x = pixel_norm(z) if self.label == "none" else self.joined(z, label)
        for index in range(self.layers):
            x = SQRT2 * leaky_relu(Linear(self.width, name=f"fc{index}")(x))
        return x

    def joined(self, z: Array, label: Array | None) -> Array:
        """Latent and label as one normalised vector."""
        if label is None:
            raise ValueError("a conditional generator needs a label [classes]")
        if self.label == "embed":
            own = Linear(self.label_width, name="embed")(label)
            return jnp.concatenate([pixel_norm(z), pixel_norm(own)])
        shape = (label.shape[-1], self.label_width)
        kernel = self.param("embed", nn.initializers.normal(), shape)
        return pixel_norm(jnp.concatenate([z, label @ kernel]))


def mapping_of(spec: GeneratorSpec) -> Mapping:
    """The mapping of a `spec`: its facts mapping_layers and, with classes, label, label_width."""
    facts = dict(spec.facts)
    label = (facts.get("label", "none"), facts.get("label_width", 0))
    return Mapping(spec.w_dim, facts["mapping_layers"], *label)
