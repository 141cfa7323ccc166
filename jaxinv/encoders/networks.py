"""`build`: the facts of an encoder -> the encoder, from tables of backbones, necks and heads."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import flax.linen as nn

from jaxinv.encoders import (
    added_weights,
    backbones,
    code_maps,
    dcgan,
    domain_guided,
    feature_fusion,
    feature_styles,
    heads,
    hypernetworks,
    layer_inverses,
    masked,
    necks,
    pretrained,
    residual_fusion,
    style_scales,
    variational,
)
from jaxinv.encoders.base import Beside, Encoder, Outputs, from_network
from jaxinv.encoders.layers import Network
from jaxinv.specs.checks import check_choice

if TYPE_CHECKING:
    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Array

BACKBONES = {
    **backbones.BACKBONES,
    "dcgan": dcgan.backbone,
    "pooled-blocks": domain_guided.backbone,
    "aligned-residual": residual_fusion.backbone,
    "kernel-maps": added_weights.backbone,
    "inception-v3": code_maps.inception,
    "none": code_maps.plain,
    **feature_styles.BACKBONES,
    **masked.BACKBONES,
    **pretrained.BACKBONES,
    **style_scales.BACKBONES,
    **variational.BACKBONES,
}
NECKS = {**necks.NECKS, "fpn-aligned": style_scales.neck}
HEADS = {
    **heads.HEADS,
    "dcgan-dense": dcgan.head,
    "dense": domain_guided.head,
    "pooled-dense": masked.head,
    "style-scales": style_scales.head,
    "scale-shift": residual_fusion.head,
    "styles-content": feature_styles.head,
    "weight-factors": hypernetworks.head,
    "added-weights": added_weights.head,
    "layer-inverses": layer_inverses.head,
    "styles-fused": feature_fusion.fused,
    "moved-residual": feature_fusion.moved_residual,
    "edited-features": feature_fusion.edited_features,
    "rig": code_maps.rigged,
    "identity-mlp": code_maps.joined,
    **pretrained.HEADS,
    **variational.HEADS,
}


class Parts(Network):
    """A backbone, a neck and a head."""

    @nn.compact
    def __call__(self, planes: Array, beside: Beside | None = None) -> Outputs:
        """[h, w, channels] -> {"code": the shape of the spec}."""
        maps = BACKBONES[self.spec.backbone](self, planes)
        maps = NECKS[self.spec.neck](self, maps)
        return HEADS[self.spec.head](self, maps, beside)


@lru_cache
def build(spec: EncoderSpec) -> Encoder:
    """The encoder of `spec`; equal specs give one object, so that programs are shared.

    Raises `ValueError` for parts that there are none of.
    """
    check_choice(f"backbone of encoder {spec.name!r}", spec.backbone, tuple(BACKBONES))
    check_choice(f"neck of encoder {spec.name!r}", spec.neck, tuple(NECKS))
    check_choice(f"head of encoder {spec.name!r}", spec.head, tuple(HEADS))
    before = None if spec.before is None else build(spec.before)
    return from_network(spec, Parts(spec), before)
