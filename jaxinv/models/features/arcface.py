"""ArcFace identity nets IR-50 and IR-SE50 (Deng et al. 2019; Hu et al. 2018 for the gates)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser, unit
from jaxinv.nn.pool import adaptive_average
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from jaxinv.types import Array

SIDE, FRAME = 112, 256
ROWS, COLUMNS = slice(35, 223), slice(32, 220)  # of the face in a picture framed as FFHQ, at 256 px


class ArcFace(Layers):
    """Taps "stem", "unit1", "unit2" ... and "body", the last (maps); "vector", "embedding"."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared face [112, 112, 3] in [-1, 1] -> all taps."""
        x = self.sloped("input_layer.2", self.conv("input_layer.0", x))
        taps = {"stem": x}
        for index in range(self.count("body")):
            x = self.residual(f"body.{index}", x, first=index == 0)
            taps[f"unit{index + 1}"] = x
        vector = self.dense("output_layer", x.ravel())
        return {**taps, "body": x, "vector": vector, "embedding": unit(vector)}

    def residual(self, name: str, x: Array, *, first: bool) -> Array:
        """A residual unit; where a group of one width begins, it halves the sides."""
        width = self.shape(f"{name}.res_layer.3/kernel")[-1]
        stride = 2 if first or width != x.shape[-1] else 1
        y = self.conv(f"{name}.res_layer.1", self.affine(f"{name}.res_layer.0", x))
        y = self.conv(f"{name}.res_layer.3", self.sloped(f"{name}.res_layer.2", y), stride)
        if self.has(f"{name}.res_layer.5"):
            gate = self.relu(f"{name}.res_layer.5.fc1", y.mean((0, 1), keepdims=True))
            y = y * jax.nn.sigmoid(self.conv(f"{name}.res_layer.5.fc2", gate))
        if self.has(f"{name}.shortcut_layer"):
            return y + self.conv(f"{name}.shortcut_layer.0", x, stride)
        return y + x[::stride, ::stride]

    def sloped(self, name: str, x: Array) -> Array:
        """x where it is positive, else x times a slope per channel (PReLU)."""
        return jnp.where(x >= 0, x, x * self.array(name))


def face_input(image: Array) -> Array:
    """A picture in [-1, 1], framed as FFHQ is: rows 35:223 and columns 32:220 at 256 px, at 112 px.

    What pSp, e4e and StyleCLIP compare persons by; a cut-out face of 112 px goes into `run` as it
    is.
    """
    face = resize(image, FRAME)[ROWS, COLUMNS]
    return adaptive_average(face, (SIDE, SIDE))


def build(shapes: Shapes) -> Net:
    """The net of these arrays; persons are compared by the dot product of their embeddings."""
    module = ArcFace(shapes)
    init = initialiser(module, ((SIDE, SIDE, 3), jnp.float32))
    return Net("arcface-ir", "embedding", face_input, init, partial(apply, module))
