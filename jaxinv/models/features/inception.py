"""Inception-v3 of TensorFlow's 2015-12-05 graph: the net of FID, KID and Inception Score.

Szegedy et al. 2016, Rethinking the Inception Architecture. Unlike other releases of the net, the
average pools leave the padding out, the last block has a maximum pool, and there are 1008 classes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser
from jaxinv.nn.pool import average_pool, bilinear, bilinear_tensorflow, max_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.types import Array

SIDE = 299
# Chains of layers of a mixed block, in the order in which their outputs are joined; a pair of
# layers in place of one is joined too. The pooled branch comes last.
MIXED_5 = (
    ("branch1x1",),
    ("branch5x5_1", "branch5x5_2"),
    ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
)
MIXED_6 = (
    ("branch1x1",),
    ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
    tuple(f"branch7x7dbl_{i}" for i in range(1, 6)),
)
MIXED_7 = (
    ("branch1x1",),
    ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
    ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
)
# Of blocks that halve the sides: the last layer of every chain has stride 2 and no padding.
HALVING_6 = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))
HALVING_7 = (("branch3x3_1", "branch3x3_2"), tuple(f"branch7x7x3_{i}" for i in range(1, 5)))
Chains = tuple[tuple[str | tuple[str, str], ...], ...]


class Inception(Layers):
    """Taps "64", "192", "768" (maps) and "2048", "logits", "logits_biased" (vectors)."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared picture [299, 299, 3] -> all taps."""
        taps = self.trunk(x)
        pooled = taps["2048"] = taps.pop("2048 map").mean((0, 1))
        taps["logits"] = self.dense("fc", pooled)
        taps["logits_biased"] = taps["logits"] + self.array("fc_bias")
        return taps

    def trunk(self, x: Array) -> Taps:
        """All maps, the last one "2048 map"."""
        taps: Taps = {}
        x = self.relu("Conv2d_1a_3x3", x, 2, padded=False)
        x = self.relu("Conv2d_2b_3x3", self.relu("Conv2d_2a_3x3", x, padded=False))
        x = taps["64"] = max_pool(x, 3)
        x = self.relu("Conv2d_3b_1x1", x)
        x = taps["192"] = max_pool(self.relu("Conv2d_4a_3x3", x, padded=False), 3)
        mean, largest = partial(average_pool, padding=1), partial(max_pool, padding=1)
        for block in "bcd":
            x = self.mixed(f"Mixed_5{block}", x, MIXED_5, mean)
        x = self.halved("Mixed_6a", x, HALVING_6)
        for block in "bcde":
            x = self.mixed(f"Mixed_6{block}", x, MIXED_6, mean)
        taps["768"] = x
        x = self.halved("Mixed_7a", x, HALVING_7)
        x = self.mixed("Mixed_7b", x, MIXED_7, mean)
        taps["2048 map"] = self.mixed("Mixed_7c", x, MIXED_7, largest)
        return taps

    def mixed(
        self, block: str, x: Array, chains: Chains, pool: Callable[[Array, int, int], Array]
    ) -> Array:
        """All chains of a block, and the pooled branch, joined."""
        parts = [self.chain(block, x, chain) for chain in chains]
        pooled = self.relu(f"{block}.branch_pool", pool(x, 3, 1))
        return jnp.concatenate([*parts, pooled], axis=-1)

    def chain(self, block: str, x: Array, chain: Sequence[str | tuple[str, str]]) -> Array:
        """One layer after the other."""
        for layer in chain:
            pair = (layer,) if isinstance(layer, str) else layer
            x = jnp.concatenate([self.relu(f"{block}.{one}", x) for one in pair], axis=-1)
        return x

    def halved(self, block: str, x: Array, chains: Chains) -> Array:
        """All chains of a block that halves the sides, and the pooled picture, joined."""
        parts = [
            self.relu(f"{block}.{last}", self.chain(block, x, first), 2, padded=False)
            for *first, last in chains
        ]
        return jnp.concatenate([*parts, max_pool(x, 3)], axis=-1)


def _levels(image: Array) -> Array:
    return (image + 1) * 127.5


def _scaled(levels: Array) -> Array:
    return (levels - 128) / 128


def clean(image: Array) -> Array:
    """Bicubic, smoothed where it shrinks, clipped, not rounded (Parmar et al. 2022, clean-fid)."""
    levels = jax.image.resize(
        _levels(image), (SIDE, SIDE, 3), "cubic", precision=jax.lax.Precision.HIGHEST
    )
    return _scaled(jnp.clip(levels, 0, 255))


def tensorflow(image: Array) -> Array:
    """As inside the original graph and in torch-fidelity: the first TensorFlow's bilinear."""
    return _scaled(bilinear_tensorflow(_levels(image), (SIDE, SIDE)))


def pytorch(image: Array) -> Array:
    """As pytorch-fid does: bilinear without smoothing, to [-1, 1]."""
    return bilinear(image, (SIDE, SIDE))


# How a picture [h, w, 3] in [-1, 1] is brought to 299 px; figures of different ways are not equal.
RESIZES = {"clean": clean, "tensorflow": tensorflow, "pytorch": pytorch}


def build(shapes: Shapes) -> Net:
    """The net of these arrays. Pictures are prepared as `clean` does; see `RESIZES` for others."""
    module = Inception(shapes)
    init = initialiser(module, ((SIDE, SIDE, 3), jnp.float32))
    return Net("inception-fid", "2048", clean, init, partial(apply, module))
