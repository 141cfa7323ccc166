"""The encoder of IDInvert: pooled residual blocks and one dense layer (Zhu et al. 2020).

In-Domain GAN Inversion for Real Image Editing (arXiv:2004.00049), section 3.1, as the authors'
PyTorch code has it. What its equalised layers multiply by is folded into their weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxinv.nn.linear import Linear, leaky_relu
from jaxinv.nn.pool import average_pool

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

WIDTH, WIDEST = 64, 1024
LAST = 4  # side of the last maps


def blocks(side: int) -> int:
    """How many blocks halve pictures of a side down to the last maps."""
    return max(side.bit_length() - LAST.bit_length(), 0)


def backbone(net: Network, x: Array) -> Maps:
    """A stem and blocks that halve the sides down to 4 px; widths double up to "widest"."""
    width, widest = net.fact("width", WIDTH), net.fact("widest", WIDEST)
    maps = [leaky_relu(_norm(net, "block0.bn", net.plain_conv("block0.conv", x, width)))]
    for index in range(1, 1 + blocks(net.spec.side)):
        maps.append(_block(net, f"block{index}", maps[-1], min(width << index, widest)))
    return maps[::-1]


def _block(net: Network, name: str, x: Array, channels: int) -> Array:
    x = shortcut = average_pool(x, 2, 2)
    hidden = min(x.shape[-1], channels)
    if x.shape[-1] != channels:
        shortcut = net.plain_conv(f"{name}.conv", x, channels, 1)
        shortcut = leaky_relu(_norm(net, f"{name}.bn", shortcut))
    for index, features in ((1, hidden), (2, channels)):
        x = net.conv(f"{name}.conv{index}", x, features)
        x = leaky_relu(_norm(net, f"{name}.bn{index}", x))
    return shortcut + x


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """One dense layer over all pixels of the coarsest map, normalised over the batch."""
    del beside
    name = f"block{1 + blocks(net.spec.side)}"
    count = max(net.spec.rows, 1) * net.spec.width
    code = Linear(count, bias=False, name=f"{name}.fc")(maps[0].ravel())
    return {"code": jnp.reshape(_norm(net, f"{name}.bn", code), net.spec.shape)}


def _norm(net: Network, name: str, x: Array) -> Array:
    return net.norm(name, x) if net.fact("normalised", True) else x
