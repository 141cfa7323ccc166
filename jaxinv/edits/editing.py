"""Edits of latents: directions fitted to a generator, walked by amounts, within stated bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxinv.edits.directions import Direction
from jaxinv.edits.holding import corrected, held_ways
from jaxinv.edits.paths import Path
from jaxinv.edits.walks import Walk
from jaxinv.edits.ways import way_path
from jaxinv.models.arguments import check_generator, check_latents, samples_of
from jaxinv.specs.checks import check_at_least, check_kind, check_list, check_number, told, warn

if TYPE_CHECKING:
    from jaxinv.edits.holding import Held, Score
    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

HALVINGS = 6  # of the amount, when the largest one within a bound is searched


class AmountWarning(UserWarning):
    """An amount beyond the range in which a direction leaves pictures intact."""


def edit(
    gen: Generator,
    params: Params,
    latents: Latents,
    moves: Sequence[tuple[Way | Path, float]],
    *,
    rows: Sequence[int] | None = None,
    conditions: Sequence[Way] = (),
    hold: Sequence[Way | tuple[Way, Score]] = (),
) -> Latents:
    """Move latents along one direction or walk, or several.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: by space, each with a leading axis B, as in `Inversion.latents`.
        moves: pairs of a direction, a walk or a path, and an amount in its units.
        rows: those of w+ that move, instead of the directions' own.
        conditions: directions along which nothing may move (see `conditioned`).
        hold: directions whose scores stay on every picture, or pairs of one and a function that
            scores pictures uint8 [1, h, w, 3] (see `holding`).

    Returns:
        Latents with the same leading axis, to be drawn by `render`. Changes of weights that belong
        to an image stay with it.

    Raises:
        ValueError: a direction is of another generator or space, or has another shape.

    An amount outside the usable range of a direction is an `AmountWarning`, and so is a score that
    cannot be held.
    """
    check_generator(gen, params)
    check_list("moves", moves, "pairs of a direction and an amount")
    if not len(moves):
        raise ValueError("moves are empty; allowed: one pair or more")
    latents, _ = check_latents(gen, params, latents)
    paths: list[tuple[Path, float]] = []
    ways = [pair[0] for pair in moves if isinstance(pair, tuple | list) and pair]
    held = held_ways(gen, params, hold, ways, rows=rows)
    for pair in moves:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"a move is {told(pair)}; allowed: a direction and an amount")
        way, amount = pair
        if isinstance(way, Direction | Walk):
            note = beyond(way, amount)
            if note:
                warn(note, AmountWarning)
            way = way_path(way, gen, params, rows=rows, conditions=conditions)
        check_kind("what is moved along", way, Path)
        paths.append((way, amount))
    moved = [_moved(gen, params, one, paths, held) for one in samples_of(latents)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *moved)


def _moved(
    gen: Generator,
    params: Params,
    latents: Latents,
    moves: Sequence[tuple[Path, float]],
    held: Sequence[Held],
) -> Latents:
    """Latents of ONE sample, moved; what cannot be held is warned of."""
    found, correction = corrected(gen, params, latents, moves, held)
    for note in correction.notes:
        warn(note, AmountWarning)
    return found


def beyond(direction: Way, amount: float) -> str:
    """Says that the amount lies outside the usable range, and names it; else empty."""
    check_number(f"amount of {direction.name!r}", amount)
    if direction.usable is None or direction.usable[0] <= amount <= direction.usable[1]:
        return ""
    low, high = direction.usable
    return (
        f"{amount:g} of {direction.name!r} lies beyond its usable range, {low:g} to {high:g}: "
        "the picture may break"
    )


def largest_share(distance: Callable[[float], float], bound: float) -> tuple[float, float]:
    """The largest share in [0, 1] of an edit whose distance stays within `bound`, and its distance.

    `distance(share)` is taken to grow with the share; NaN counts as beyond the bound. The share is
    found to one part in 64. At a share of 0, where nothing is edited, it is 0.
    """
    check_at_least("bound", bound, 0)
    whole = distance(1.0)
    if whole <= bound:
        return 1.0, whole
    low, high, held = 0.0, 1.0, 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = distance(middle)
        if not math.isnan(found) and found <= bound:
            low, held = middle, found
        else:
            high = middle
    return low, held
