"""A stage whose searches end by themselves: where one ends the next begins, in the same program.

A slow search does not hold the others. No lane depends on its neighbours, so that it reaches what
it would reach in a batch of the same shape.
"""

# jax annotates its arguments only in part (here: tree.map).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.search_checkpoints import Reached, going_on
from jaxinv.inversion.stages import (
    CHUNK,
    LOSS,
    OK,
    BestSoFar,
    decode_lanes,
    init_lanes,
    run_chunk,
    with_pivots,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.inversion.problem import Lane, NetworkParams, Problem
    from jaxinv.inversion.search_checkpoints import SearchCheckpoints
    from jaxinv.types import Latents, Tree

LEAST_FREE = 0.25  # share of the lanes that must be free for new ones to begin, which costs looks
MADE = "evaluations made"  # of every slot, among the curves of a checkpoint


def slots_of(problem: Problem, count: int) -> int:
    """How many of `count` lanes go at once; all of them where none ends before the others."""
    slots = problem.width * jax.local_device_count()
    fits = problem.stage.stop is not None and not problem.stage.shared and slots > 1
    return slots if fits and slots < count else count


@dataclass
class _Slots:
    """What goes on: the lane in each slot, its evaluations, what it is given, and its state."""

    lane: np.ndarray
    made: np.ndarray
    given: Lane
    state: tuple[Any, BestSoFar]


def solve_in_slots(
    problem: Problem,
    weights: NetworkParams,
    lanes: Lane,
    *,
    report: Callable[[int, np.ndarray, Callable[[], Latents]], None] | None = None,
    kept: SearchCheckpoints | None = None,
) -> tuple[Latents, BestSoFar, dict[str, np.ndarray]]:
    """`stages.solve`, with as many lanes at once as `slots_of` says.

    The step that `report` is told is the mean of all lanes.
    """
    steps, count, problem = problem.stage.steps, len(lanes.restart), problem.program
    slots = slots_of(problem, count)
    now = _begin(problem, weights, lanes, np.arange(slots))
    best = jax.tree.map(lambda a: np.zeros((count, *a.shape[1:]), a.dtype), now.state[1])
    best = best._replace(loss=np.full(count, np.inf, best.loss.dtype))
    curves = {
        name: np.full((count, steps), np.nan, np.float32) for name in (LOSS, *problem.record_terms)
    }
    fresh = Reached(slots, now.lane, now.state, best, curves | {MADE: now.made})
    reached = going_on(kept, fresh)
    coming, best = reached.step, jax.tree.map(np.array, reached.best)
    curves = {name: np.array(curve) for name, curve in reached.curves.items()}
    if reached is not fresh:
        now = _begin(problem, weights, lanes, np.asarray(reached.lanes))
        now.state, now.made = reached.state, curves[MADE]
    curves.pop(MADE)
    while (busy := _busy(now, steps)).any():
        last = np.minimum(now.made + CHUNK, steps)
        # A lane that is over has no steps left to make.
        span = np.stack([np.where(busy, now.made, last), last, np.full_like(last, steps)], axis=1)
        now.state, part = run_chunk(problem, weights, now.given, now.state, jnp.asarray(span))
        for name, curve in curves.items():
            values = np.asarray(part[name])
            for slot in np.flatnonzero(busy):
                first, end = now.made[slot], last[slot]
                curve[now.lane[slot], first:end] = values[slot, : end - first]
        now.made = np.where(busy, last, now.made)
        best = _stored(best, now, np.flatnonzero(busy))
        coming = _refill(problem, weights, lanes, now, (coming, steps))
        if kept is not None and kept.due(over=False):
            kept.save(Reached(coming, now.lane, now.state, best, curves | {MADE: now.made}))
        if report is not None:
            going = _busy(now, steps)
            over = coming - int(going.sum())
            done = (over * steps + int(now.made[going].sum())) // count
            codes = best.codes
            report(
                done,
                np.asarray(best.loss),
                lambda codes=codes: decode_lanes(problem, weights, lanes, codes),
            )
    return decode_lanes(problem, weights, lanes, best.codes), best, curves


def _begin(problem: Problem, weights: NetworkParams, lanes: Lane, rows: np.ndarray) -> _Slots:
    """Slots in which the lanes `rows` begin."""
    given = jax.tree.map(lambda a: a[rows], lanes)
    state = init_lanes(problem, weights, given)
    given = with_pivots(problem, weights, given, state[1].codes)
    return _Slots(rows.copy(), np.zeros(len(rows), int), given, state)


def _busy(now: _Slots, steps: int) -> np.ndarray:
    """Which slots have something to do."""
    return (np.asarray(now.state[1].status) == OK) & (now.made < steps)


def _stored(best: BestSoFar, now: _Slots, slots: np.ndarray) -> BestSoFar:
    """The best of all lanes, with what those in the slots have reached."""

    def put(whole: np.ndarray, part: Any) -> np.ndarray:
        whole[now.lane[slots]] = np.asarray(part)[slots]
        return whole

    return jax.tree.map(put, best, now.state[1])


def _refill(
    problem: Problem, weights: NetworkParams, lanes: Lane, now: _Slots, ahead: tuple[int, int]
) -> int:
    """Let lanes that wait, from `ahead[0]` on, begin in free slots; returns the next to wait."""
    coming, steps = ahead
    count, free = len(lanes.restart), np.flatnonzero(~_busy(now, steps))
    if coming == count or len(free) < LEAST_FREE * len(now.lane):
        return coming
    rows = np.arange(coming, min(coming + len(free), count))
    slots = free[: len(rows)]
    # Copies fill the rest of the program, whose shape stays as it is.
    new = _begin(problem, weights, lanes, np.resize(rows, len(now.lane)))

    def put(old: Tree, fresh: Tree) -> Tree:
        return jax.tree.map(lambda a, b: a.at[slots].set(b[: len(rows)]), old, fresh)

    now.given, now.state = put(now.given, new.given), put(now.state, new.state)
    now.lane[slots], now.made[slots] = rows, 0
    return int(rows[-1]) + 1
