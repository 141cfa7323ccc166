"""Encoders in the shape of a DCGAN's discriminator: strided convolutions, then dense layers.

Zhu et al. 2016 (arXiv:1609.03552, section 3), Perarnau et al. 2016 (ICGAN, arXiv:1611.06355,
section 3.2) and Raj et al. 2019 (NPGD, arXiv:1910.13427, section 3) invert DCGANs by such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.nn.linear import leaky_relu

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

WIDTH, KERNEL = 64, 5
LAST = 4  # side of the last map in px
RELU, LEAKY = "relu", "leaky"


def backbone(net: Network, x: Array) -> Maps:
    """5x5 convolutions of stride 2, whose widths double, until the map has few pixels.

    Facts: "width" of the first, "last" (side of the last map), "slope" ("leaky", or "relu"). All
    but the first are normalised, or that too with the fact "first_norm".
    """
    width, last = net.fact("width", WIDTH), net.fact("last", LAST)
    maps: Maps = []
    while x.shape[0] > last or not maps:
        index = len(maps)
        x = net.conv(f"conv{index}", x, width << index, KERNEL, 2)
        if index or net.fact("first_norm", False):
            x = net.norm(f"norm{index}", x)
        x = _activated(net, x)
        maps.append(x)
    return maps[::-1]


def _activated(net: Network, x: Array) -> Array:
    return nn.relu(x) if net.fact("slope", LEAKY) == RELU else leaky_relu(x)


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """Dense layers over the coarsest map; "hidden": width of one in between, 0 for none.

    With the fact "bounded" the code lies within (-1, 1), by tanh.
    """
    del beside
    x, hidden = maps[0].ravel(), net.fact("hidden", 0)
    if hidden:
        x = _activated(net, net.norm("dense0.norm", net.dense("dense0", x, hidden)))
    code = net.dense("dense1", x, max(net.spec.rows, 1) * net.spec.width)
    code = jnp.tanh(code) if net.fact("bounded", False) else code
    return {"code": jnp.reshape(code, net.spec.shape)}
