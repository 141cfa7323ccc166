"""Heads that see the generator's own features, and say what these are to be.

StyleFeatureEditor (Bobkov et al. 2024, arXiv:2406.10601) joins features of the picture with those
of its code, and then says what an edit of the code changes in them; StyleRes (Pehlivan et al. 2023,
arXiv:2212.14359) moves what a code cannot say to where an edit has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from jaxinv.encoders.backbones import ir_unit
from jaxinv.encoders.base import ASIDE
from jaxinv.encoders.feature_styles import code_rows
from jaxinv.nn.pool import adaptive_average

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

UNITS = 2  # residual units of a network that joins features


def fused(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """Codes, and features in the place of the generator's: those of the picture and of the code.

    Training holds them against the generator's own.
    """
    code = code_rows(net, maps)
    own = jnp.zeros(_shape(net))
    if beside is not None and beside.draw is not None:
        own = beside.draw(code if beside.code is None else beside.code + code)
    made = own + _joined(net, "fuser", _of_picture(net, maps), own)
    change = {"times": -jnp.ones(()), "add": made}
    aside = {"aside": made, "due": lax.stop_gradient(own)}
    return {"code": code, "features": {net.fact("cut", ""): change}, ASIDE: aside}


def moved_residual(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """What is added to the features of the edited code: what those of the code lack, moved."""
    first, second, _ = _compared(net, beside)
    change = _joined(net, "transform", _of_picture(net, maps), first, second)
    return {"features": {net.fact("cut", ""): change}}


def edited_features(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """What is added to the features that the encoder before gives, for an edit of its code."""
    del maps
    first, second, kept = _compared(net, beside)
    change = _joined(net, "editor", kept, second - first)
    return {"features": {net.fact("cut", ""): {"times": jnp.zeros(()), "add": change}}}


def _shape(net: Network) -> tuple[int, int, int]:
    side = net.fact("cut_side", 64)
    return side, side, net.fact("channels", 512)


def _compared(net: Network, beside: Beside | None) -> tuple[Array, Array, Array]:
    if beside is None or beside.features is None:
        none = jnp.zeros(_shape(net))
        return none, none, none
    return beside.features


def _of_picture(net: Network, maps: Maps) -> Array:
    """The coarsest map that has enough pixels, in the size of the features."""
    side, _, channels = _shape(net)
    large = [x for x in maps if x.shape[0] >= side] or maps[-1:]
    return net.conv("content", adaptive_average(large[0], (side, side)), channels)


def _joined(net: Network, name: str, *parts: Array) -> Array:
    """Residual units over features beside each other."""
    x = jnp.concatenate(parts, axis=-1)
    for index in range(UNITS):
        x = ir_unit(net, f"{name}.{index}", x, (parts[0].shape[-1], 1), gated=True)
    return net.conv(f"{name}.out", x, parts[0].shape[-1], 1)
