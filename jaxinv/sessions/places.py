"""Places and masks of a picture, as people give them."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxinv.io.image_ops import nearest, shrink_float
from jaxinv.specs.checks import check_array

SIDE = 256  # px at which points are tracked and masks are kept


def check_places(what: str, places: Any, side: int) -> np.ndarray:
    """`places` as float64 [n, 2], x and y in px; `ValueError` unless all lie in [side, side]."""
    found = check_array(what, places, "iuf", " [n, 2]").astype(np.float64)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise ValueError(f"{what} {list(found.shape)}; allowed: [n, 2], x and y, one or more")
    outside = ((found < 0) | (found > side - 1)).any(1)
    if outside.any():
        x, y = found[outside][0].tolist()
        raise ValueError(f"{what}: {x:g},{y:g} lies outside; allowed: 0 to {side - 1} px")
    return found


def to_rows(places: np.ndarray, side: int) -> np.ndarray:
    """Places [n, 2] of a picture of `side` px as rows and columns, float32, at 256 px."""
    rows = (places[:, ::-1] + 0.5) * (SIDE / side) - 0.5
    return np.clip(np.rint(rows), 0, SIDE - 1).astype(np.float32)


def check_mask(mask: Any, what: str) -> np.ndarray:
    """A mask [n, n] in [0, 1] as 0 and 1 at 256 px, float32 [256, 256].

    Raises `ValueError` for other shapes, and for a mask that is nowhere at least half.
    """
    found = check_array(what, mask, "biuf").astype(np.float32)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not found.size:
        raise ValueError(f"{what} has shape {list(found.shape)}; allowed: [n, n]")
    if found.min() < 0 or found.max() > 1:
        raise ValueError(f"{what} holds {found.min():g} to {found.max():g}; allowed: 0 to 1")
    if len(found) > SIDE:
        found = shrink_float(found[..., None], SIDE, SIDE)[..., 0]
    elif len(found) < SIDE:
        found = nearest(found, SIDE)
    whole = (found >= 0.5).astype(np.float32)
    if not whole.any():
        raise ValueError(f"the {what} hides everything; allowed: one that is white somewhere")
    return whole
