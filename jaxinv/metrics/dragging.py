"""The two numbers by which dragging is judged (Shi et al. 2024, DragBench, arXiv:2306.14435)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxinv.metrics.perceptual import lpips
from jaxinv.metrics.reconstruction import check_pair
from jaxinv.specs.checks import check_array

if TYPE_CHECKING:
    from jaxinv.types import Params

GREY = 128  # level of what is not compared


def mean_distance(points: np.ndarray, targets: np.ndarray, side: int, *, at: int = 256) -> float:
    """How far points [n, 2] are from their targets in a picture of `side` px, in px at `at` px.

    Raises `ValueError` for unequal shapes.
    """
    a, b = (
        check_array(what, x, "iuf").astype(np.float64)
        for what, x in (("points", points), ("targets", targets))
    )
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise ValueError(f"points {list(a.shape)}, targets {list(b.shape)}; allowed: [n, 2] twice")
    return float(np.linalg.norm(a - b, axis=-1).mean() * at / side)


def lpips_outside(
    params: Params, before: np.ndarray, after: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """LPIPS of AlexNet, at 256 px, between two pictures, seen only where a mask [n, n] is 0.

    The pictures are uint8 [h, h, 3]; what the mask shows is grey in both. None: all is compared.
    Raises `ValueError` for other arrays.
    """
    a, b = check_pair(before[None], after[None])
    if mask is not None:
        held = check_array("mask", mask, "biuf").astype(np.float32)
        if held.ndim != 2 or held.shape[0] != held.shape[1]:
            raise ValueError(f"mask has shape {list(held.shape)}; allowed: [n, n]")
        nearest = ((np.arange(a.shape[1]) + 0.5) * len(held) / a.shape[1]).astype(int)
        inside = (held[nearest][:, nearest] >= 0.5)[None, ..., None]
        a, b = (np.where(inside, np.uint8(GREY), x) for x in (a, b))
    return float(lpips("alexnet", params, a, b)[0])
