"""The verbs of restoration on faces that are degraded first, and scored against the clean ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from jaxinv.io.images import read_upright, write_images
from tests.benchmarks.applications import faces
from tests.benchmarks.applications.rows import Found, Row, write_sheet

STEPS = {"super-resolve": 50}
FEWER = 30  # of the others
HOLE = (slice(90, 170), slice(66, 134))  # an eye and a cheek
# Of each verb, its options and how what was given is named.
VERBS: dict[str, tuple[tuple[str, ...], str]] = {
    "inpaint": (("--mask", "MASK"), "hole of 80 x 68 px"),
    "super-resolve": (("--factor", "8"), "32 px"),
    "colorize": ((), "grey"),
    "denoise": (("--sigma", "0.4"), "noise of 0.4"),
    "deblur": (("--sigma", "5"), "blur of 5 px"),
}


def restored(verb: str, folder: Path) -> Found:
    """Scores of what was given and of what was found, against the clean pictures."""
    hole = np.full((1, faces.SIZE, faces.SIZE, 3), -1.0, np.float32)
    hole[:, *HOLE] = 1.0
    masks = folder / "masks"
    if verb == "inpaint" and not masks.is_dir():
        for file in faces.files():  # a mask is as large as its photograph
            times = len(read_upright(file)[0]) // faces.SIZE
            write_images(masks, hole.repeat(times, 1).repeat(times, 2), names=[file.stem])
    words = [str(masks) if word == "MASK" else word for word in VERBS[verb][0]]
    run = folder / "run"
    words += ["--simulate", "--align", "none", "--steps", str(steps_of(verb))]
    faces.command(verb, *faces.files(), *words, "--size", faces.SIZE, "-o", run)
    names = [line["name"] for line in faces.results(run)]
    true = faces.photos()
    given = faces.at([one / 127.5 - 1 for one in faces.drawn(run, names, "degraded")])
    found = faces.at([one / 127.5 - 1 for one in faces.drawn(run, names)])
    rows = [list(row) for row in zip(given, found, true, strict=True)]
    write_sheet(folder, rows, ("given", f"found by {verb}", "clean"))
    if verb == "inpaint":  # what is not missing need not be taken from the generator
        found = np.where(hole > 0, found, true)
    before, after = faces.scores(given, true), faces.scores(found, true)
    figures = {name: f"{before[name]:.3g} -> {after[name]:.3g}" for name in before}
    better = after["LPIPS"] < before["LPIPS"] and after["identity"] < before["identity"]
    return figures, better


def steps_of(verb: str) -> int:
    """Evaluations of the search of a verb."""
    return STEPS.get(verb, FEWER)


CLAIMS = {
    "inpaint": ("fills what is missing as the face would be", "mGANprior, section 4.3"),
    "super-resolve": ("is nearer to the large picture than interpolation is", "PULSE, section 4"),
    "colorize": ("finds the colours from the grey", "mGANprior, section 4.3"),
    "denoise": ("is nearer to the clean picture than the noisy one", "DGP, section 4"),
    "deblur": ("is nearer to the sharp picture than the blurred one", "Asim et al., section 5"),
}
LOOKED: dict[str, str] = {
    "super-resolve": (
        "sharp, natural faces in the pose and colours of the small ones; like the people, not "
        "them; a helmet becomes hair"
    ),
    "inpaint": (
        "the missing eye and cheek fit the face; what is drawn around them is the generator's, "
        "after 30 steps (figures: the hole alone is filled in)"
    ),
    "colorize": (
        "natural skin and hair; walls and clothes have colours of their own, and after 30 steps "
        "detail is the generator's, not the photograph's"
    ),
}
ROWS = {
    verb: Row(
        claim,
        partial(restored, verb),
        paper,
        f"{faces.INPUTS}, {VERBS[verb][1]}; `restore`, {steps_of(verb)} steps",
        LOOKED.get(verb, ""),
    )
    for verb, (claim, paper) in CLAIMS.items()
}
