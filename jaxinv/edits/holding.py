"""Scores that stay while a picture is edited: measured on every picture, and corrected there.

What a direction changes beside its own attribute differs from face to face, so that no fixed
direction leaves a score alone on all of them. Here the edited picture is drawn and scored, and
moved along the held attribute's own direction until the score is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.edits.directions import Direction
from jaxinv.edits.paths import PLAIN, Path, apply_all
from jaxinv.edits.walks import Walk
from jaxinv.edits.ways import way_path
from jaxinv.io.image_ops import to_uint8
from jaxinv.metrics.attributes import ATTRIBUTES, attributes, read_faces
from jaxinv.metrics.labels import label_attributes, label_scores
from jaxinv.models.rendering import draw_one
from jaxinv.specs.checks import check_callable, check_list, told
from jaxinv.specs.vocabulary import LATENT_SPACES

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

    Score = Callable[[np.ndarray], Any]
    Moves = Sequence[tuple[Path, float]]

SIDE = 256  # px at which pictures are scored
STEP = 0.5  # units of a direction, by which its slope on a picture is measured
NEAR = 0.03  # units of a direction: a score is held when it is off by less than they change
ROUNDS = 10  # pictures at most, after those that measure slopes
DAMPING, MOST_DAMPING = 0.01, 100.0  # of steps, beside squares of slopes that are about 1


class Held(NamedTuple):
    """A score that stays, the path along which it is corrected, and how far that may be walked.

    `score` is of uint8 [1, h, w, 3]; None is the entry `name` of `ATTRIBUTES`. `unit` is what an
    amount of 1 changes on average, 0 where nobody knows.
    """

    name: str
    path: Path
    score: Score | None
    usable: tuple[float, float]
    unit: float = 0.0


class Correction(NamedTuple):
    """How far each held path was walked, its score before and after, and what is left to say."""

    amounts: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    notes: tuple[str, ...]


def held_ways(
    gen: Generator,
    params: Params,
    hold: Sequence[Way | tuple[Way, Score]],
    moves: Sequence[Way | Path] = (),
    *,
    rows: Sequence[int] | None = None,
) -> list[Held]:
    """What `hold` says: every score that stays, with the path that corrects it.

    A direction or walk holds what it is about, the first of its measured effects, which must be an
    entry of `ATTRIBUTES`; a pair of one and a function of uint8 pictures [1, h, w, 3] holds that
    function. `moves` are what is edited, `rows` of w+ all that may move.

    Raises `ValueError` for what cannot be scored, for what is held twice, and for a move that is
    about what is held.
    """
    check_list("hold", hold, "directions, or pairs of a direction and a function")
    found = [_held(gen, params, one, rows) for one in hold]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is held twice; allowed: once")
    scored = {one.name for one, given in zip(found, hold, strict=True) if not _is_pair(given)}
    for way in moves:
        about = _about(way) if isinstance(way, Direction | Walk) else ""
        if about in scored:
            raise ValueError(f"{way.name!r} changes {about!r}, which is held; allowed: others")
    if any(one.score is None and ATTRIBUTES[one.name].face for one in found):
        read_faces(np.zeros((1, 64, 64, 3), np.uint8))  # says so where the nets are missing
    return found


def _is_pair(one: Any) -> bool:
    return isinstance(one, tuple | list) and len(one) == 2


def _about(way: Way) -> str:
    return next(iter(way.effects), "")


def _held(gen: Generator, params: Params, one: Any, rows: Sequence[int] | None) -> Held:
    way, given = one if _is_pair(one) else (one, None)
    if not isinstance(way, Direction | Walk):
        raise ValueError(f"hold has {told(way)}; allowed: directions and walks")
    check_callable(f"score of {way.name!r}", given)
    name = way.name if given else _about(way)
    labels = label_attributes(way.generator_name)
    named = given is None and name in labels
    score = partial(label_scores, way.generator_name, name) if named else given
    if score is None and name not in ATTRIBUTES:
        says = f"is about {name!r}" if name else "has no measured effects"
        framed = gen.spec.alignment == "ffhq"
        known = [n for n, one in ATTRIBUTES.items() if framed or not one.face]
        raise ValueError(
            f"{way.name!r} {says}: nothing can be scored that would stay; allowed: directions "
            f"about {', '.join((*labels, *known))}"
        )
    if score is None and ATTRIBUTES[name].face and gen.spec.alignment != "ffhq":
        raise ValueError(
            f"{name!r} is scored on faces framed as FFHQ; generator {gen.spec.name!r} draws other "
            "pictures"
        )
    path = way_path(way, gen, params, rows=rows)
    unit = 0.0 if given else abs(way.effects[name])
    return Held(name, path, score, way.usable or (-np.inf, np.inf), unit)


def scores_of(gen: Generator, params: Params, latents: Latents, held: Sequence[Held]) -> np.ndarray:
    """The held scores [k] of ONE sample's picture; `ValueError` for one that is not finite."""
    found = _measured(gen, params, latents, held) if held else np.zeros(0)
    for one, value in zip(held, found, strict=True):
        if not np.isfinite(value):
            raise ValueError(f"{one.name!r} cannot be held: the picture scores {value:g}")
    return found


