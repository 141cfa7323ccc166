"""Necks: what joins the maps of a backbone before the head; maps are the coarsest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxinv.nn.pool import bilinear_corners

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.layers import Network

LEVELS = 3  # of the pyramid


def none(net: Network, maps: Maps) -> Maps:
    """The maps as they are."""
    del net
    return maps


def fpn(net: Network, maps: Maps) -> Maps:
    """Feature pyramid over the three coarsest maps (Lin et al. 2017; Richardson et al. 2021, pSp).

    From the coarsest down, each is enlarged, corners upon corners, and added to the next one, which
    a pointwise convolution gives as many channels.
    """
    found = maps[:1]
    for level, finer in enumerate(maps[1:LEVELS], start=1):
        lateral = net.conv(f"latlayer{level}", finer, maps[0].shape[-1], 1)
        found.append(bilinear_corners(found[-1], lateral.shape[:2]) + lateral)
    return found


NECKS: dict[str, Callable[[Network, Maps], Maps]] = {"none": none, "fpn": fpn}
