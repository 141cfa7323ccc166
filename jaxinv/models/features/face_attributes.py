"""Small nets of faces: 68 landmarks, age and gender, expression (those of face-api.js).

Densely connected blocks (Huang et al. 2017) and a small Xception (Chollet 2017), both of separable
convolutions, on squares of 112 px.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser
from jaxinv.nn.depthwise import depthwise3x3
from jaxinv.nn.pool import max_pool
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from jaxinv.types import Array, Params

SIDE = 112
MEAN = (122.782, 117.001, 104.298)  # of the training pictures, in levels
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
NETS = ("face-landmarks", "face-age-gender", "face-expression")
# Of a picture framed as FFHQ: left, upper, right and lower edge of a box about the face, in sides.
FRAME = (0.2, 0.28, 0.8, 0.88)
LOOKS = 4  # how often landmarks are looked for, each time in the box about those before
ABOVE = 0.1  # a box about landmarks is so much higher than they are, for the forehead
AROUND = 0.1  # and what is given to the other nets is so much larger on each side


class Separable(Layers):
    """What the three nets share; "same" padding of TensorFlow leaves the first row out."""

    def first(self, name: str, x: Array) -> Array:
        """A whole convolution at half the sides, and ReLU."""
        return self.relu(name, x)[1::2, 1::2]

    def separable(self, name: str, x: Array, *, halved: bool = False) -> Array:
        """A convolution within channels, and one between them."""
        y = depthwise3x3(x, self.array(f"{name}.depthwise"))
        return self.conv(name, y[1::2, 1::2] if halved else y)


class Dense(Separable):
    """Four dense blocks, a mean and a last layer: landmarks, or expressions."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared face [112, 112, 3] -> "features" [256] and "out"."""
        for block in range(self.count_blocks()):
            x = self.block(f"dense{block}", x, first=block == 0)
        features = x.mean((0, 1))
        return {"features": features, "out": self.dense("fc", features)}

    def count_blocks(self) -> int:
        """How many blocks there are."""
        return len({name.split(".")[0] for name, _ in self.shapes if name.startswith("dense")})

    def block(self, name: str, x: Array, *, first: bool) -> Array:
        """Four convolutions, each of the sum of all before."""
        if first:
            total = self.first(f"{name}.conv0", x)
        else:
            total = nn.relu(self.separable(f"{name}.conv0", x, halved=True))
        y = total
        for index in (1, 2, 3):
            total = total + self.separable(f"{name}.conv{index}", y)
            y = nn.relu(total)
        return y


class Xception(Separable):
    """Age and gender."""

    @nn.compact
    def __call__(self, x: Array) -> Taps:
        """A prepared face [112, 112, 3] -> "features" [512], "age" in years and "male", 0 to 1."""
        x = self.first("entry_flow.conv_in", x)
        x = self.reduced("entry_flow.reduction_block_0", x, x)
        x = self.reduced("entry_flow.reduction_block_1", x, nn.relu(x))
        index = 0
        while self.has(f"middle_flow.main_block_{index}"):
            y = x
            for part in (0, 1, 2):
                y = self.separable(
                    f"middle_flow.main_block_{index}.separable_conv{part}", nn.relu(y)
                )
            x, index = x + y, index + 1
        x = self.reduced("exit_flow.reduction_block", x, nn.relu(x))
        x = nn.relu(self.separable("exit_flow.separable_conv", x))
        features = x.mean((0, 1))
        male = jax.nn.softmax(self.dense("fc.gender", features))[:1]
        return {"features": features, "age": self.dense("fc.age", features), "male": male}

    def reduced(self, name: str, x: Array, y: Array) -> Array:
        """Two convolutions of y at half the sides, and x itself."""
        y = self.separable(f"{name}.separable_conv0", y)
        y = self.separable(f"{name}.separable_conv1", nn.relu(y))
        y = jnp.pad(y, ((0, 1), (0, 1), (0, 0)), constant_values=-jnp.inf)
        return max_pool(y, 3) + self.conv(f"{name}.expansion_conv", x[::2, ::2])


def face_input(image: Array) -> Array:
    """A picture in [-1, 1] of a cut-out face, at 112 px, with the mean taken out."""
    return _scaled(resize(image, SIDE))


def _scaled(image: Array) -> Array:
    return ((image + 1) * 127.5 - jnp.asarray(MEAN)) / 255


def build(architecture: str, output: str, shapes: Shapes) -> Net:
    """The net of these arrays, for cut-out faces; `read_face` cuts them out."""
    module = Xception(shapes) if architecture == "face-age-gender" else Dense(shapes)
    init = initialiser(module, ((SIDE, SIDE, 3), jnp.float32))
    return Net(architecture, output, face_input, init, partial(apply, module))


def read_face(nets: dict[str, tuple[Net, Params]], image: Array) -> Taps:
    """What the three nets say of one image [h, w, 3] in [-1, 1] that is framed as FFHQ.

    "landmarks" [68, 2] (x, y, in px), "age" [1] in years, "male" [1] and "expressions" [7], shares.
    """
    height, width = image.shape[:2]
    sides = jnp.asarray((width, height), jnp.float32)
    corners = jnp.asarray(FRAME).reshape(2, 2) * sides
    landmarks = corners
    for _ in range(LOOKS):
        face, low, side = _cut(image, corners)
        found = _run(nets, "face-landmarks", face)["out"].reshape(-1, 2)
        landmarks = low + found * side
        corners = _about(landmarks)
    face, _, _ = _cut(image, _padded(landmarks))
    looks = jax.nn.softmax(_run(nets, "face-expression", face)["out"])
    other = _run(nets, "face-age-gender", face)
    found = {"age": other["age"], "male": other["male"], "expressions": looks}
    return {"landmarks": landmarks, **found}


def _run(nets: dict[str, tuple[Net, Params]], name: str, face: Array) -> Taps:
    net, params = nets[name]
    return net.run(params, _scaled(face))


def _cut(image: Array, corners: Array) -> tuple[Array, Array, Array]:
    """The box at [112, 112, 3], black where it is not square, and its place: corner and side."""
    size = corners[1] - corners[0]
    side = jnp.max(size)
    low = (corners[0] + corners[1] - side) / 2
    scale = SIDE / side
    face = jax.image.scale_and_translate(
        image, (SIDE, SIDE, 3), (0, 1), jnp.full(2, scale), -low[::-1] * scale, "linear"
    )
    places = (jnp.arange(SIDE) + 0.5) / SIDE * side
    inside = [jnp.abs(places - side / 2) <= length / 2 for length in (size[1], size[0])]
    return jnp.where((inside[0][:, None] & inside[1])[..., None], face, -1.0), low, side


def _about(landmarks: Array) -> Array:
    """Corners of a box about a face, with its forehead."""
    low, high = landmarks.min(0), landmarks.max(0)
    return jnp.stack([low - jnp.asarray((0.0, ABOVE)) * (high - low), high])


def _padded(landmarks: Array) -> Array:
    """Corners of a box about landmarks."""
    low, high = landmarks.min(0), landmarks.max(0)
    return jnp.stack([low - AROUND * (high - low), high + AROUND * (high - low)])
