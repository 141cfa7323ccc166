"""A small net that says the labels of pictures: convolutions, and one dense layer over all pixels.

Labels come in groups, of which each picture has one: hair, beard, colour of the skin.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.types import Array

ARCHITECTURE = "picture-labels"


class Labeller(Layers):
    """Convolutions of 3x3, all but the first with a stride of 2, one of 1x1, and a dense layer."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared picture -> "features" and "labels", scores of all labels, vectors."""
        for index in range(self.count("conv")):
            x = self.relu(f"conv.{index}", x, 1 if index == 0 else 2)
        features = self.relu("mix", x).ravel()
        return {"features": features, "labels": self.dense("labels", features)}


def layer_shapes(side: int, widths: Sequence[int], mixed: int, labels: int) -> Shapes:
    """The arrays of a net for pictures of `side` px: widths of its convolutions, `mixed` of 1x1."""
    found: dict[str, tuple[int, ...]] = {}
    for index, (before, width) in enumerate(zip((3, *widths), widths, strict=False)):
        found |= {f"conv.{index}/kernel": (3, 3, before, width), f"conv.{index}/bias": (width,)}
    last = side >> (len(widths) - 1)
    found |= {"mix/kernel": (1, 1, widths[-1], mixed), "mix/bias": (mixed,)}
    found |= {"labels/kernel": (last * last * mixed, labels), "labels/bias": (labels,)}
    return tuple(sorted(found.items()))


def side_of(shapes: Shapes) -> int:
    """The side in px of the pictures that a net of these arrays looks at."""
    held = dict(shapes)
    count = sum(name.startswith("conv.") and name.endswith("/kernel") for name in held)
    pixels = held["labels/kernel"][0] // held["mix/kernel"][-1]
    return round(pixels**0.5) << (count - 1)


def build(shapes: Shapes) -> Net:
    """The net of these arrays; pictures of other sizes are resized."""
    module, side = Labeller(shapes), side_of(shapes)
    init = initialiser(module, ((side, side, 3), jnp.float32))
    return Net(
        ARCHITECTURE, "features", lambda image: resize(image, side), init, partial(apply, module)
    )
