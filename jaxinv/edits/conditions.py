"""One direction without others: the part of it that leaves them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxinv.edits.directions import ROWED, Direction
from jaxinv.models.generators.weight_deltas import leaves, nested
from jaxinv.specs.checks import check_kind, check_list

LEAST = 1e-5  # part of a direction's length that must be left


def conditioned(
    direction: Direction, others: Sequence[Direction], *, num_rows: int | None = None
) -> Direction:
    """The direction without what it does along any number of others.

    Where all of them have measured effects (the first is that on what a direction is about), those
    multiples of the others are taken away that cancel its effects on what they are about; in spaces
    with rows that needs `num_rows` of the generator unless all rows move. Otherwise it is projected
    onto the complement of the others, at its own length: v - C+ C v, with the others as rows of C
    (Shen et al. 2020, InterFaceGAN, section 3.3; there with one and two conditions, and unit
    lengths); effects are not known any more then. Usable amounts never are.

    Raises:
        ValueError: another space or generator, or a direction that lies in the span of the others.
    """
    check_kind("direction", direction, Direction)
    check_list("others", others, "directions")
    if not len(others):
        return direction
    for other in others:
        check_kind("direction", other, Direction)
        _check_together(direction, other)
    cancelled = _cancelled(direction, others, num_rows)
    if cancelled is not None:
        return cancelled
    flat = [_flat(one) for one in (direction, *others)]
    keys = sorted({key for one in flat for key in one})
    shapes = {key: _common([one[key] for one in flat if key in one]) for key in keys}
    v, *rows = (
        np.concatenate([np.broadcast_to(one.get(key, 0.0), shapes[key]).ravel() for key in keys])
        for one in flat
    )
    matrix = np.stack(rows, axis=1)
    left = v - matrix @ np.linalg.lstsq(matrix, v, rcond=None)[0]
    length = np.linalg.norm(left)
    names = ", ".join(other.name for other in others)
    if length <= LEAST * np.linalg.norm(v):
        raise ValueError(
            f"direction {direction.name!r} lies in the span of {names}: nothing of it is left; "
            "allowed: other conditions"
        )
    left = left * (np.linalg.norm(v) / length)
    ends = np.cumsum([np.prod(shapes[key], dtype=int) for key in keys])[:-1]
    parts = dict(zip(keys, np.split(left, ends), strict=True))
    arrays = {key: part.reshape(shapes[key]) for key, part in parts.items()}
    return replace(
        direction,
        name=f"{direction.name} without {names}",
        vector=_unflat(direction, arrays),
        effects={},
        usable=None,
        source=f"{direction.source}, conditioned on {names}".lstrip(", "),
    )


def _cancelled(
    direction: Direction, others: Sequence[Direction], num_rows: int | None
) -> Direction | None:
    """The direction less multiples of the others, by measured effects; None where some are not."""
    named = [next(iter(other.effects), "") for other in others]
    about = next(iter(direction.effects), "")
    known = all(name in direction.effects and name != about for name in named)
    if not known or len(set(named)) < len(named) or direction.space not in ("z", "w", *ROWED):
        return None
    members = (direction, *others)
    whole = all(one.rows is None and one.vector.ndim == 1 for one in members)
    if not whole and num_rows is None:
        return None
    matrix = [[other.effects.get(name, 0.0) for other in others] for name in named]
    if np.linalg.matrix_rank(matrix) < len(named):
        return None
    shares = np.linalg.solve(matrix, [direction.effects[name] for name in named])
    parts = [one.vector if whole else _in_rows(one, int(num_rows or 0)) for one in members]
    rows = {row for one in members for row in one.rows or range(num_rows or 0)}
    effects = {
        name: value
        - float(sum(c * o.effects.get(name, 0.0) for c, o in zip(shares, others, strict=True)))
        for name, value in direction.effects.items()
    }
    names = ", ".join(other.name for other in others)
    return replace(
        direction,
        name=f"{direction.name} without {names}",
        vector=parts[0] - np.tensordot(shares, np.stack(parts[1:]), 1),
        rows=None if whole else tuple(sorted(rows)),
        effects=effects,
        usable=None,
        source=f"{direction.source}, conditioned on {names}".lstrip(", "),
    )


def _in_rows(direction: Direction, num_rows: int) -> np.ndarray:
    """The vector [num_rows, d], 0 in the rows that do not move."""
    moving = np.zeros((num_rows, 1), np.float32)
    moving[list(range(num_rows) if direction.rows is None else direction.rows)] = 1
    return moving * direction.vector


def _check_together(direction: Direction, other: Direction) -> None:
    for what in ("space", "generator"):
        mine, theirs = getattr(direction, what), getattr(other, what)
        if mine != theirs and (what == "space" or "" not in (mine, theirs)):
            shown = [one.generator_name or one.generator[:12] for one in (direction, other)]
            mine, theirs = (mine, theirs) if what == "space" else shown
            raise ValueError(
                f"direction {direction.name!r} is of {what} {mine!r}, its condition "
                f"{other.name!r} of {theirs!r}; allowed: both of one"
            )


def _flat(direction: Direction) -> dict[tuple[Any, ...], np.ndarray]:
    vector = direction.vector
    if isinstance(vector, dict):
        return {path: leaf.astype(np.float64) for path, leaf in leaves(vector)}
    if isinstance(vector, tuple):
        return {(i,): leaf.astype(np.float64) for i, leaf in enumerate(vector)}
    return {(): vector.astype(np.float64)}


def _common(arrays: list[np.ndarray]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError as error:
        shapes = ", ".join(str(list(array.shape)) for array in arrays)
        raise ValueError(
            f"directions of shapes {shapes}; allowed: those of one generator"
        ) from error


def _unflat(direction: Direction, arrays: dict[Any, np.ndarray]) -> Any:
    if isinstance(direction.vector, dict):
        return nested(list(arrays.items()))
    if isinstance(direction.vector, tuple):
        return tuple(arrays[(i,)] for i in range(len(direction.vector)))
    return arrays[()]
