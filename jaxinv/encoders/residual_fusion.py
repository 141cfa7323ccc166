"""The part of HFGI that brings back what a code cannot say (Wang et al. 2022, arXiv:2109.06590).

Section 3.2: the difference between the picture and its first reconstruction is moved to where the
edited picture has it (an aligner), and becomes scales and shifts of one layer's features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxinv.encoders.backbones import ir_unit
from jaxinv.encoders.base import ASIDE
from jaxinv.nn.linear import SQRT2, leaky_relu
from jaxinv.nn.pool import bilinear

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

ALIGNER, CONSULTANT = (16, 32, 48, 64), (32, 48, 64)  # channels of the maps, the finest first
UNITS = 3  # of every stage
SIDE = 64  # px of the features that are changed, unless the fact "cut" says another step


def backbone(net: Network, x: Array) -> Maps:
    """The difference between picture and reconstruction, moved to where the edited picture is.

    Planes are picture, reconstruction and edited reconstruction; the map [h, w, 3].
    """
    image, drawn, edited = jnp.split(x, 3, axis=-1)
    return [aligned(net, "grid_align", jnp.concatenate((image - drawn, edited), axis=-1))]


def aligned(net: Network, name: str, x: Array) -> Array:
    """The difference [h, w, 3] that belongs to a picture, from both [h, w, 6]."""
    maps = _down(net, name, x, net.fact("aligner", ALIGNER))
    *finer, x = maps
    for level, skip in enumerate(reversed(finer), start=1):
        out = 3 if level == len(finer) else finer[-1 - level].shape[-1]
        widths = x.shape[-1], out, out
        x = jnp.concatenate((bilinear(x, skip.shape[:2]), skip), axis=-1)
        for index, width in enumerate(widths):
            x = ir_unit(net, f"{name}.dconv_layer{level}.{index}", x, (width, 1), gated=False)
    return x


def _down(net: Network, name: str, x: Array, widths: tuple[int, ...]) -> Maps:
    """The maps after a stem and after stages that halve the sides, the finest first."""
    x = net.plain_conv(f"{name}.conv_layer1.0", x, widths[0])
    maps = [net.slope(f"{name}.conv_layer1.2", net.norm(f"{name}.conv_layer1.1", x))]
    for stage, width in enumerate(widths[1:], start=2):
        x = maps[-1]
        for index in range(UNITS):
            plan = (width, 2 if index == 0 else 1)
            x = ir_unit(net, f"{name}.conv_layer{stage}.{index}", x, plan, gated=False)
        maps.append(x)
    return maps


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """Scales and shifts of the features at the step of the fact "cut".

    With the difference that they are made of, which training compares.
    """
    del beside
    scale, shift = consulted(net, "residue", maps[0])
    change = {net.fact("cut", f"b{SIDE}_conv0"): {"times": scale, "add": shift}}
    return {"features": change, ASIDE: maps[0]}


def consulted(net: Network, name: str, x: Array) -> tuple[Array, Array]:
    """Scale and shift [side, side, channels] of a layer's features, from a difference [h, w, 3]."""
    x = _down(net, name, x, net.fact("consultant", CONSULTANT))[-1]
    scale, shift = (_condition(net, f"{name}.condition_{kind}3", x) for kind in ("scale", "shift"))
    return scale, shift


def _condition(net: Network, name: str, x: Array) -> Array:
    features, side = net.fact("channels", 512), net.fact("cut_side", SIDE)
    x = SQRT2 * leaky_relu(net.conv(f"{name}.0", x, features))
    return bilinear(net.conv(f"{name}.2", x, features), (side, side))
