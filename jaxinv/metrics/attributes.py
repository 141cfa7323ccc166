"""Attributes of pictures as numbers, for discovering directions and for measuring edits.

One table: name, what it is, unit, and the function that measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.checkpoints import cache_dir
from jaxinv.metrics import face_geometry as geometry
from jaxinv.metrics import picture_attributes as pictures
from jaxinv.metrics.reconstruction import check_stack
from jaxinv.models import zoo
from jaxinv.models.features.face_attributes import EXPRESSIONS, NETS, read_face
from jaxinv.models.features.nets import load_net
from jaxinv.specs.checks import check_choice, check_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.metrics.reconstruction import Scores, Stack
    from jaxinv.models.features.named_layers import Net
    from jaxinv.types import Array, Params


Faces = dict[str, np.ndarray]  # what `read_faces` gives


@dataclass(frozen=True)
class Attribute:
    """What is measured, in which unit, and how.

    `picture` is of one picture float64 [h, w, 3] in 0..255. `face` is instead of what the nets of
    the zoo's entry `needs` say of all pictures, which must be framed as FFHQ.
    """

    title: str
    unit: str
    picture: Callable[[np.ndarray], float] | None = None
    face: Callable[[Faces], Scores] | None = None

    @property
    def needs(self) -> str:
        """What must have been pulled: "attributes", or nothing."""
        return "attributes" if self.face else ""


def _expression(index: int) -> Callable[[Faces], Scores]:
    return lambda faces: faces["expressions"][:, index].astype(np.float64)


def _flat(name: str) -> Callable[[Faces], Scores]:
    return lambda faces: faces[name][:, 0].astype(np.float64)


def _shape(measure: Callable[[np.ndarray], float]) -> Callable[[Faces], Scores]:
    return lambda faces: np.array([measure(one) for one in faces["landmarks"]], np.float64)


def _angle(index: int) -> Callable[[Faces], Scores]:
    return _shape(lambda landmarks: geometry.head_angles(landmarks)[index])


ATTRIBUTES = {
    "luma": Attribute("mean luma", "levels", pictures.mean_luma),
    "lab_a": Attribute("green to red, a* of CIE Lab", "", pictures.mean_green_red),
    "lab_b": Attribute("blue to yellow, b* of CIE Lab", "", pictures.mean_blue_yellow),
    "contrast": Attribute("standard deviation of luma", "levels", pictures.contrast),
    "centroid_x": Attribute("centre of luma from the left", "sides", pictures.centroid_x),
    "centroid_y": Attribute("centre of luma from above", "sides", pictures.centroid_y),
    "scale": Attribute("spread of luma", "sides", pictures.scale),
    "aspect": Attribute("width over height of luma", "", pictures.aspect),
    "sharpness": Attribute("deviation of the Laplacian", "levels", pictures.sharpness),
    "asymmetry": Attribute("difference from the mirror image", "levels", pictures.asymmetry),
    "checkerboard": Attribute("alternation from pixel to pixel", "levels", pictures.checkerboard),
    "hair_luma": Attribute("luma above the forehead, as FFHQ", "levels", pictures.hair_luma),
    "light_side": Attribute("log of right over left cheek's luma", "", pictures.light_side),
    "glasses": Attribute("line across the nose's bridge, as FFHQ", "levels", pictures.glasses),
    "age": Attribute("apparent age", "years", face=_flat("age")),
    "male": Attribute("gender expression, 1 is male", "share", face=_flat("male")),
    **{
        name: Attribute(f"expression: {name}", "share", face=_expression(index))
        for index, name in enumerate(EXPRESSIONS)
    },
    "yaw": Attribute("head turned to the right", "degrees", face=_angle(0)),
    "pitch": Attribute("head turned down", "degrees", face=_angle(1)),
    "roll": Attribute("head tilted clockwise", "degrees", face=_angle(2)),
    "eyes_open": Attribute("height over width of the eyes", "", face=_shape(geometry.eyes_open)),
    "mouth_open": Attribute("gap of the lips over width", "", face=_shape(geometry.mouth_open)),
    "smile": Attribute("width of the mouth over the eyes'", "", face=_shape(geometry.smile)),
}


def attribute_scores(name: str, images: Stack) -> Scores:
    """One attribute of each picture, float64 [B].

    Args:
        name: of `ATTRIBUTES`, which says the unit.
        images: uint8 [B, h, w, 3]; attributes of faces want them framed as FFHQ.

    Raises:
        ValueError: an unknown name, other arrays, or `jaxinv pull attributes` has not been run.
    """
    return attributes(images, (name,))[name]


def attributes(images: Stack, names: tuple[str, ...] = tuple(ATTRIBUTES)) -> dict[str, Scores]:
    """The attributes called `names` (default: all) of uint8 images [B, h, w, 3], each float64 [B].

    The nets look at every picture once. Raises `ValueError` as `attribute_scores` does.
    """
    check_list("names", names, "names of attributes")
    for name in names:
        check_choice("attribute", name, tuple(ATTRIBUTES))
    stack = check_stack("images", images)
    faces = read_faces(stack) if any(ATTRIBUTES[name].face for name in names) else {}
    return {name: _measured(ATTRIBUTES[name], stack, faces) for name in names}


def _measured(attribute: Attribute, images: Stack, faces: Faces) -> Scores:
    if attribute.face is not None:
        return attribute.face(faces)
    if attribute.picture is None:
        raise ValueError(f"attribute {attribute.title!r} has no function")
    return np.array([attribute.picture(image.astype(np.float64)) for image in images], np.float64)


def read_faces(images: Stack) -> Faces:
    """What the pulled nets say of uint8 images [B, h, w, 3] framed as FFHQ.

    "landmarks" [B, 68, 2] (px), "age" [B, 1] (years), "male" [B, 1] and "expressions" [B, 7].
    Raises `ValueError` where `jaxinv pull attributes` has not been run.
    """
    stack = check_stack("images", images)
    if not len(stack):
        raise ValueError("images are none; allowed: at least one")
    if not zoo.is_present("attributes"):
        raise ValueError("attributes of faces need small nets: run 'jaxinv pull attributes'")
    nets = _nets(str(cache_dir()))
    params = {name: held for name, (_, held) in nets.items()}
    look = _reader(tuple((name, net) for name, (net, _) in nets.items()))
    found = [jax.tree.map(np.asarray, look(params, image)) for image in stack]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


@lru_cache(1)
def _nets(folder: str) -> dict[str, tuple[Net, Params]]:
    """The nets of one cache folder."""
    del folder
    return {name: load_net(name) for name in NETS}


@lru_cache(1)
def _reader(nets: tuple[tuple[str, Net], ...]) -> Callable[[dict[str, Params], Array], Faces]:
    """The compiled function of the nets' parameters and one picture uint8 [h, w, 3]."""

    @jax.jit
    def look(params: dict[str, Params], image: Array) -> dict[str, Array]:
        held = {name: (net, params[name]) for name, net in nets}
        return read_face(held, image.astype(jnp.float32) / 127.5 - 1.0)

    return look
