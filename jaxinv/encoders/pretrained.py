"""Encoders that look with a net that was trained on other pictures, and stays as it is.

Of some hundred pictures a linear map of such features learns more than a network that has to learn
to see first. The net's weights are the encoder's own from its start on, and stored with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.models.features.backbones import ALEXNET, Trunk
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array, Params

TRUNK, TAPS = "alexnet", ("relu3", "relu5")
THUMBNAIL, GRID = 16, 4  # sides in px of the picture, and of the layers, that are seen
FLOOR = 0.05  # of the variance by which a feature is divided


def backbone(net: Network, x: Array) -> Maps:
    """A thumbnail of the picture, and two layers of AlexNet, averaged over cells."""
    image = x[..., :3]
    taps = jax.lax.stop_gradient(Trunk(ALEXNET, name=TRUNK)(image))
    maps = [image, *(taps[name] for name in TAPS)]
    sides = (THUMBNAIL, *[GRID] * len(TAPS))
    return [resize(one, min(side, *one.shape[:2])) for one, side in zip(maps, sides, strict=True)]


def linear(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A linear layer over all numbers of the maps, each normalised, all maps of equal weight."""
    del beside
    seen = [
        net.norm(f"norm.{index}", one.ravel(), FLOOR) / one.size**0.5
        for index, one in enumerate(maps)
    ]
    code = net.dense("linear", jnp.concatenate(seen), max(net.spec.rows, 1) * net.spec.width)
    return {"code": code.reshape(net.spec.shape)}


def with_pretrained(weights: Params, names: tuple[str, ...], nets: dict[str, Params]) -> Params:
    """Fresh weights of an encoder with those of nets called `names` in the place of its own."""
    found = dict(weights)
    for name in names:
        found[name] = {layer: {k: nets[name][layer][k] for k in own}
                       for layer, own in weights[name].items()}  # fmt: skip
    return found


BACKBONES = {"alexnet": backbone}
HEADS = {"linear": linear}
