"""Checks of the arguments of functions that read and write pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from jaxinv.io.face_alignment import check_mode
from jaxinv.io.image_ops import PIXELS, check_pixel_range
from jaxinv.specs.checks import (
    check_array,
    check_choice,
    check_kind,
    check_number,
    check_place,
    check_whole,
)

Fit = Literal["crop", "pad", "stretch", "refuse"]


def check_reading(
    paths: Any, *, size: Any, align: Any, fit: Any, background: Any = 0.5
) -> list[str | Path]:
    """The paths of files to read, in a list.

    Raises `ValueError` unless they are names or paths, `size` is a whole number or None, `fit` and
    `align` are known and the `background` lies in [0, 1].
    """
    check_kind("paths", paths, Iterable, ": a path, or several")
    places = list(paths)
    for place in places:
        check_place("path", place)
    if size is not None:
        check_whole("size", size, 1)
    check_choice("fit", fit, get_args(Fit))
    check_number("background", background)
    if not 0 <= background <= 1:
        raise ValueError(f"background must lie in 0..1, got {background}")
    check_mode(align)
    return places


def check_writing(folder: Any, images: Any, names: Any) -> np.ndarray:
    """The images to write, as an array.

    Raises `ValueError` unless they are uint8 or floats in [-1, 1] of shape [B, H, W, 3], `names`
    are texts or None, and `folder` is a name or a path.
    """
    check_place("folder", folder)
    found = check_array("images", images, "fu", PIXELS)
    if found.ndim != 4 or found.shape[-1] != 3 or 0 in found.shape[1:3]:
        raise ValueError(f"images must have shape [B, H, W, 3], got {list(found.shape)}")
    if found.dtype != np.uint8:
        check_pixel_range("images", found)
    if names is not None:
        check_kind("names", names, Sequence, " of bare file names")
        for name in names:
            check_kind("name", name, str)
    return found
