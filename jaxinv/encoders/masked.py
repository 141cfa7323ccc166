"""Encoders of pictures with holes (Chai et al. 2021, arXiv:2103.10426, section 3.2).

A ResNet that sees the known pixels and which these are; also the encoder of Chai et al. 2021,
Ensembling with Deep Generative Views (arXiv:2104.14551).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.encoders.backbones import BASIC_UNITS, DEEP_UNITS, WIDTH, basic, bottleneck
from jaxinv.nn.pool import max_pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.encoders.backbones import Maps, Units
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

HALF = 150  # px: encoders of smaller pictures do not halve them after the stem


def backbone(net: Network, x: Array, units: Units, *, unit: Callable[..., Array]) -> Maps:
    """A ResNet with max pooling after its stem; the fact "offset" is added to the mask."""
    if "mask" in net.spec.planes:
        x = x.at[..., -1].add(net.fact("offset", 0.0))
    width, maps = net.fact("width", WIDTH), list["Array"]()
    x = nn.relu(net.norm("bn1", net.plain_conv("conv1", x, width, 7, 2)))
    x = max_pool(x, 3, 1 if net.spec.side < HALF else 2, padding=1)
    for stage, count in enumerate(net.fact("units", units)):
        for index in range(count):
            stride = 2 if stage and index == 0 else 1
            x = unit(net, f"layer{stage + 1}.{index}", x, width << stage, stride)
        maps.append(x)
    return maps[::-1]


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A dense layer over the means of the coarsest map."""
    del beside
    mean = jnp.mean(maps[0], (0, 1))
    code = net.dense("fc", mean, max(net.spec.rows, 1) * net.spec.width)
    return {"code": jnp.reshape(code, net.spec.shape)}


BACKBONES: dict[str, Callable[[Network, Array], Maps]] = {
    f"masked-resnet-{name}": partial(
        backbone, units=units, unit=bottleneck if name in DEEP_UNITS else basic
    )
    for name, units in {**BASIC_UNITS, **DEEP_UNITS}.items()
}
