"""What dragging reaches on inverted faces: DragBench's two numbers, steps and seconds.

Every face is dragged in one of four ways, by its own landmarks; the mask is the hull of the
landmarks around them, wider by a margin. Landmarks found again in the picture that was drawn are
another witness than the tracked points.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from jaxinv.io.face_detection import landmarks_from_dlib
from jaxinv.io.images import encode_png
from jaxinv.metrics.dragging import lpips_outside, mean_distance
from jaxinv.models.loading import load_features
from jaxinv.reports.markdown import markdown
from jaxinv.runs.kept_latents import Generators, list_latents
from jaxinv.sessions.dragging import STEPS
from jaxinv.sessions.session import Session

SIDE = 256  # px in which ways and margins are stated
MARGIN = 16
NEAR = 2.0  # px at 256 within which a point has arrived


class Way(NamedTuple):
    """Landmarks that are dragged, by how many px, and those whose hull may move."""

    points: tuple[int, ...]
    by: tuple[tuple[float, float], ...]
    hull: tuple[int, ...]


WAYS = {
    "smile": Way((48, 54), ((-6, -5), (6, -5)), (*range(2, 15), 31, 35)),
    "turn": Way((30,), ((10, 0),), tuple(range(68))),
    "chin": Way((8,), ((0, -9),), (*range(2, 15), 31, 35)),
    "brows": Way((19, 24), ((0, -7), (0, -7)), (0, 16, *range(17, 48))),
}


def report(folder: Path, limit: int, out: Path | None) -> None:
    """Print one line for every face of a run, and how many arrived."""
    nets = load_features(("alexnet",))
    generators, rows, arrived = Generators(None), [], 0
    for number, kept in enumerate(list_latents([folder])[:limit]):
        session = Session(*generators.fit(kept))
        before = session.picture()
        name, way = list(WAYS.items())[number % len(WAYS)]
        first = landmarks_from_dlib(before)[0]
        points = first[list(way.points)]
        targets = points + np.asarray(way.by) * len(before) / SIDE
        mask = hull_mask(first[list(way.hull)] * SIDE / len(before))
        begun = time.perf_counter()
        found = session.drag(points, targets, mask)
        seconds = time.perf_counter() - begun
        after = session.picture()
        again = landmarks_from_dlib(after)
        seen = mean_distance(again[0][list(way.points)], targets, len(before)) if again else np.nan
        outside = lpips_outside(nets["alexnet"], before, after, mask)
        near = found.distance <= NEAR
        arrived += near
        cells = (f"{found.distance:.2f}", f"{seen:.2f}", f"{outside:.4f}", found.steps)
        rows.append((kept.name, name, *map(str, cells), f"{seconds:.1f}"))
        print(*rows[-1], flush=True)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            both = np.concatenate([before, after], axis=1)
            (out / f"{kept.name}-{name}.png").write_bytes(encode_png(both))
    print(f"{arrived} of {len(rows)} within {NEAR:g} px at {SIDE}, {STEPS} steps at most")
    heads = ("face", "way", "handles, px at 256", "landmarks, px", "LPIPS outside", "steps", "s")
    print(markdown(heads, rows))


def hull_mask(points: np.ndarray) -> np.ndarray:
    """The hull of points [n, 2] at 256 px, wider by the margin: [256, 256] of 0 and 1."""
    from scipy.spatial import ConvexHull

    canvas = Image.new("L", (SIDE, SIDE))
    corners = points[ConvexHull(points).vertices]
    ImageDraw.Draw(canvas).polygon([tuple(one) for one in corners], fill=255)
    return binary_dilation(np.asarray(canvas) > 0, iterations=MARGIN).astype(np.float32)
