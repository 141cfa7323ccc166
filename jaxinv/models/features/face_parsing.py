"""BiSeNet that parses faces into 19 parts (Yu et al. 2018, with a ResNet-18)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser
from jaxinv.models.features.resnet import trunk
from jaxinv.nn.pool import bilinear_corners, nearest
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from jaxinv.types import Array

SIDE = 512
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PARTS = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip


class BiSeNet(Layers):
    """Taps "parts", "parts16", "parts32" (scores [h, w, 19]), "trunk8", "context8", "context16"."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared picture [h, w, 3] -> all taps; the scores are as large as the picture."""
        _, eighth, deep16, deep32 = trunk(self, "cp.resnet.", x)
        whole = self.relu("cp.conv_avg", deep32.mean((0, 1), keepdims=True))
        refined32 = self.refined("cp.arm32", deep32) + whole
        context16 = self.relu("cp.conv_head32", nearest(refined32, deep16.shape[:2]))
        refined16 = self.refined("cp.arm16", deep16) + context16
        context8 = self.relu("cp.conv_head16", nearest(refined16, eighth.shape[:2]))
        heads = {
            "parts": ("conv_out", self.fused(eighth, context8)),
            "parts16": ("conv_out16", context8),
            "parts32": ("conv_out32", context16),
        }
        scores = {
            tap: bilinear_corners(self.scored(head, y), x.shape[:2])
            for tap, (head, y) in heads.items()
        }
        return {**scores, "trunk8": eighth, "context8": context8, "context16": context16}

    def refined(self, name: str, x: Array) -> Array:
        """Attention refinement: a gate per channel from the mean."""
        y = self.relu(f"{name}.conv", x)
        return y * jax.nn.sigmoid(self.conv(f"{name}.conv_atten", y.mean((0, 1), keepdims=True)))

    def fused(self, x: Array, y: Array) -> Array:
        """Feature fusion: both joined, and the same again times a gate per channel."""
        joined = self.relu("ffm.convblk", jnp.concatenate([x, y], axis=-1))
        gate = self.relu("ffm.conv1", joined.mean((0, 1), keepdims=True))
        return joined * jax.nn.sigmoid(self.conv("ffm.conv2", gate)) + joined

    def scored(self, name: str, x: Array) -> Array:
        """Scores of the parts at a map's own size."""
        return self.conv(f"{name}.conv_out", self.relu(f"{name}.conv", x))


def parsing_input(image: Array) -> Array:
    """A picture in [-1, 1] at 512 px, with ImageNet's mean and deviation taken out."""
    at_one = (resize(image, SIDE) + 1) / 2
    return (at_one - jnp.asarray(IMAGENET_MEAN)) / jnp.asarray(IMAGENET_DEVIATION)


def build(shapes: Shapes) -> Net:
    """The net of these arrays; `PARTS` names the channels of "parts", whose largest is the label.

    It parses pictures framed as CelebAMask-HQ at 512 px; other sides can be run too.
    """
    module = BiSeNet(shapes)
    init = initialiser(module, ((64, 64, 3), jnp.float32))
    return Net("bisenet-faces", "parts", parsing_input, init, partial(apply, module))
