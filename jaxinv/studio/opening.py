"""A photograph opened: its faces, the one that was chosen cut out, and found by the generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.inversion.batch import initial_latents
from jaxinv.inversion.bind import bind
from jaxinv.inversion.invert import invert
from jaxinv.io.decoding import Upright, decode
from jaxinv.io.face_detection import AlignerMissing
from jaxinv.io.face_frame import ffhq_quad
from jaxinv.io.face_search import sure_faces
from jaxinv.io.files import BadFile, read_bytes
from jaxinv.io.image_ops import to_uint8
from jaxinv.io.images import ImageError, Photo, read_photo

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.inversion.result import Progress
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params


class NoFace(ValueError):
    """A photo in which no face is found."""


def find_faces(file: Path) -> list[np.ndarray]:
    """Landmarks [68, 2] of the faces of a photo, largest first; none where none can be looked for.

    They are in px of the file, whatever its size. Raises `NoFace` where there is none.
    """
    image = read_whole(file)
    try:
        found = sure_faces(to_uint8(image.pixels))
    except AlignerMissing:
        return []
    if not found:
        raise NoFace("no face was found in this photo")
    share = image.source_size[0] / image.pixels.shape[1]
    return [(one + 0.5) * share - 0.5 for one in found]


def read_whole(file: Path) -> Upright:
    """The photo, upright and whole; halved where it is very large. `ImageError` if it is none."""
    try:
        return decode(read_bytes(file), size=None, background=0.5)
    except BadFile as error:
        raise ImageError(file.name, str(error)) from error


def corners(landmarks: np.ndarray) -> list[list[float]]:
    """Where a face would be cut out: four corners, x and y in px of the photo."""
    return ffhq_quad(landmarks).round(1).tolist()


def cut_photo(file: Path, landmarks: np.ndarray | None, align: bool, size: int) -> Photo:
    """The photo cut to the face of these landmarks; without them the largest face, or as it is.

    Raises `ImageError` for files that cannot be read.
    """
    if landmarks is None:
        return read_photo(file, size=size, align="auto" if align else "none")
    entry = file.with_suffix(".landmarks.json")
    entry.write_text(json.dumps({file.name: landmarks.tolist()}), "utf-8")
    return read_photo(file, size=size, align=str(entry))


def search(
    gen: Generator,
    params: Params,
    photo: Photo,
    preset: str,
    tell: Callable[[Latents, str, float], object],
) -> Latents:
    """Find the photo: latents of ONE sample. `tell(latents, words, share done)` as it goes on.

    What is told first is where the search begins. Raises `ValueError` where the preset does not
    suit the generator.
    """
    images = photo.pixels[None]
    masks = None if photo.mask is None else photo.mask[None]
    bound = bind(gen, params, images, preset, masks=masks)
    lanes = bound.lanes(np.zeros(1, int), 1, 0)
    begun = initial_latents(bound, lanes)
    if {"z", "w", "w+"} & set(begun):
        tell(_first(begun), "the start", 0.0)

    def report(step: Progress) -> None:
        share = (step.stage - 1 + step.step / step.steps) / step.stages
        if step.latents is not None:
            words = f"{round(100 * share)} %, difference {float(np.min(step.losses)):.3f}"
            tell(_first(step.latents()), words, share)

    found = invert(gen, params, images, preset=preset, masks=masks, report=report)
    return _first(found.latents)


def _first(latents: Any) -> Latents:
    return jax.tree.map(lambda a: np.asarray(a)[0], latents)
