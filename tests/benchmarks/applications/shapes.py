"""Shapes of faces that a generator draws, and hidden halves of made tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import jaxinv
from jaxinv.applications.completion import complete
from jaxinv.applications.shape import Plan, Shape, find_shape
from jaxinv.io.images import encode_png
from jaxinv.io.point_clouds import picture_of
from jaxinv.metrics.clouds import chamfer
from jaxinv.models.arguments import samples_of
from jaxinv.nn.depth_maps import ellipsoid
from jaxinv.runs.results import write
from jaxinv.runs.shapes import write_shape
from tests.applications.lit_object import DIM, lit_object, true_depth
from tests.applications.made_clouds import half, learned, tables
from tests.benchmarks.applications.rows import Row

COUNT, GENERATOR = 4, "faces-64"
PLAN = Plan(size=64, stages=3, encoder_steps=120, shape_steps=120, samples=32)


def gan2shape(out: Path | None = None) -> tuple[str, bool]:
    """Four shared faces: how mirrored the depth is, and how well turned shapes explain samples.

    No truth is known of faces; of a lit object it is, and its correlation is said beside.
    """
    gen, params = jaxinv.load_generator(GENERATOR)
    folder = Path(os.environ.get("JAXINV_SHARED", "../shared")) / "data" / "faces"
    images = jaxinv.read_images(sorted(folder.glob("*.jpg"))[:COUNT], size=64, fit="crop")
    found = jaxinv.invert(gen, params, images, preset="z")
    shapes: list[Shape] = []
    for number, sample in enumerate(samples_of(found.latents)):
        one = {name: np.asarray(value)[None] for name, value in sample.items()}
        shapes.append(find_shape(gen, params, one, plan=PLAN))
        if out is not None:
            write_shape(out, str(number), shapes[-1])
    start = np.asarray(ellipsoid(PLAN.size, PLAN.radius))
    mirrored = [likeness(s.scene.depth - start, (s.scene.depth - start)[:, ::-1]) for s in shapes]
    crossed = [likeness(s.scene.depth, start) for s in shapes]
    errors = [s.error for s in shapes]
    true = object_likeness()
    words = (
        f"{GENERATOR}: pictures redrawn within {np.mean(errors):.3f}; what was added to the "
        f"ellipsoid is like its mirror image by {np.mean(mirrored):.2f} ({min(mirrored):.2f} at "
        f"least), the depth like the ellipsoid by {np.mean(crossed):.2f}; of a lit object the "
        f"depth correlates by {true[1]:.3f} with the truth ({true[0]:.2f} at the start)"
    )
    return words, min(mirrored) > 0.2 and true[1] > 0.97


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of two smoothed maps, without their edges."""
    inner = slice(8, -8)
    x, y = (gaussian_filter(np.asarray(one), 2)[inner, inner].ravel() for one in (a, b))
    return float(np.corrcoef(x, y)[0, 1])


def object_likeness() -> tuple[float, float]:
    """Correlations with the truth of the start and of what was found for the lit object."""
    gen, params = lit_object()
    true = true_depth()
    plan = Plan(len(true), stages=3, encoder_steps=150, shape_steps=150, samples=32)
    found = find_shape(gen, params, {"w": np.zeros((1, DIM), np.float32)}, plan=plan)
    on = true < 1.02
    depths = (np.asarray(ellipsoid(len(true))), np.asarray(found.scene.depth))
    first, last = (float(np.corrcoef(one[on], true[on])[0, 1]) for one in depths)
    return first, last


def shape_inversion(out: Path | None = None) -> tuple[str, bool]:
    """Four made tables that the generator has not seen, of which half is hidden."""
    gen, params = learned()
    whole = tables(COUNT, 9)
    parts = [half(one) for one in whole]
    found = complete(gen, params, parts)
    ours = [chamfer(*pair) for pair in zip(found.clouds, whole, strict=True)]
    seen = [chamfer(*pair) for pair in zip(parts, whole, strict=True)]
    if out is not None:
        rows = [
            np.concatenate([picture_of(one) for one in row], axis=1)
            for row in zip(parts, found.clouds, whole, strict=True)
        ]
        write(out / "tables.png", encode_png(np.concatenate(rows)))
    words = (
        f"made tables of 128 points: Chamfer distance to the whole {np.mean(ours):.3f} "
        f"({max(ours):.3f} at most), of the halves themselves {np.mean(seen):.3f}"
    )
    return words, all(a < b / 2 for a, b in zip(ours, seen, strict=True))


ROWS = {
    "gan2shape": Row(
        "a shape of its own comes of pictures alone (GAN2Shape; no truth of faces here)",
        gan2shape,
    ),
    "shapeinversion": Row(
        "partial clouds are completed (ShapeInversion; made shapes, no scans here)",
        shape_inversion,
    ),
}
