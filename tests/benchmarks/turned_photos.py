"""Photos turned by every 15 degrees: whether the cut is the upright photo's own, turned with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxinv.io.face_alignment import align_photo
from jaxinv.io.face_frame import quad_distance
from jaxinv.io.image_ops import box_quad

ANGLES = range(0, 360, 15)
NEAR = 0.05  # of the side of the cut, between its corners
FILL = (128, 128, 128)


class Case(NamedTuple):
    """How far the cut of a turned photo lies from where it should, in sides of the cut."""

    file: Path
    degrees: int
    away: float
    notes: tuple[str, ...]


def cases(files: Iterable[Path], angles: Iterable[int] = ANGLES) -> Iterator[Case]:
    """Every file, turned counterclockwise by every angle; borders are grey, nothing is cut off."""
    for file in files:
        with Image.open(file) as opened:
            upright = opened.convert("RGB")
        quad, _ = cut(upright)
        for degrees in angles:
            picture = upright.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=FILL)
            wanted = turned(quad, degrees, upright.size, picture.size)
            found, notes = cut(picture)
            yield Case(file, degrees, quad_distance(found, wanted), notes)


def cut(picture: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """The quad that is cut out of a photo (the whole of it, if nothing is), and the warnings."""
    _, _, transform, notes = align_photo(np.asarray(picture), "auto")
    quad = box_quad(0, 0, *picture.size) if transform is None else transform["quad"]
    return np.asarray(quad), notes


def turned(
    points: np.ndarray, degrees: float, old: tuple[int, int], new: tuple[int, int]
) -> np.ndarray:
    """Where points of a picture of size `old` lie once it is turned into one of size `new`."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about, to = np.array(old) / 2, np.array(new) / 2
    return (points - about) @ np.array([[cos, -sin], [sin, cos]]) + to


def near(found: list[Case]) -> float:
    """The share of cases whose cut agrees."""
    return float(np.mean([case.away <= NEAR for case in found]))


def report(files: list[Path]) -> None:
    """Print the share of each angle, and every case that disagrees."""
    found = []
    for case in cases(files):
        found.append(case)
        if case.away > NEAR:
            print(f"{case.file.name} by {case.degrees}: {case.away:.3f} away; {case.notes}")
    for degrees in ANGLES:
        some = [case for case in found if case.degrees == degrees]
        worst = max(case.away for case in some)
        print(f"{degrees:3d} degrees: {near(some):6.1%} of {len(some)}, worst {worst:.3f}")
    print(f"all: {near(found):.2%} of {len(found)} within {NEAR:.0%} of the side")
