"""Texts on the packaged pictures, by an embedding that is written down here: it is no CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxinv
from jaxinv.edits.discovery.requests import Text
from jaxinv.io.checkpoints import PACKAGED
from jaxinv.models.joint_embedding import JointEmbedding
from jaxinv.models.rendering import render
from jaxinv.nn.resample import area_reduce
from jaxinv.types import Array
from tests.benchmarks.applications.rows import write_sheet

COUNT, PROBES, AMOUNT, THRESHOLD = 4, 4, 4.0, 0.15
WORDS = {"a picture": (0.0, 0.0, 0.0), "a blue wall": (-1.0, 0.0, 1.0)}  # red, green, blue


def colours(image: Array) -> Array:
    """The colours of a grid of 4 x 4 cells in a row, and a number that never changes."""
    return jnp.append(area_reduce(image, 4).ravel(), 1.0)


def said(texts: Sequence[str]) -> np.ndarray:
    """Texts as colours of the cells at the upper corners, which show the wall."""
    found = np.zeros((len(texts), 4, 4, 3))
    found[:, 0, [0, 3]] = np.array([WORDS[text] for text in texts])[:, None]
    return np.concatenate([found.reshape(len(texts), -1), np.ones((len(texts), 1))], 1)


def global_direction(out: Path | None = None) -> tuple[str, bool]:
    """How far corners turn to the colour that is said, and how far the middles of faces go."""
    gen, params = jaxinv.load_generator("avatars")
    files = sorted((PACKAGED / "avatars").glob("*.png"))[:COUNT]
    images = jaxinv.read_images(files, size=gen.spec.resolution)
    found = jaxinv.invert(gen, params, images, preset="w+")
    joint = JointEmbedding(jax.tree_util.Partial(colours), said)
    text = Text("a blue wall", "a picture", joint, ("{}",), THRESHOLD, PROBES)
    (way,) = jaxinv.discover("styleclip", gen, params, text=text, samples=500)
    moved = jaxinv.edit(gen, params, found.latents, [(way, AMOUNT)])
    before, after = (np.asarray(render(gen, params, one)) for one in (found.latents, moved))
    wanted = np.array(WORDS["a blue wall"]) / np.sqrt(2)
    corners = [*range(8), *range(-8, 0)]
    walls = [some[:, :8, corners].mean((1, 2)) @ wanted for some in (before, after)]
    middle = slice(gen.spec.resolution // 3, -gen.spec.resolution // 3)
    faces = np.abs(after - before)[:, middle, middle].mean()
    if out is not None:
        rows = [list(one) for one in zip(images, before, after, strict=True)]
        write_sheet(out, rows, ("picture", "inverted", "a blue wall"), 128)
    channels = sum(np.count_nonzero(part) for part in way.vector)
    gain = walls[1] - walls[0]
    words = f"{channels} channels; walls {gain.mean():+.2f} ({gain.min():+.2f} at least)"
    return f"{words}, faces {faces:.2f}", bool(gain.min() > 0 and faces < gain.mean())
