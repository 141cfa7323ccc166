"""The encoder of GH-Feat: the scales and shifts of every layer of a StyleGAN (Xu et al. 2021).

Generative Hierarchical Features from Synthesizing Images (arXiv:2007.10379), section 3, as the
authors' TensorFlow code has it: what padding is left over lies below and to the right.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.encoders.backbones import BASIC_UNITS, BOTTLENECK, DEEP_UNITS, WIDTH
from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import leaky_relu
from jaxinv.nn.pool import average_pool, max_pool
from jaxinv.nn.progressive import nearest_double

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.encoders.backbones import Maps, Units
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

JOINED = 512  # channels of the maps that a pyramid joins
LEVELS = ("HighLevel", "MidLevel", "LowLevel")


def same_padding(x: Array, size: int, stride: int, fill: float = 0.0) -> Array:
    """Padded so that every `stride`-th pixel has a window; the odd one below and to the right."""
    pads: list[tuple[int, int]] = []
    for n in x.shape[:2]:
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        pads.append((total // 2, total - total // 2))
    return jnp.pad(x, (*pads, (0, 0)), constant_values=fill)


def _conv(name: str, x: Array, plan: tuple[int, int, int], *, bias: bool) -> Array:
    features, size, stride = plan
    return Conv(features, size, stride, 0, bias, name=name)(same_padding(x, size, stride))


def backbone(net: Network, x: Array, units: Units, *, deep: bool) -> Maps:
    """A ResNet with one more stage, a bottleneck; its last three maps, the coarsest first."""
    width = net.fact("width", WIDTH)
    x = leaky_relu(_normal(net, "Conv0", _conv("Conv0", x, (width, 7, 2), bias=False)))
    x = max_pool(same_padding(x, 3, 2, -jnp.inf), 3, 2)
    maps = [x]
    for stage, count in enumerate(net.fact("units", units), start=1):
        for index in range(count):
            plan = (width << (stage - 1), 2 if stage > 1 and index == 0 else 1)
            x = (_bottleneck if deep else _basic)(net, f"stage{stage}_unit{index + 1}", x, plan)
        maps.append(x)
    maps.append(_bottleneck(net, "stage5", x, (width << (len(units) - 1), 2)))
    return maps[:-4:-1]


def _normal(net: Network, name: str, x: Array) -> Array:
    return net.norm(f"{name}.batch_norm", x)


def _basic(net: Network, name: str, x: Array, plan: tuple[int, int]) -> Array:
    width, stride = plan
    y = leaky_relu(_conv(f"{name}.Conva", x, (width, 3, stride), bias=True))
    y = _normal(net, f"{name}.Conva", y)
    y = leaky_relu(_conv(f"{name}.Convb", y, (width, 3, 1), bias=True))
    return _shortcut(net, name, x, (width, stride)) + _normal(net, f"{name}.Convb", y)


def _bottleneck(net: Network, name: str, x: Array, plan: tuple[int, int]) -> Array:
    width, stride = plan
    y = _conv(f"{name}.Conva", x, (width, 1, 1), bias=True)
    y = nn.relu(_normal(net, f"{name}.Conva", y))
    y = _conv(f"{name}.Convb", y, (width, 3, stride), bias=True)
    y = nn.relu(_normal(net, f"{name}.Convb", y))
    y = _conv(f"{name}.Convc", y, (BOTTLENECK * width, 1, 1), bias=True)
    y = _normal(net, f"{name}.Convc", y)
    return nn.relu(_shortcut(net, name, x, (BOTTLENECK * width, stride)) + y)


def _shortcut(net: Network, name: str, x: Array, plan: tuple[int, int]) -> Array:
    """x, or its projection in the first unit of a stage."""
    if name.rpartition("_")[2] not in ("unit1", "stage5"):
        return x
    x = _conv(f"{name}.Shortcut", x, (plan[0], 1, plan[1]), bias=False)
    return _normal(net, f"{name}.Shortcut", x)


def neck(net: Network, maps: Maps) -> Maps:
    """A feature pyramid whose maps are then pooled to the size of the coarsest, and joined."""
    found, joined = list["Array"](), net.fact("joined", JOINED)
    for level, x in enumerate(maps):
        lateral = net.conv(f"fpn.lconv_{5 - level}", x, joined)
        found.append(lateral + nearest_double(found[-1]) if found else lateral)
    fine = [net.conv(f"fpn.fconv_{2 - level}", x, joined) for level, x in enumerate(found)]
    side = fine[0].shape[0]
    aligned = [
        net.conv(f"fuse_conv_{2 - level}", _reduced(x, side), joined)
        for level, x in enumerate(fine)
    ]
    return [aligned[0], *(aligned[0] + x for x in aligned[1:])]


def _reduced(x: Array, side: int) -> Array:
    while x.shape[0] > side:
        x = average_pool(x, 2, 2)
    return x


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A dense layer over each map, normalised over the batch: one style for every layer.

    The fact "styles" says how many numbers each has, "groups" how many come from the first maps.
    """
    del beside
    styles, found = tuple(net.fact("styles", ())), list["Array"]()
    edges = [0, *accumulate(net.fact("groups", ())), len(styles)]
    for name, x, first, last in zip(LEVELS, maps, edges, edges[1:], strict=False):
        lengths = styles[first:last]
        numbers = net.dense(name, x.ravel(), sum(lengths))
        ends = list(accumulate(lengths))
        found += jnp.split(_normal(net, name, numbers), ends[:-1])
    return {"code": tuple(found)}


BACKBONES: dict[str, Callable[[Network, Array], Maps]] = {
    f"resnet-{name}-deeper": partial(backbone, units=units, deep=name in DEEP_UNITS)
    for name, units in {**BASIC_UNITS, **DEEP_UNITS}.items()
}
