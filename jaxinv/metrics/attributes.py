"""Attributes of pictures as numbers, for discovering directions and for measuring edits.

One table: name, what it is, unit, and the function that measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.metrics import picture_attributes as pictures
from jaxinv.metrics.reconstruction import check_stack
from jaxinv.specs.checks import check_choice, check_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.metrics.reconstruction import Scores, Stack


@dataclass(frozen=True)
class Attribute:
    """What is measured, in which unit, and how.

    `picture` is of one picture float64 [h, w, 3] in 0..255.
    """

    title: str
    unit: str
    picture: Callable[[np.ndarray], float]


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
}


def attribute_scores(name: str, images: Stack) -> Scores:
    """One attribute of each picture, float64 [B].

    Args:
        name: of `ATTRIBUTES`, which says the unit.
        images: uint8 [B, h, w, 3].

    Raises:
        ValueError: an unknown name, or other arrays.
    """
    return attributes(images, (name,))[name]


def attributes(images: Stack, names: tuple[str, ...] = tuple(ATTRIBUTES)) -> dict[str, Scores]:
    """The attributes called `names` (default: all) of uint8 images [B, h, w, 3], each float64 [B].

    Raises `ValueError` as `attribute_scores` does.
    """
    check_list("names", names, "names of attributes")
    for name in names:
        check_choice("attribute", name, tuple(ATTRIBUTES))
    stack = check_stack("images", images)
    return {name: _measured(ATTRIBUTES[name], stack) for name in names}


def _measured(attribute: Attribute, images: Stack) -> Scores:
    return np.array([attribute.picture(image.astype(np.float64)) for image in images], np.float64)
