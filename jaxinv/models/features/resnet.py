"""Residual trunks, and ResNet-50 as MoCo trained it (He et al. 2016; He et al. 2020)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser, unit
from jaxinv.nn.pool import average_pool, max_pool, nearest

if TYPE_CHECKING:
    from jaxinv.types import Array

SIDE = 224


def trunk(net: Layers, prefix: str, x: Array) -> list[Array]:
    """The outputs of the four stages, at a 4th to a 32th of the sides."""
    return stages(net, prefix, stem(net, prefix, x))


def stem(net: Layers, prefix: str, x: Array) -> Array:
    """The features before the first stage, at a 4th of the sides."""
    return max_pool(net.relu(f"{prefix}conv1", x, 2), 3, padding=1)


def stages(net: Layers, prefix: str, x: Array, *, pooled: bool = False) -> list[Array]:
    """The outputs of the four stages; all but the first begin with a stride of 2.

    `pooled`: strides are average pools before the last convolution and the shortcut (CLIP).
    """
    found = []
    for stage in range(1, 5):
        group = f"{prefix}layer{stage}"
        for index in range(net.count(group)):
            stride = 2 if stage > 1 and index == 0 else 1
            x = _block(net, f"{group}.{index}", x, stride, pooled)
        found.append(x)
    return found


def _block(net: Layers, name: str, x: Array, stride: int, pooled: bool) -> Array:
    deep = net.has(f"{name}.conv3")  # a bottleneck has its stride in the second convolution
    inner = 1 if pooled else stride
    y = net.relu(f"{name}.conv1", x, 1 if deep else inner)
    y = net.conv(f"{name}.conv2", y, inner if deep else 1)
    if pooled and stride > 1:
        y = average_pool(nn.relu(y), stride, stride)
    if deep:
        y = net.conv(f"{name}.conv3", nn.relu(y))
    if net.has(f"{name}.downsample"):
        shrunk = average_pool(x, stride, stride) if pooled and stride > 1 else x
        x = net.conv(f"{name}.downsample.0", shrunk, inner)
    return nn.relu(x + y)


class ResNet(Layers):
    """Taps "stem", "layer1".."layer4" (maps), "pooled" and "embedding", its direction (vectors)."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared picture [h, w, 3] -> all taps."""
        x = stem(self, "", x)
        found = stages(self, "", x)
        taps = {"stem": x} | {f"layer{i}": y for i, y in enumerate(found, start=1)}
        taps["pooled"] = found[-1].mean((0, 1))
        return taps | {"embedding": unit(taps["pooled"])}


def moco_input(image: Array) -> Array:
    """A picture in [-1, 1] as e4e's similarity loss prepares it: nearest pixels, 224 px, no more.

    MoCo was trained with ImageNet's mean and deviation; the loss leaves them out.
    """
    return nearest(image, (SIDE, SIDE))


def build(shapes: Shapes) -> Net:
    """The net of these arrays; other sides than 224 px can be run too."""
    module = ResNet(shapes)
    init = initialiser(module, ((64, 64, 3), jnp.float32))
    return Net("moco-resnet50", "embedding", moco_input, init, partial(apply, module))