def _measured(gen: Generator, params: Params, latents: Latents, held: Sequence[Held]) -> np.ndarray:
    side = min(SIDE, gen.spec.resolution)
    picture = to_uint8(np.asarray(draw_one(gen, params, latents, side))[None])
    named = attributes(picture, tuple(one.name for one in held if one.score is None))
    values = [named[one.name] if one.score is None else one.score(picture) for one in held]
    return np.array([_number(one, value) for one, value in zip(held, values, strict=True)])


def _number(held: Held, value: Any) -> float:
    found = np.asarray(value)
    if found.size != 1 or found.dtype.kind not in "biuf":
        raise ValueError(f"score of {held.name!r} is {told(value)}; allowed: one number a picture")
    return float(found.reshape(()))


def corrected(
    gen: Generator,
    params: Params,
    latents: Latents,
    moves: Moves,
    held: Sequence[Held],
    *,
    before: np.ndarray | None = None,
) -> tuple[Latents, Correction]:
    """Latents of ONE sample moved by all `moves`, with what it takes for the scores to stay.

    Moves and corrections are made in the order of their spaces. `before` are the scores [k] that
    stay, where they have been measured (`scores_of`). Errors as for `apply_all`; a score that does
    not stay is a note. Where nothing is held, this is `apply_all`.
    """
    if not held:
        return apply_all(gen, params, latents, moves), Correction((), (), (), ())
    start = scores_of(gen, params, latents, held) if before is None else before
    seen: dict[bytes, np.ndarray] = {}

    def moved(amounts: np.ndarray) -> Latents:
        pairs = [(one.path, float(c)) for one, c in zip(held, amounts, strict=True)]
        return apply_all(gen, params, latents, _in_order([*moves, *pairs]))

    def apart(amounts: np.ndarray) -> np.ndarray:
        key = amounts.tobytes()
        if key not in seen:
            seen[key] = _measured(gen, params, moved(amounts), held) - start
        return seen[key]

    low, high = np.array([one.usable for one in held], float).reshape(-1, 2).T
    amounts, near = settle(apart, low, high, np.array([one.unit for one in held]))
    after = start + apart(amounts)
    notes = tuple(
        f"{one.name!r} could not be held: {then:.3g} became {now:.3g}"
        for one, then, now, left, most in zip(
            held, start, after, np.abs(after - start), near, strict=True
        )
        if not left <= most
    )
    walked, then, now = (tuple(map(float, one)) for one in (amounts, start, after))
    return moved(amounts), Correction(walked, then, now, notes)


def _in_order(moves: Moves) -> list[tuple[Path, float]]:
    """Moves by their spaces, early ones first: from a late one there is no way back."""

    def place(move: tuple[Path, float]) -> int:
        space = PLAIN.get(move[0].space, move[0].space)
        return LATENT_SPACES.index(space) if space in LATENT_SPACES else -1

    return sorted(moves, key=place)


def settle(
    apart: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Amounts c [k] between `low` and `high` [k] at which `apart(c)` [k] is nearest to 0.

    Steps are those of Levenberg (1944) and Marquardt (1963). Slopes are measured, corrected by
    every further value (Broyden 1965), and measured anew where a step leads away. What is left is
    weighed by `units` [k], or, where they are 0, by what 1 along the steepest axis changes; returns
    the amounts and what counts as reached [k], `NEAR` of that.
    """
    amounts = np.zeros(len(low))
    left = apart(amounts)
    if not left.any():
        return amounts, np.zeros_like(left)
    slopes, measured = _slopes(apart, amounts, high), True
    steepest = np.abs(slopes).max(-1)
    scale = np.where(units > 0, units, np.where(steepest > 0, steepest, 1.0))
    damping = DAMPING
    for _ in range(ROUNDS):
        if np.all(np.abs(left) <= NEAR * scale) or damping > MOST_DAMPING:
            break
        j, r = slopes / scale[:, None], left / scale
        newton = np.linalg.solve(j.T @ j + damping * np.eye(len(j)), -j.T @ r)
        ahead = np.clip(amounts + newton, low, high)
        found, step = apart(ahead), ahead - amounts
        if np.linalg.norm(found / scale) < np.linalg.norm(r):
            slopes = slopes + np.outer(found - left - slopes @ step, step) / (step @ step)
            amounts, left, measured = ahead, found, False
            damping = max(damping / 10, DAMPING)
        elif measured:
            damping *= 10
        else:
            slopes, measured = _slopes(apart, amounts, high), True
    return amounts, NEAR * scale


def _slopes(
    apart: Callable[[np.ndarray], np.ndarray], amounts: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """What a unit along every axis changes [k, k], by a step; 0 where that cannot be measured."""
    here, columns = apart(amounts), []
    for axis, most in enumerate(high):
        there = amounts.copy()
        there[axis] += STEP if amounts[axis] + STEP <= most else -STEP
        columns.append((apart(there) - here) / (there[axis] - amounts[axis]))
    found = np.stack(columns, axis=-1)
    return np.where(np.isfinite(found), found, 0.0)
