"""FaceNet's Inception-ResNet-v1 (Schroff et al. 2015; Szegedy et al. 2017)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser, unit
from jaxinv.nn.pool import max_pool
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from jaxinv.types import Array

SIDE = 160
SCALES = {"repeat_1": 0.17, "repeat_2": 0.10, "repeat_3": 0.20}  # of the residuals


class FaceNet(Layers):
    """Taps "vector" and "embedding", its direction."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared face [160, 160, 3] -> all taps."""
        x = self.relu("conv2d_1a", x, 2, padded=False)
        x = self.relu("conv2d_2b", self.relu("conv2d_2a", x, padded=False))
        x = self.relu("conv2d_3b", max_pool(x, 3))
        x = self.relu("conv2d_4b", self.relu("conv2d_4a", x, padded=False), 2, padded=False)
        x = self.reduced("mixed_6a", self.repeated("repeat_1", x))
        x = self.reduced("mixed_7a", self.repeated("repeat_2", x))
        x = self.repeated("repeat_3", x)
        x = x + self.residual("block8", x)
        vector = self.dense("last_linear", x.mean((0, 1)))
        return {"vector": vector, "embedding": unit(vector)}

    def repeated(self, group: str, x: Array) -> Array:
        """Residual blocks, one after the other."""
        for index in range(self.count(group)):
            x = nn.relu(x + SCALES[group] * self.residual(f"{group}.{index}", x))
        return x

    def residual(self, block: str, x: Array) -> Array:
        """All branches of a block joined, and mixed by its last convolution."""
        joined = jnp.concatenate(self.branches(block, x), axis=-1)
        return self.conv(f"{block}.conv2d", joined)

    def reduced(self, block: str, x: Array) -> Array:
        """Branches whose last layer halves the sides, joined with the pooled map."""
        halved = self.branches(block, x, halving=True)
        return jnp.concatenate([*halved, max_pool(x, 3)], axis=-1)

    def branches(self, block: str, x: Array, *, halving: bool = False) -> list[Array]:
        """What every branch of a block gives: one convolution, or several in a row."""
        found = []
        number = 0
        while self.has(f"{block}.branch{number}"):
            name = f"{block}.branch{number}"
            *first, last = [f"{name}.{i}" for i in range(self.count(name))] or [name]
            y = x
            for layer in first:
                y = self.relu(layer, y)
            found.append(self.relu(last, y, 2 if halving else 1, padded=not halving))
            number += 1
        return found


def face_input(image: Array) -> Array:
    """A picture in [-1, 1] of a cut-out face, at 160 px, as levels less 127.5 over 128."""
    return resize(image, SIDE) * (127.5 / 128)


def build(shapes: Shapes) -> Net:
    """The net of these arrays, for faces cut out with little around them."""
    module = FaceNet(shapes)
    init = initialiser(module, ((SIDE, SIDE, 3), jnp.float32))
    return Net("facenet", "embedding", face_input, init, partial(apply, module))
