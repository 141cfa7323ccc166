"""The encoder of Feature-Style: codes, and a map that takes the place of a layer's features.

Yao et al. 2022, A Style-Based GAN Encoder for High Fidelity Reconstruction of Images and Videos
(arXiv:2202.02183), section 3.2.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxinv.encoders.backbones import IR_UNITS, WIDTH
from jaxinv.nn.conv import Conv
from jaxinv.nn.pool import adaptive_average

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.encoders.backbones import Maps, Units
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

GRID = 3  # pixels along a side that every map is pooled to
CUT, SIDE = "b16_conv1", 16  # the step whose features are replaced, and their side in px


def backbone(net: Network, x: Array, units: Units) -> Maps:
    """iResNet (Duta et al. 2021; the recogniser of InsightFace): every stage halves the sides."""
    width, maps = net.fact("width", WIDTH), list["Array"]()
    x = net.slope("conv.2", net.norm("conv.1", net.plain_conv("conv.0", x, width)))
    for stage, count in enumerate(net.fact("units", units), start=1):
        for index in range(count):
            plan = (width << (stage - 1), 2 if index == 0 else 1)
            x = _unit(net, f"block_{stage}.{index}", x, plan)
        maps.append(x)
    return maps[::-1]


def _unit(net: Network, name: str, x: Array, plan: tuple[int, int]) -> Array:
    channels, stride = plan
    shortcut = x
    if stride > 1:
        shortcut = net.plain_conv(f"{name}.downsample.0", x, channels, 1, stride)
        shortcut = net.norm(f"{name}.downsample.1", shortcut)
    y = net.plain_conv(f"{name}.conv1", net.norm(f"{name}.bn1", x), channels)
    y = net.slope(f"{name}.prelu", net.norm(f"{name}.bn2", y))
    y = net.plain_conv(f"{name}.conv2", y, channels, 3, stride)
    return shortcut + net.norm(f"{name}.bn3", y)


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A dense layer over all maps, pooled, for every row; and features for the fact "cut".

    The fact "share" says how much of the generator's own features they replace.
    """
    del beside
    code, share = code_rows(net, maps), net.fact("share", 1.0)
    change = {"times": -share * jnp.ones(()), "add": share * content(net, maps[1])}
    return {"code": code, "features": {net.fact("cut", CUT): change}}


def code_rows(net: Network, maps: Maps) -> Array:
    """The rows of a code [rows, width], a dense layer each over all maps, pooled."""
    grids = [adaptive_average(x, (GRID, GRID)) for x in reversed(maps)]
    seen = jnp.concatenate(grids, axis=-1).ravel()
    rows = [net.dense(f"styles.{row}", seen, net.spec.width) for row in range(net.spec.rows)]
    return jnp.stack(rows)


def content(net: Network, x: Array) -> Array:
    """The map that takes the place of the generator's features, from the last but one map."""
    features, side = net.fact("channels", 512), net.fact("cut_side", SIDE)
    x = net.plain_conv("content_layer.1", net.norm("content_layer.0", x), features)
    x = net.slope("content_layer.3", net.norm("content_layer.2", x))
    stride = max(x.shape[0] // side, 1)
    x = Conv(features, 3, stride, 1, bias=False, name="content_layer.4")(x)
    return net.norm("content_layer.5", x)


BACKBONES: dict[str, Callable[[Network, Array], Maps]] = {
    f"iresnet-{name}": partial(backbone, units=units) for name, units in IR_UNITS.items()
}
