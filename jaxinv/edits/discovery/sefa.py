"""SeFa: closed-form factorisation of the first affine map (Shen & Zhou 2021, arXiv:2007.06600)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxinv.edits.discovery.boundaries import unit
from jaxinv.specs.checks import check_array, check_whole


class Factors(NamedTuple):
    """Directions [k, d] of unit length and the squared lengths [k] of what they add, descending."""

    directions: np.ndarray
    values: np.ndarray


def factorise(weight: np.ndarray, count: int | None = None, *, normalise: bool = True) -> Factors:
    """The `count` unit directions that an affine map with `weight` [outputs, d] lengthens most.

    They are the eigenvectors of weight^T weight, the paper's equation 6. With `normalise` every
    output's weights have unit length first, as in the authors' code. The largest entry of every
    direction is positive. Raises `ValueError` for more than d directions, or no matrix.
    """
    a = check_array("weight", weight, meant=" [outputs, d]").astype(np.float64)
    if a.ndim != 2:
        raise ValueError(f"weight {list(a.shape)}; allowed: [outputs, d]")
    wanted = a.shape[1] if count is None else count
    check_whole("count", wanted, 1)
    if wanted > a.shape[1]:
        raise ValueError(f"{wanted} directions of {a.shape[1]} numbers; allowed: {a.shape[1]}")
    if normalise:
        a = unit(a[np.linalg.norm(a, axis=1) > 0])  # outputs that depend on nothing drop out
    values, vectors = np.linalg.eigh(a.T @ a)
    directions = vectors.T[::-1][:wanted]
    return Factors(signed(directions), values[::-1][:wanted])


def signed(directions: np.ndarray) -> np.ndarray:
    """Directions [k, d] turned so that the entry of largest magnitude is positive."""
    place = np.abs(directions).argmax(-1)
    return directions * np.sign(np.take_along_axis(directions, place[..., None], -1))
