"""Whether two pictures show one person: distance of face descriptors."""

from __future__ import annotations

import numpy as np

from jaxinv.io.face_detection import AlignerMissing, descriptor, face_networks
from jaxinv.metrics.reconstruction import Scores, Stack, check_pair


def measurable() -> bool:
    """Whether dlib and both of its files are here and whole, so that `identity` can be measured."""
    try:
        face_networks()
    except AlignerMissing:
        return False
    return True


def identity(a: Stack, b: Stack) -> Scores:
    """Euclidean distance of dlib's face descriptors of each pair of uint8 images [B, h, w, 3].

    0 is the same picture; below 0.6 is one person for dlib's authors. NaN where no frontal face is
    found in one of the two.

    Raises:
        ValueError: the stacks are not uint8 [B, h, w, 3] of one shape.
        AlignerMissing: dlib or its files are not installed (`jaxinv pull landmarks identity`).
    """
    x, y = check_pair(a, b)
    return np.array([_distance(p, q) for p, q in zip(x, y, strict=True)])


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    ours, theirs = descriptor(a), descriptor(b)
    if ours is None or theirs is None:
        return float("nan")
    return float(np.linalg.norm(ours - theirs))
