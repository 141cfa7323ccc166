"""Convolution trunks by layer name: AlexNet and VGG-16.

Krizhevsky et al. 2012; Simonyan & Zisserman 2015.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.features.base import FeatureNet, normalise
from jaxinv.nn.conv import BACKWARD_KERNELS, Conv, precompute_backward
from jaxinv.nn.module import Module
from jaxinv.nn.pool import max_pool
from jaxinv.specs.vocabulary import LAYERS, LPIPS_LAYERS

if TYPE_CHECKING:
    from jaxinv.types import Array, Key, Params

# Each row: layer suffix, channels, kernel, stride, padding, side of the max-pool before (0: none).
ALEXNET = (
    ("1", 64, 11, 4, 2, 0),
    ("2", 192, 5, 1, 2, 3),
    ("3", 384, 3, 1, 1, 3),
    ("4", 256, 3, 1, 1, 0),
    ("5", 256, 3, 1, 1, 0),
)
VGG16 = tuple(
    (f"{block}_{layer}", channels, 3, 1, 1, 2 if layer == 1 and block > 1 else 0)
    for block, (channels, layers) in enumerate(
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1
    )
    for layer in range(1, layers + 1)
)
Rows = tuple[tuple[str, int, int, int, int, int], ...]


class Trunk(Module):
    """A chain of convolution + ReLU with taps "conv1_1" before and "relu1_1" after each ReLU."""

    rows: Rows

    @nn.compact
    def __call__(self, image: Array) -> dict[str, Array]:
        """Image [h, w, 3] in [-1, 1] -> {tap: [h', w', c]}."""
        x, taps = normalise(image), {}
        for suffix, channels, size, stride, padding, pool in self.rows:
            if pool:
                x = max_pool(x, pool)
            x = Conv(channels, size, stride, padding, name="conv" + suffix)(x)
            taps["conv" + suffix] = x.astype(jnp.float32)
            x = nn.relu(x)
            taps["relu" + suffix] = x.astype(jnp.float32)
        return taps


def smallest(rows: Rows) -> int:
    """Side of the smallest image that leaves one pixel after the last layer."""
    side = 1
    for _, _, size, stride, padding, pool in reversed(rows):
        side = (side - 1) * stride + size - 2 * padding
        side = max(side, 1)
        if pool:
            side = (side - 1) * 2 + pool
    return side


def build(name: str, rows: Rows) -> FeatureNet:
    """The feature net of a table of layers."""
    trunk, lpips = Trunk(rows), LPIPS_LAYERS[name]

    def init(key: Key) -> Params:
        params: Params = dict(trunk.init(key, jnp.zeros((64, 64, 3))))["params"]
        heads = {
            f"lin{i}": jnp.ones(params[tap.replace("relu", "conv")]["bias"].shape)
            for i, tap in enumerate(lpips)
        }
        return {**params, **heads, BACKWARD_KERNELS: precompute_backward(params)}

    def taps(params: Params, image: Array) -> dict[str, Array]:
        found: Any = trunk.apply(
            {"params": params, BACKWARD_KERNELS: params.get(BACKWARD_KERNELS, {})}, image
        )
        return found

    return FeatureNet(name, lpips, LAYERS[name], smallest(rows), jax.jit(init), taps)


NETS = {
    "alexnet": build("alexnet", ALEXNET),
    "vgg16": build("vgg16", VGG16),
}
