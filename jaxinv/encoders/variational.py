"""Encoders of variational autoencoders: the mean of the code is its start, in units of z.

Kingma & Welling 2014 (arXiv:1312.6114), of dense layers; Rombach et al. 2022 (arXiv:2112.10752), of
residual blocks. The logarithm of the variance is an output beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.nn.conv import Conv
from jaxinv.nn.latent_blocks import GroupNorm, Halve, PixelAttention, ResBlock
from jaxinv.nn.linear import Linear

if TYPE_CHECKING:
    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

HIDDEN = 400
BOUNDS = (-30.0, 20.0)  # of the logarithm of the variance, as published
MAPS, DENSE = "variational-blocks", "variational-dense"


def dense_backbone(net: Network, x: Array) -> Maps:
    """One dense layer over all pixels; "hidden" is its width."""
    return [jax.nn.relu(net.dense("fc1", x.ravel(), net.fact("hidden", HIDDEN)))]


def dense_head(net: Network, maps: Maps, stage: Array | None) -> Outputs:
    """Mean and log-variance by a dense layer each."""
    del stage
    mean, spread = (net.dense(name, maps[0], net.spec.width) for name in ("fc21", "fc22"))
    return {"code": mean, "aside": spread}


def backbone(net: Network, x: Array) -> Maps:
    """Stages of residual blocks that halve the sides, and attention at the last.

    Facts: "widths" and "blocks" of the stages, "groups" of the normalisations, "attention",
    "channels" of the code, and "quantised", whether a pointwise layer comes last.
    """
    widths, groups = net.fact("widths", (32, 64)), net.fact("groups", 8)
    x = Conv(widths[0], name="conv_in")(x)
    for index, width in enumerate(widths):
        for number in range(net.fact("blocks", 2)):
            x = ResBlock(width, groups, name=f"down{index}_res{number}")(x)
        if index + 1 < len(widths):
            x = Halve(width, name=f"down{index}_down")(x)
    x = ResBlock(widths[-1], groups, name="mid_res0")(x)
    if net.fact("attention", True):
        x = PixelAttention(groups, name="mid_attention")(x)
    x = ResBlock(widths[-1], groups, name="mid_res1")(x)
    x = jax.nn.silu(GroupNorm(groups, name="norm_out")(x))
    count = 2 * net.fact("channels", 4)
    x = Conv(count, name="conv_out")(x)
    return [Linear(count, name="quant_conv")(x) if net.fact("quantised", True) else x]


def head(net: Network, maps: Maps, stage: Array | None) -> Outputs:
    """Halves of the channels: the mean, as z of the decoder, and the log-variance beside."""
    del stage
    mean, spread = (part.transpose(2, 0, 1).ravel() for part in jnp.split(maps[0], 2, -1))
    code = (mean - net.fact("shift", 0.0)) * net.fact("scale", 1.0)
    return {"code": code, "aside": jnp.clip(spread, *BOUNDS)}


BACKBONES = {MAPS: backbone, DENSE: dense_backbone}
HEADS = {MAPS: head, DENSE: dense_head}
