"""A clip's motion on other pictures: the light of walls that goes round, on figures of 32 px."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

import jaxinv
from jaxinv.applications.animation import animate, learn_motion
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.rendering import render
from tests.benchmarks.applications.cut_outs import found
from tests.benchmarks.applications.rows import Found, Row, write_sheet

FRAMES, COUNT, SAMPLES = 9, 4, 600
BLUE = np.array([-1.0, 0.0, 1.0]) / np.sqrt(2)


def blueness(pictures: np.ndarray) -> np.ndarray:
    """[n], of the upper corners."""
    corners = np.concatenate([pictures[:, :5, :5], pictures[:, :5, -5:]], 2)
    return corners.mean((1, 2)) @ BLUE


def landscape(out: Path) -> Found:
    """How walls of other pictures follow those of a clip, and how far the middle moves."""
    gen, params, _, regions, latents = found()
    drawn = sample_latents(gen, params, SAMPLES, seed=3)
    w = np.asarray(drawn["w"])
    way = np.linalg.lstsq(
        np.c_[blueness(np.asarray(render(gen, params, drawn))), np.ones(SAMPLES)], w, rcond=None
    )[0][0]
    turn = np.sin(np.arange(FRAMES) / (FRAMES - 1) * 2 * np.pi)
    first = np.asarray(latents["w+"][-1])
    frames = np.asarray(
        render(gen, params, {"w+": first + (0.6 * turn[:, None] * way)[:, None].astype("f")})
    )
    clip = jaxinv.invert(gen, params, np.clip(frames, -1, 1), preset="w+").latents
    motion = learn_motion(gen, params, clip, components=2)
    theirs, shown = blueness(frames) - blueness(frames)[0], [list(frames)]
    alike, walls, faces = [], [], []
    for number in range(COUNT):
        still = jax.tree.map(lambda a, i=number: a[i], latents)
        moved = np.asarray(render(gen, params, animate(gen, params, still, motion)))
        ours = blueness(moved) - blueness(moved)[0]
        alike.append(np.corrcoef(ours, theirs)[0, 1])
        change = np.abs(moved - moved[0]).mean((0, 3))
        walls.append(change[regions[number] == 0].mean())
        faces.append(change[regions[number] == 1].mean())
        shown.append(list(moved))
    write_sheet(out, shown, [f"frame {i}" for i in range(FRAMES)], 96)
    words = {
        "correlation of walls with the clip's": float(np.mean(alike)),
        "least": float(min(alike)),
        "walls move by": float(np.mean(walls)),
        "faces by": float(np.mean(faces)),
        "share of the clip's motion in 2 components": motion.explained,
    }
    return words, bool(min(alike) > 0.8 and np.mean(faces) < np.mean(walls))


ROWS = {
    "animation": Row(
        "a picture moves as a clip does, and what stays in the clip stays",
        landscape,
        "DeepLandscape, section 4; StyleVideoGAN",
        f"a made clip of {FRAMES} frames, inverted; 4 held-out figures of 32 px",
    ),
}
