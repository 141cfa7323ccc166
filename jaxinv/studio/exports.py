"""What pages can keep: files of a work, made when they are asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.edits.blending import interpolate
from jaxinv.edits.pasting import paste
from jaxinv.io.animations import encode_animation, there_and_back
from jaxinv.io.image_ops import to_uint8
from jaxinv.io.images import encode_png
from jaxinv.io.latent_files import save_latents
from jaxinv.models.arguments import samples_of
from jaxinv.sessions.recipes import to_json
from jaxinv.studio.opening import read_whole

if TYPE_CHECKING:
    from jaxinv.sessions.session import Session
    from jaxinv.studio.work import Work
    from jaxinv.types import Latents

FRAMES = 8  # from before to after
ANIMATED = 512  # px of the animation

EXPORTS = {
    "picture.png": "image/png",
    "photograph.png": "image/png",
    "latents.safetensors": "application/octet-stream",
    "start.safetensors": "application/octet-stream",
    "change.gif": "image/gif",
    "recipe.json": "application/json",
}


def export(work: Work, kind: str) -> bytes:
    """The bytes of one of `EXPORTS` of a work as it is now.

    Raises `ValueError` where there is no picture yet, or no photograph to paste it into.
    """
    session = work.session
    if session is None:
        raise ValueError("there is no picture yet: wait until it has been found")
    if kind == "picture.png":
        return encode_png(session.picture())
    if kind == "recipe.json":
        return to_json(session, work.desk.generator).encode()
    if kind == "change.gif":
        return _change(session)
    if kind == "photograph.png":
        return encode_png(pasted(work, session))
    return _latents(work, session.latents if kind == "latents.safetensors" else session.start)


def pasted(work: Work, session: Session) -> np.ndarray:
    """The photograph with the picture in its place: uint8 [h, w, 3]."""
    photo = work.photo
    if photo is None or photo.transform is None:
        raise ValueError("nobody knows where in which photograph this picture lies")
    image = read_whole(work.file)
    share = image.pixels.shape[1] / image.source_size[0]
    quad = np.asarray(photo.transform["quad"]) * share
    return paste(to_uint8(image.pixels), session.picture(), quad)


def _change(session: Session) -> bytes:
    """From the picture as it was found to the picture as it is, and back."""
    side = min(ANIMATED, session.gen.spec.resolution)
    shares = np.linspace(0, 1, FRAMES).tolist()
    ends = (session.start, session.latents)
    between = interpolate(session.gen, session.params, ends, shares)
    frames = [session.picture(side, one) for one in samples_of(between)]
    return encode_animation(there_and_back(frames), "gif", seconds=2.5)


def _latents(work: Work, latents: Latents) -> bytes:
    facts = {"generator": work.desk.generator, "verb": "studio", "source": work.title}
    with tempfile.TemporaryDirectory(dir=work.file.parent) as folder:
        place = Path(folder) / "latents.safetensors"
        save_latents(place, latents, facts)
        return place.read_bytes()
