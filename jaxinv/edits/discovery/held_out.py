"""How much a score really grows along a direction: measured on samples that it was not found from.

On the samples themselves the growth is overstated, the more so the fewer there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxinv.edits.discovery.boundaries import paired

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDS = 5
LEAST = 6  # samples; of fewer nothing is said


def held_out_slope(
    codes: np.ndarray,
    scores: np.ndarray,
    find: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> float | None:
    """The growth of `scores` [n] on a step of the direction that `find` makes of codes [n, d].

    `find` gives a vector [d] of four fifths of the samples; the slope along it is that of the rest,
    pooled over the five parts (cross-validation; parts are alike in their scores). Of scores that
    are only noise it is 0 but for its standard error, that of a slope of n samples. None for fewer
    than 6 samples, and where no part leaves scores that differ.
    """
    flat, scores = paired(codes, scores)
    if len(scores) < LEAST:
        return None
    part = np.empty(len(scores), int)
    part[np.argsort(scores, kind="stable")] = np.arange(len(scores)) % FOLDS
    products, squares = 0.0, 0.0
    for fold in range(FOLDS):
        here = part == fold
        if np.ptp(scores[~here]) == 0 or here.sum() < 2:
            continue
        vector = np.ravel(find(flat[~here], scores[~here]))
        place = (flat[here] - flat[here].mean(0)) @ vector / (vector @ vector)
        products += float(place @ (scores[here] - scores[here].mean()))
        squares += float(place @ place)
    return products / squares if squares else None
