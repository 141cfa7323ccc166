"""Backbones: planes [h, w, channels] -> feature maps of their four stages, the coarsest first.

The facts "width" (channels of the first stage) and "units" (of every stage) make smaller ones.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

Maps = list["Array"]  # [h, w, channels] each, the coarsest first
Units = tuple[int, ...]
WIDTH = 64  # of the first stage; every further one has twice as many channels
SQUEEZE = 16  # how many times fewer channels a gate looks at
BOTTLENECK = 4  # how many times more channels leave a unit of three convolutions


def irse(net: Network, x: Array, units: Units, *, gated: bool) -> Maps:
    """IR and IR-SE nets (Deng et al. 2019, ArcFace; Hu et al. 2018 for the gates).

    The stem keeps the resolution, every stage halves it.
    """
    width, maps = net.fact("width", WIDTH), list["Array"]()
    x = net.plain_conv("input_layer.0", x, width)
    x = net.slope("input_layer.2", net.norm("input_layer.1", x))
    number = 0
    for stage, count in enumerate(net.fact("units", units)):
        for index in range(count):
            stride = 2 if index == 0 else 1
            x = ir_unit(net, f"body.{number}", x, (width << stage, stride), gated=gated)
            number += 1
        maps.append(x)
    return maps[::-1]


def ir_unit(net: Network, name: str, x: Array, plan: tuple[int, int], *, gated: bool) -> Array:
    """A unit that changes a map to so many channels, with a stride, in its second convolution."""
    channels, stride = plan
    shortcut = x[::stride, ::stride]
    if x.shape[-1] != channels:
        shortcut = net.plain_conv(f"{name}.shortcut_layer.0", x, channels, 1, stride)
        shortcut = net.norm(f"{name}.shortcut_layer.1", shortcut)
    x = net.norm(f"{name}.res_layer.0", x)
    x = net.slope(f"{name}.res_layer.2", net.plain_conv(f"{name}.res_layer.1", x, channels))
    x = net.plain_conv(f"{name}.res_layer.3", x, channels, 3, stride)
    x = net.norm(f"{name}.res_layer.4", x)
    return shortcut + (_gated(net, f"{name}.res_layer.5", x) if gated else x)


def _gated(net: Network, name: str, x: Array) -> Array:
    """Every channel times a number of 0 to 1 that the means of all channels decide."""
    mean = jnp.mean(x, (0, 1), keepdims=True)
    few = nn.relu(net.plain_conv(f"{name}.fc1", mean, max(x.shape[-1] // SQUEEZE, 1), 1))
    return x * nn.sigmoid(net.plain_conv(f"{name}.fc2", few, x.shape[-1], 1))


def resnet(net: Network, x: Array, units: Units, *, unit: Callable[..., Array]) -> Maps:
    """ResNets (He et al. 2016) without the pooling after the stem, which has a PReLU.

    So Alaluf et al. 2021 (ReStyle) have them: the stem halves the resolution, then every stage but
    the first does.
    """
    width, maps = net.fact("width", WIDTH), list["Array"]()
    x = net.norm("bn1", net.plain_conv("conv1", x, width, 7, 2))
    x = net.slope("relu", x)
    number = 0
    for stage, count in enumerate(net.fact("units", units)):
        for index in range(count):
            stride = 2 if stage and index == 0 else 1
            x = unit(net, f"body.{number}", x, width << stage, stride)
            number += 1
        maps.append(x)
    return maps[::-1]


def basic(net: Network, name: str, x: Array, channels: int, stride: int) -> Array:
    """Two convolutions beside a shortcut."""
    y = nn.relu(net.norm(f"{name}.bn1", net.plain_conv(f"{name}.conv1", x, channels, 3, stride)))
    y = net.norm(f"{name}.bn2", net.plain_conv(f"{name}.conv2", y, channels))
    return nn.relu(_shortcut(net, name, x, (channels, stride)) + y)


def bottleneck(net: Network, name: str, x: Array, channels: int, stride: int) -> Array:
    """Three convolutions, of which the outer are pointwise, beside a shortcut."""
    out = BOTTLENECK * channels
    y = nn.relu(net.norm(f"{name}.bn1", net.plain_conv(f"{name}.conv1", x, channels, 1)))
    y = nn.relu(net.norm(f"{name}.bn2", net.plain_conv(f"{name}.conv2", y, channels, 3, stride)))
    y = net.norm(f"{name}.bn3", net.plain_conv(f"{name}.conv3", y, out, 1))
    return nn.relu(_shortcut(net, name, x, (out, stride)) + y)


def _shortcut(net: Network, name: str, x: Array, plan: tuple[int, int]) -> Array:
    channels, stride = plan
    if x.shape[-1] == channels and stride == 1:
        return x
    x = net.plain_conv(f"{name}.downsample.0", x, channels, 1, stride)
    return net.norm(f"{name}.downsample.1", x)


# Units of the stages, by the name of the backbone.
IR_UNITS: dict[str, Units] = {"50": (3, 4, 14, 3), "100": (3, 13, 30, 3), "152": (3, 8, 36, 3)}
BASIC_UNITS: dict[str, Units] = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3)}
DEEP_UNITS: dict[str, Units] = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3)}
BACKBONES: dict[str, Callable[[Network, Array], Maps]] = {
    **{f"ir-{n}": partial(irse, units=units, gated=False) for n, units in IR_UNITS.items()},
    **{f"ir-se-{n}": partial(irse, units=units, gated=True) for n, units in IR_UNITS.items()},
    **{f"resnet-{n}": partial(resnet, units=u, unit=basic) for n, u in BASIC_UNITS.items()},
    **{f"resnet-{n}": partial(resnet, units=u, unit=bottleneck) for n, u in DEEP_UNITS.items()},
}
