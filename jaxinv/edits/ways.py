"""Saved ways of editing: directions and walks, as one path each, and in files of one family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from jaxinv.edits.conditions import conditioned
from jaxinv.edits.directions import (
    Direction,
    fit_direction,
    load_direction,
    row_numbers,
    save_direction,
)
from jaxinv.edits.paths import Path, linear
from jaxinv.edits.walk_paths import walk_path
from jaxinv.edits.walks import Walk, load_walk, save_walk
from jaxinv.io.checkpoints import read_metadata
from jaxinv.specs.checks import check_kind, check_list, check_place, told

if TYPE_CHECKING:
    from pathlib import Path as File

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params

Way: TypeAlias = Direction | Walk


def save_way(path: str | File, way: Way) -> File:
    """Write a direction or a walk as one .safetensors file; returns `path`."""
    return save_walk(path, way) if isinstance(way, Walk) else save_direction(path, way)


def load_way(path: str | File) -> Way:
    """The direction or walk that a file holds; nothing in it is executed.

    Raises `ValueError` for a file that holds neither, `OSError` where there is no file.
    """
    check_place("path", path)
    kind = read_metadata(path).get("kind", "nothing known")
    if kind == "walk":
        return load_walk(path)
    if kind != "direction":
        raise ValueError(f"{path} holds {kind!r}; allowed: 'direction', 'walk'")
    return load_direction(path)


def way_path(
    way: Way,
    gen: Generator,
    params: Params,
    *,
    rows: Sequence[int] | None = None,
    conditions: Sequence[Way] = (),
) -> Path:
    """The path of a direction or a walk, as it is walked in this generator.

    Args:
        way: which one.
        gen: the generator, with its `params`.
        params: its parameters.
        rows: those of w+ that move, instead of the direction's own.
        conditions: directions along which nothing may move (see `conditioned`).

    Raises:
        ValueError: the way is of another generator, space or shape; there are no such rows; a walk
            shall have conditions, or is one.
    """
    check_list("conditions", conditions, "directions")
    for one in conditions:
        if isinstance(one, Walk):
            raise ValueError(
                f"walk {one.name!r} as a condition: it leads elsewhere from every code; allowed: "
                "directions"
            )
    if isinstance(way, Walk):
        return _of_walk(way, gen, params, rows, conditions)
    return linear(fitted(way, gen, params, rows=rows, conditions=conditions))  # type: ignore[arg-type]


def _of_walk(
    walk: Walk,
    gen: Generator,
    params: Params,
    rows: Sequence[int] | None,
    conditions: Sequence[object],
) -> Path:
    if len(conditions):
        raise ValueError(
            f"conditions on walk {walk.name!r}, which leads elsewhere from every code; allowed: "
            "none: it keeps what it has learned to keep (see discover --keep)"
        )
    path = walk_path(walk, gen, params)
    if rows is None:
        return path
    chosen = row_numbers("rows", rows)
    if walk.space != "w":
        raise ValueError(
            f"rows {told(chosen)} of walk {walk.name!r} in {walk.space!r}; allowed: none, since it "
            "moves whole codes"
        )
    if chosen[-1] >= gen.spec.rows:
        raise ValueError(
            f"rows {list(chosen)} of walk {walk.name!r}; generator {gen.spec.name!r} has rows 0 to "
            f"{gen.spec.rows - 1}"
        )
    return replace(path, rows=chosen)


def fitted(
    direction: Direction,
    gen: Generator,
    params: Params,
    *,
    rows: Sequence[int] | None = None,
    conditions: Sequence[Direction] = (),
) -> Direction:
    """The direction as it is walked: of this generator, in these rows, without the conditions.

    Raises `ValueError` as `fit_direction` and `conditioned` do, and for rows that there are not.
    """
    check_kind("direction", direction, Direction)
    found = fit_direction(direction, gen, params)
    check_list("conditions", conditions, "directions")
    held = [fit_direction(one, gen, params) for one in conditions]
    found = conditioned(found, held, num_rows=gen.spec.rows) if held else found
    if rows is None:
        return found
    return fit_direction(replace(found, rows=row_numbers("rows", rows)), gen, params)
