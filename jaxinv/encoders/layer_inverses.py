"""Inverses of a generator's first layers, one network each, and one that looks down to them.

Bau et al. 2019, Seeing What a GAN Cannot Generate (arXiv:1910.11626), section 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.encoders.base import ASIDE
from jaxinv.encoders.layers import Network
from jaxinv.nn.linear import leaky_relu, pixel_norm
from jaxinv.nn.pool import adaptive_average

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.types import Array

TOP = "top"  # what the network that sees the picture gives


class LayerInverse(Network):
    """What a layer was given, of its features: two convolutions, and a pointwise or dense layer."""

    shape: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, c] -> an array of `shape`: [h', w', c'], or [d] of the first layer."""
        channels = x.shape[-1]
        x = pixel_norm(x)
        x = leaky_relu(self.norm("norm0", self.plain_conv("conv0", x, channels)))
        *side, features = self.shape
        x = adaptive_average(x, tuple(side)) if side else x
        x = leaky_relu(self.norm("norm1", self.plain_conv("conv1", x, channels)))
        if not side:
            return self.dense("dense", x.ravel(), features)
        return self.conv("conv2", x, features, 1)


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """The code, through the inverses of the layers that the fact "layers" lists with their shapes.

    Where the features of every layer are given, each inverse sees these, and not what the one above
    it gives: "aside" is then what they make of them.
    """
    facts: tuple[Any, ...] = net.fact("layers", ())
    steps = [step for step, *_ in facts]
    shapes: list[tuple[int, ...]] = [tuple(shape) for _, *shape in facts]
    known = None if beside is None else beside.layers
    *side, channels = shapes[-1]
    large = [x for x in maps if x.shape[0] >= side[0]] or maps[-1:]
    x = net.conv(TOP, adaptive_average(large[0], tuple(side)), channels, 1)
    aside = {TOP: x}
    given = [(net.spec.width,), *shapes[:-1]]  # what each layer was given
    for step, shape in zip(reversed(steps), reversed(given), strict=True):
        inverse = LayerInverse(net.spec, shape, name=f"inverse_{step}")
        x = aside[step] = inverse(x if known is None else known[step])
    del aside[steps[0]]  # the code itself
    return {"code": jnp.reshape(x, net.spec.shape)} | ({} if known is None else {ASIDE: aside})
