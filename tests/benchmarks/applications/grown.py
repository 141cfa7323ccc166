"""A part of one picture in another, and faces that become another person's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import jaxinv
from jaxinv.metrics.identity import identity
from jaxinv.models.loading import load_features
from jaxinv.models.rendering import render
from tests.benchmarks.applications import faces
from tests.benchmarks.applications.cut_outs import SIDE, found
from tests.benchmarks.applications.rows import Found, Row, write_sheet

COUNT, UPPER = 4, 14  # pictures; rows of px that another figure gives


def diffused(preset: str, out: Path) -> Found:
    """How near the part is to what was pasted, the rest to what was, and steps at its border."""
    gen, params, pictures, *_ = found()
    known, other = pictures[:COUNT], pictures[COUNT : 2 * COUNT]
    mask = np.zeros((COUNT, SIDE, SIDE), np.float32)
    mask[:, :UPPER] = 1
    latents = jaxinv.invert(
        *(gen, params, known),
        preset=preset,
        nets=load_features(("vgg16",)),
        named_images={"pasted": other},
        named_masks={"inside": mask},
    ).latents
    drawn = np.asarray(render(gen, params, latents))
    pasted = np.where(mask[..., None] > 0, other, known)
    hard, soft = border_step(pasted), border_step(drawn)
    inside, rest = slice(UPPER), slice(UPPER, None)
    rows = zip(known, other, pasted, drawn, strict=True)
    write_sheet(out, [list(row) for row in rows], ("picture", "other", "pasted", "found"), 128)
    words = {
        "PSNR inside, to what was pasted": decibels(drawn[:, inside], other[:, inside]),
        "around, to the picture": decibels(drawn[:, rest], known[:, rest]),
        "steps at the border": soft,
        "of the pasted picture": hard,
    }
    return words, soft < hard


def border_step(pictures: np.ndarray) -> float:
    """Mean difference of the rows on either side of the border."""
    return float(np.abs(pictures[:, UPPER] - pictures[:, UPPER - 1]).mean())


def decibels(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(10 * np.log10(4 / np.square(ours - theirs).mean()))


def swapped(out: Path) -> Found:
    """Distances of identity to both persons, of landmarks to the picture, and of what is around."""
    known = faces.files()
    person = faces.files(COUNT + 1)[-1]
    given = ("--identity", person, "--size", faces.SIZE, "--align", "none")
    faces.command("swap", *known, "-o", out / "run", *given)
    names = [line["name"] for line in faces.results(out / "run")]
    drawn = np.stack(faces.drawn(out / "run", names))
    small = faces.at(drawn / 127.5 - 1.0)
    own, his = faces.photos(), faces.photos(COUNT + 1)[-1:].repeat(COUNT, 0)
    as_bytes = [np.stack([faces.eight(one) for one in some]) for some in (small, own, his)]
    to_own, to_his = identity(as_bytes[0], as_bytes[1]), identity(as_bytes[0], as_bytes[2])
    before = identity(as_bytes[1], as_bytes[2])
    pairs = [(faces.landmarks(a), faces.landmarks(b)) for a, b in zip(small, own, strict=True)]
    eyes = [np.linalg.norm(b[36:42].mean(0) - b[42:48].mean(0)) for _, b in pairs]
    apart = [
        np.linalg.norm(a - b, axis=1).mean() / e for (a, b), e in zip(pairs, eyes, strict=True)
    ]
    rows = zip(own, his, small, strict=True)
    write_sheet(out, [list(row) for row in rows], ("picture", "person", "swapped"))
    words = {
        "identity to the person": float(np.mean(to_his)),
        "before": float(np.mean(before)),
        "to the picture": float(np.mean(to_own)),
        "landmarks off by, in eye distances": float(np.mean(apart)),
    }
    return words, bool(np.mean(to_his) < 0.6 and np.mean(to_his) < np.mean(to_own))


def semantic(out: Path) -> Found:
    return diffused("semantic-diffusion", out)


def harmonic(out: Path) -> Found:
    return diffused("harmonize", out)


INPUTS = "4 held-out figures of 32 px with the upper part of 4 others, in `avatars`"
ROWS = {
    "semantic-diffusion": Row(
        "a part that is pasted in stays, and the rest grows around it",
        semantic,
        "IDInvert, section 4.4",
        INPUTS,
    ),
    "harmonize": Row(
        "a picture with a part pasted in becomes one",
        harmonic,
        "GH-Feat, section 4.2",
        INPUTS,
    ),
    "megafs": Row(
        "a face takes another identity, and keeps pose, expression and surroundings "
        "(preset face-swap: VGG-16 in the place of ArcFace)",
        swapped,
        "MegaFS, section 4",
        faces.INPUTS + ", and a fifth one's identity",
    ),
}
