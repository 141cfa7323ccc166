"""All rows of `python -m tests.benchmarks applications`: claim, what was measured, and pictures.

A row says what was found whether or not the claim holds. Whoever adds an application adds a file
here with its rows, and one line to `ROWS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxinv.reports.markdown import head, line
from jaxinv.specs.checks import check_choice
from tests.benchmarks.applications import defense, latent_models, shapes, texts

HEAD = ("application", "claim", "measured", "holds", "seconds")


class Row(NamedTuple):
    """One application: the claim of its paper, and the function that measures it.

    measure: called with a folder for pictures, or None, it gives what was measured in words, and
        whether the claim holds.
    """

    claim: str
    measure: Callable[[Path | None], tuple[str, bool]]


ROWS: dict[str, Row] = {
    "defense-gan": Row(
        "attacked digits are classified again as they were (Defense-GAN, table 1)",
        defense.digits,
    ),
    "styleclip": Row(
        "a text moves what it names, and little else (StyleCLIP, section 6; not by CLIP here)",
        texts.global_direction,
    ),
    "latent-models": Row(
        "codes have a learned prior in which a search is at home (LIA, LaDDer; no VAE of theirs)",
        latent_models.w_of_avatars,
    ),
    "gan2shape": Row(
        "a shape of its own comes of pictures alone (GAN2Shape; no truth of faces here)",
        shapes.gan2shape,
    ),
    "shapeinversion": Row(
        "partial clouds are completed (ShapeInversion; made shapes, no scans here)",
        shapes.shape_inversion,
    ),
}


def report(names: Sequence[str], out: Path | None) -> None:
    """Print the table of rows, one by one."""
    for name in names:
        check_choice("application", name, tuple(ROWS))
    print(head(HEAD))
    for name in names or ROWS:
        began = time.perf_counter()
        folder = None if out is None else out / name
        measured, holds = ROWS[name].measure(folder)
        seconds = f"{time.perf_counter() - began:.0f}"
        verdict = "yes" if holds else "NO"
        print(line(name, ROWS[name].claim, measured, verdict, seconds), flush=True)
