"""Pictures that show regions by colour, one colour for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.io.images import read_upright

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 27  # regions: more colours are no drawing of regions, but edges that were smoothed


def read_regions(
    files: Sequence[str | Path], colours: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of regions [K, n, n] of square pictures of one size, and the colours [regions, 3].

    Colours are numbered as they sort, or as `colours` has them. Raises `ValueError` for pictures
    that are not square or not of one size, for more than `MOST` colours, and for a colour that
    `colours` has not.
    """
    pictures = [read_upright(file)[0][..., :3] for file in files]
    for file, one in zip(files, pictures, strict=True):
        if one.shape != (len(pictures[0]), len(pictures[0]), 3):
            height, width = one.shape[:2]
            side = len(pictures[0])
            raise ValueError(f"{file} has {width} x {height} px; allowed: {side} x {side}")
    stack = np.stack(pictures)
    found, numbers = np.unique(stack.reshape(-1, 3), axis=0, return_inverse=True)
    if len(found) > MOST:
        raise ValueError(
            f"{files[0]} shows {len(found)} colours; allowed: up to {MOST}, one for each region "
            f"(no smoothed edges, no JPEG)"
        )
    if colours is None:
        return numbers.reshape(stack.shape[:3]), found
    known = {tuple(colour): index for index, colour in enumerate(colours.tolist())}
    for colour in found.tolist():
        if tuple(colour) not in known:
            allowed = ", ".join(map(str, known))
            raise ValueError(f"colour {tuple(colour)} is no region; allowed: {allowed}")
    own = np.array([known[tuple(colour)] for colour in found.tolist()])
    return own[numbers].reshape(stack.shape[:3]), colours
