"""HyperInverter: what is added to a generator's kernels, from maps of a picture and its render.

Dinh et al. 2022 (arXiv:2112.00719), section 3.3. One encoder looks at both and gives a map for
every kernel; a hypernetwork makes the change of that kernel of the two maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flax.linen as nn

from jaxinv.encoders.backbones import BASIC_UNITS, basic, resnet
from jaxinv.encoders.hypernetworks import SLOPE, TAPS, Change, regressed
from jaxinv.encoders.layers import Network
from jaxinv.models.generators.weight_deltas import nested
from jaxinv.nn.linear import leaky_relu

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.types import Array, Params

SIDE = 8  # px of the map of a kernel


class KernelMaps(Network):
    """A ResNet-34, then for every kernel a convolution to a map of at most 8 px."""

    @nn.compact
    def __call__(self, x: Array) -> Maps:
        """[h, w, 3] -> maps [s, s, c]."""
        coarsest = resnet(self, x, BASIC_UNITS["34"], unit=basic)[0]
        found: Maps = []
        for index in range(len(self.fact("changes", ()))):
            one = coarsest
            for level in range(max((one.shape[0] // SIDE).bit_length() - 1, 0)):
                one = leaky_relu(
                    self.conv(f"maps.{index}.{level}", one, one.shape[-1], 3, 2), SLOPE
                )
            found.append(one)
        return found


def backbone(net: Network, x: Array) -> Maps:
    """The maps of the picture, then those of what is drawn, by the same weights."""
    look = KernelMaps(net.spec, name="w_bar_encoder")
    return [*look(x[..., :3]), *look(x[..., 3:6])]


def head(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """What is added to the kernels that the fact "changes" lists, in their usual size."""
    del beside
    changes = [Change(*one) for one in net.fact("changes", ())]
    found: list[tuple[tuple[str, ...], Params]] = []
    for index, change in enumerate(changes):
        shape = change.outside, change.inside, TAPS
        name = f"hypernet.{change.path[1]}"
        kernel = regressed(net, name, (maps[index], maps[len(changes) + index]), shape)
        kernel = kernel / (TAPS * change.inside**0.5)
        found.append((change.path, {"add": kernel[::-1, ::-1] if change.flipped else kernel}))
    return {"weights": nested(found)}
