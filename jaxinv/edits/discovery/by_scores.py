"""Methods by name that look at codes and their scores: planes, lines, and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.edits.discovery import boundaries, stylespace
from jaxinv.edits.discovery.held_out import held_out_slope
from jaxinv.edits.discovery.requests import (
    DEVIATION,
    LENGTH,
    Request,
    direction,
    scored,
    several,
    with_effects,
)
from jaxinv.edits.walks import Walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.edits.directions import Direction


def _plane(codes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    chosen = max(0.02, min(0.5, 200 / len(scores)))  # 2 % of few samples are too few
    return boundaries.boundary(codes, scores, boundaries.select(scores, chosen)).normal


def _found(asked: Request, find: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[Direction]:
    codes, values = scored(asked)
    slope = held_out_slope(codes, values[:, 0], find)
    effects: dict[str, Any] = {} if slope is None else {asked.name: slope}
    return [direction(asked, find(codes, values[:, 0]), LENGTH, effects=effects)]


def interfacegan(asked: Request) -> list[Direction]:
    """The normal of a plane between high and low scores."""
    return _found(asked, _plane)


def regression(asked: Request) -> list[Direction]:
    """Least squares on the scores."""
    return _found(asked, boundaries.regression)


def discriminant(asked: Request) -> list[Direction]:
    """The linear discriminant between high and low scores."""
    return _found(asked, boundaries.discriminant)


def channels(asked: Request) -> list[Direction]:
    """Single channels of S, those first that differ most where the score is high."""
    codes, values = scored(asked)
    best = np.argsort(-values[:, 0])[: max(10, len(values) // 20)]
    order, _ = stylespace.attribute_channels(codes[best], codes)
    deviations = codes.std(0)
    vectors = [stylespace.channel_direction(int(c), deviations) for c in order[: asked.count]]
    return several(asked, np.stack(vectors), DEVIATION)


def intervention(asked: Request) -> list[Walk]:
    """The fewest channels of S that cross the plane of an attribute, and keep to those of others.

    Channels are measured in their deviations; those that never vary do not move.
    """
    codes, values = scored(asked)
    deviation = codes.std(0)
    alive = deviation > 0
    scaled = (codes - codes.mean(0)) / np.where(alive, deviation, 1) * alive
    normals = np.stack([_plane(scaled, column) for column in values.T])
    found = Walk(
        asked.name,
        "intervention",
        "s",
        {"normals": normals, "deviation": deviation},
        {"target": 0},
        unit="a distance of 1 across the plane, in deviations of the channels",
    )
    return [with_effects(asked, found)]
