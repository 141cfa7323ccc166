"""Maps between codes, and from vectors of other nets to codes: they see no picture, or half of one.

StyleRig (Tewari et al. 2020, arXiv:2004.00121) changes a code so that its picture has what is asked
for; Nitzan et al. 2020 (arXiv:2005.07728) make a code of one person's identity and of what else is
in another picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.encoders.layers import Norm
from jaxinv.models.features.inception import Inception
from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import leaky_relu

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.models.features.named_layers import Shapes
    from jaxinv.types import Array

NARROW = 32  # numbers that stand for a row
HIDDEN = (2048, 1024, 512)
VECTOR = 512  # of a recogniser, where none is given
EPSILON = 1e-3  # of Inception's normalisations


def plain(net: Network, x: Array) -> Maps:
    """What the encoder sees, as it is."""
    del net
    return [x]


def rigged(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """What is added to a code for an attribute: a narrow linear map of every row, and one back.

    Tewari et al. 2020, StyleRig, section 5: each row's few numbers stand beside what is asked for.
    """
    asked = maps[0][0, 0]
    rows = jnp.zeros(net.spec.shape) if beside is None or beside.code is None else beside.code
    found: list[Array] = []
    for number, row in enumerate(rows.reshape(-1, net.spec.width)):
        few = net.dense(f"encoders.{number}", row, net.fact("narrow", NARROW))
        both = jnp.concatenate([few, asked])
        found.append(net.dense(f"decoders.{number}", both, net.spec.width))
    return {"code": jnp.stack(found).reshape(net.spec.shape)}


def joined(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A perceptron over a recogniser's vector and the means of the last map (Nitzan, 3.1)."""
    whose = jnp.zeros(net.fact("vector", VECTOR))
    if beside is not None and beside.identity is not None:
        whose = beside.identity
    x = jnp.concatenate([whose.ravel(), jnp.mean(maps[0], (0, 1))])
    for index, width in enumerate(net.fact("hidden", HIDDEN)):
        x = leaky_relu(net.dense(f"mlp.{index}", x, width))
    x = net.dense("mlp.out", x, max(net.spec.rows, 1) * net.spec.width)
    return {"code": x.reshape(net.spec.shape)}


class TrainedInception(Inception):
    """Inception-v3 (Szegedy et al. 2016) whose normalisations learn, without its classes."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, 3] in [-1, 1] -> [h', w', 2048]."""
        return self.trunk(x)["2048 map"]

    def relu(self, name: str, x: Array, stride: int = 1, *, padded: bool = True) -> Array:
        """Convolution without a bias, normalisation and ReLU."""
        rows, columns, _, features = self.shape(f"{name}/kernel")
        padding = (rows // 2, columns // 2) if padded else 0
        x = Conv(features, (rows, columns), stride, padding, bias=False, name=name)(x)
        return nn.relu(Norm(EPSILON, name=f"{name}.bn")(x))


def inception(net: Network, x: Array) -> Maps:
    """Inception-v3; the fact "width" says how wide it is, of 64."""
    shapes = inception_shapes(net.fact("width", 64) / 64)
    return [TrainedInception(shapes, name="inception")(x[..., :3])]


_5: dict[str, tuple[int, int, int]] = {
    "branch1x1": (1, 1, 64),
    "branch5x5_1": (1, 1, 48),
    "branch5x5_2": (5, 5, 64),
    "branch3x3dbl_1": (1, 1, 64),
    "branch3x3dbl_2": (3, 3, 96),
    "branch3x3dbl_3": (3, 3, 96),
}


def _6(width: int) -> dict[str, tuple[int, int, int]]:
    return {
        "branch1x1": (1, 1, 192),
        "branch7x7_1": (1, 1, width),
        "branch7x7_2": (1, 7, width),
        "branch7x7_3": (7, 1, 192),
        "branch7x7dbl_1": (1, 1, width),
        "branch7x7dbl_2": (7, 1, width),
        "branch7x7dbl_3": (1, 7, width),
        "branch7x7dbl_4": (7, 1, width),
        "branch7x7dbl_5": (1, 7, 192),
        "branch_pool": (1, 1, 192),
    }


_7: dict[str, tuple[int, int, int]] = {
    "branch1x1": (1, 1, 320),
    "branch3x3_1": (1, 1, 384),
    "branch3x3_2a": (1, 3, 384),
    "branch3x3_2b": (3, 1, 384),
    "branch3x3dbl_1": (1, 1, 448),
    "branch3x3dbl_2": (3, 3, 384),
    "branch3x3dbl_3a": (1, 3, 384),
    "branch3x3dbl_3b": (3, 1, 384),
    "branch_pool": (1, 1, 192),
}
# Rows, columns and channels of every convolution, by block.
KERNELS: dict[str, dict[str, tuple[int, int, int]]] = {
    "": {
        "Conv2d_1a_3x3": (3, 3, 32),
        "Conv2d_2a_3x3": (3, 3, 32),
        "Conv2d_2b_3x3": (3, 3, 64),
        "Conv2d_3b_1x1": (1, 1, 80),
        "Conv2d_4a_3x3": (3, 3, 192),
    },
    "Mixed_5b.": {**_5, "branch_pool": (1, 1, 32)},
    "Mixed_5c.": {**_5, "branch_pool": (1, 1, 64)},
    "Mixed_5d.": {**_5, "branch_pool": (1, 1, 64)},
    "Mixed_6a.": {
        "branch3x3": (3, 3, 384),
        "branch3x3dbl_1": (1, 1, 64),
        "branch3x3dbl_2": (3, 3, 96),
        "branch3x3dbl_3": (3, 3, 96),
    },
    "Mixed_6b.": _6(128),
    "Mixed_6c.": _6(160),
    "Mixed_6d.": _6(160),
    "Mixed_6e.": _6(192),
    "Mixed_7a.": {
        "branch3x3_1": (1, 1, 192),
        "branch3x3_2": (3, 3, 320),
        "branch7x7x3_1": (1, 1, 192),
        "branch7x7x3_2": (1, 7, 192),
        "branch7x7x3_3": (7, 1, 192),
        "branch7x7x3_4": (3, 3, 192),
    },
    "Mixed_7b.": _7,
    "Mixed_7c.": _7,
}


def inception_shapes(share: float = 1.0) -> Shapes:
    """(rows, columns, 0, channels) of every kernel of Inception-v3, so many times as wide."""
    return tuple(
        (f"{block}{layer}/kernel", (rows, columns, 0, max(round(share * channels), 1)))
        for block, layers in KERNELS.items()
        for layer, (rows, columns, channels) in layers.items()
    )
