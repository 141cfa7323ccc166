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
    """z (and a label) -> w. `label`: "embed" is ADA's, "concat" that of the first code.

    `hidden` are the widths of all layers but the last, where they are not all `width`.
    """

    width: int
    layers: int
    label: str = "none"
    label_width: int = 0
    hidden: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None) -> Array:
        """[z_dim], [classes] -> [w_dim]."""
        x = pixel_norm(z) if self.label == "none" else self.joined(z, label)
        widths = (*(self.hidden or (self.width,) * (self.layers - 1)), self.width)
        for index, width in enumerate(widths[: self.layers]):  # discriminators may have none
            x = SQRT2 * leaky_relu(Linear(width, name=f"fc{index}")(x))
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
    """The mapping of a `spec`: its facts mapping_layers and, with classes, label, label_width.

    The fact mapping_widths gives the widths of hidden layers that differ from w's. Raises
    `ValueError` where their number is not mapping_layers - 1.
    """
    facts = dict(spec.facts)
    layers, hidden = facts["mapping_layers"], facts.get("mapping_widths", ())
    if hidden and len(hidden) != layers - 1:
        raise ValueError(f"{len(hidden)} mapping_widths; allowed: {layers - 1}")
    label = (facts.get("label", "none"), facts.get("label_width", 0))
    return Mapping(spec.w_dim, layers, *label, hidden)
