"""Figures cut out of their backgrounds, and pictures of masks: on figures of known regions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from scipy.cluster.vq import kmeans2

import jaxinv
from jaxinv.applications.alpha_mattes import MatteSettings, learn_mattes, mattes, over
from jaxinv.applications.semantic_synthesis import (
    COLOURS,
    from_masks,
    learn_labels,
    masks_of,
)
from jaxinv.edits.discovery.training import Training
from jaxinv.models.generators.base import Generator, Synthesis, from_z
from jaxinv.models.rendering import render
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Array, Latents, Params
from tests.benchmarks.applications.rows import Found, Row, write_sheet
from tests.benchmarks.applications.segmentation import HAIR, drawn_figures

COUNT, SIDE, STEPS, WALLS = 8, 32, 300, 6  # pictures, px, steps of learning mattes, colours
GREEN = np.array([-0.4, 0.8, -0.4])
INPUTS = "held-out figures of 32 px, in `avatars`"


class Plain(nn.Module):
    """Pictures of one of some colours."""

    steps = ("colour",)

    def setup(self) -> None:
        self.palette = self.param("palette", nn.initializers.zeros, (WALLS, 3))

    def step(self, index: int, state: Any, code: Array, noise: Any) -> Any:
        colour = jax.nn.softmax(30 * code) @ self.palette
        return {"x": jnp.broadcast_to(colour, (SIDE, SIDE, 3))}

    def finish(self, state: Any, code: Array, size: int) -> Array:
        return state["x"][:size, :size]


def walls(pictures: np.ndarray) -> tuple[Generator, Params]:
    """A generator of plain backgrounds, in the usual colours of the corners of other pictures."""
    gen = from_z(
        GeneratorSpec("walls", "plain", SIDE, z_dim=WALLS), Synthesis(Plain(), jnp.ones(WALLS))
    )
    left, right = (pictures[:, :3, side].mean((1, 2)) for side in (slice(3), slice(-3, None)))
    alike = left[np.abs(left - right).max(-1) < 0.05]
    palette, _ = kmeans2(alike, WALLS, minit="++", rng=0)
    return gen, {"synthesis": {"palette": jnp.asarray(palette, float)}}


@lru_cache
def found() -> tuple[Generator, Params, np.ndarray, np.ndarray, Latents]:
    """The generator, held-out figures, their regions, and their codes."""
    gen, params = jaxinv.load_generator("avatars")
    pictures, regions = drawn_figures(COUNT, SIDE)
    latents = jaxinv.invert(gen, params, pictures, preset="w+").latents
    return gen, params, pictures, regions, latents


def labels_free(out: Path) -> Found:
    """How well mattes meet the regions that figures were drawn with."""
    gen, params, pictures, regions, latents = found()
    others, _ = drawn_figures(200, SIDE)
    made = learn_mattes(
        *(gen, params, walls(others[COUNT:])),
        settings=MatteSettings(),
        training=Training(STEPS, 1e-3, label="learning mattes"),
    )
    alpha = mattes(gen, params, made, latents)
    true = regions > 0
    each = [iou(ours > 0.5, theirs) for ours, theirs in zip(alpha, true, strict=True)]
    drawn = np.asarray(render(gen, params, latents))
    grey = [np.repeat(2 * one[..., None] - 1, 3, -1) for one in (*alpha, *true)]
    before = over(drawn, alpha, np.broadcast_to(GREEN, drawn.shape))
    rows = zip(pictures, drawn, grey[:COUNT], grey[COUNT:], before, strict=True)
    heads = ("picture", "found", "matte", "true", "before green")
    write_sheet(out, [list(row) for row in rows], heads, 128)
    words = {
        "mean IoU": float(np.mean(each)),
        "least": min(each),
        "IoU of all as figure": float(np.mean(true.mean((1, 2)))),
        "undecided": float(np.minimum(alpha, 1 - alpha).mean()),
    }
    return words, bool(np.mean(each) > 0.8)


def few_shot(out: Path) -> Found:
    """How many pixels are of the region that a mask asks for, by one labelled figure."""
    gen, params, pictures, regions, latents = found()
    known = jax.tree.map(lambda a: a[:1], latents)
    labels = learn_labels(gen, params, known, regions[:1])
    told = masks_of(gen, params, labels, jax.tree.map(lambda a: a[1:], latents))
    asked = np.minimum(regions[1:5], labels.regions - 1)
    made = from_masks(gen, params, labels, asked)
    got = masks_of(gen, params, labels, made)
    drawn = np.asarray(render(gen, params, made))
    chance = np.mean(
        [(told[i] == asked[j]).mean() for i in range(COUNT - 1) for j in range(4) if i != j]
    )
    dark = [iou(one.mean(-1) < -0.5, mask == HAIR) for one, mask in zip(drawn, asked, strict=True)]
    shown = zip(pictures[1:5], COLOURS[asked], COLOURS[got], drawn, strict=True)
    heads = ("picture of the mask", "mask", "told of the result", "result")
    write_sheet(out, [list(row) for row in shown], heads, 128)
    words = {
        "told rightly of others": float((told == regions[1:]).mean()),
        "as asked for": float((got == asked).mean()),
        "other pictures": float(chance),
        "dark where hair was asked for, IoU": float(np.mean(dark)),
    }
    return words, bool((got == asked).mean() > chance + 0.1)


def iou(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float((ours & theirs).sum() / max((ours | theirs).sum(), 1))


ROWS = {
    "labels4free": Row(
        "two generators teach what is a figure, without a label",
        labels_free,
        "Labels4Free, section 4",
        f"{COUNT} {INPUTS}",
        "every figure is cut out whole, with a rim of a pixel of its wall; a hole in one chin",
    ),
    "few-shot-synthesis": Row(
        "one labelled picture is enough to make pictures of masks",
        few_shot,
        "Endo & Kanamori 2021, section 4",
        f"1 labelled, 4 masks of {INPUTS}",
        "outlines, hair and clothes lie as in the mask; faces are blurred, half without eyes",
    ),
}
