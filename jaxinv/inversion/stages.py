"""The engine: `objective` for one evaluation, `solve` for one stage on many lanes.

Everything is written for ONE lane (one image, one start; or a group of images that share a
variable, see `shared_variables`) and lifted to many by `map_lanes`, the only map over lanes in the
library. A lane's keys come from its image's content and its own step number, so that no lane
depends on its neighbours, on the batch size or on the number of devices.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.objective import (
    Objective,
    apply_operator,
    choose_start,
    decode_latents,
    draw_pivot,
    num_candidates,
)
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.search_checkpoints import Reached, going_on
from jaxinv.inversion.shared_variables import lane_key
from jaxinv.latents.auxiliary_variables import apply_output_variables
from jaxinv.losses.base import Features
from jaxinv.losses.terms import target_features as extract_targets
from jaxinv.losses.terms import vector_features
from jaxinv.models.compilation import Program
from jaxinv.operators import build as build_operator
from jaxinv.solvers.base import side_by_side, strip_weak_types, tree_where
from jaxinv.solvers.hooks import hook_of
from jaxinv.solvers.registry import build as build_solver
from jaxinv.specs.vocabulary import START

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.inversion.search_checkpoints import SearchCheckpoints
    from jaxinv.solvers.base import Evaluation, Solver
    from jaxinv.specs import Stage
    from jaxinv.types import Array, Latents, Tree

CHUNK = 10
LANES = "lanes"  # the axis of devices
OK, DIVERGED, STOPPED = 0, 1, 2
MIN_STEPS_TO_COMPACT = (
    50  # evaluations that must be left for a smaller batch to be worth its compile
)
LOSS = "loss"  # the curve that is always kept; the others are of terms, by label


class LastProgress(NamedTuple):
    """The last loss that was clearly below the one before, and the evaluations made then."""

    loss: Array
    evaluations: Array


class BestSoFar(NamedTuple):
    """What one lane has reached: codes, their loss, evaluations made, status, last progress."""

    codes: dict[str, Tree]
    loss: Array
    evaluations: Array
    status: Array
    last_progress: LastProgress


@partial(jax.jit, static_argnums=0)
def pgd_target(problem: Problem, weights: NetworkParams, previous: Latents, images: Array) -> Array:
    """Clean images [L, size, size, 3] a step nearer to what was measured: x + step A'(y - A x)."""
    side = problem.size

    def one(args: tuple[Latents, Array]) -> Array:
        latents, y = args
        x = apply_output_variables(latents, problem.gen.synthesize(weights.params, latents, side))
        rest = y - apply_operator(problem, x)
        if problem.operator is not None:
            operator = build_operator(problem.operator, x.shape)
            rest = cast("Any", operator.adjoint)(rest.reshape(operator.shape))
        return x + problem.stage.pgd_step_size * rest

    return map_lanes(one, problem.width, (previous, images))


def solver_of(stage: Stage) -> Solver:
    """The stage's solver with its hooks."""
    rates = tuple((v.space, v.rate) for v in stage.variables if v.rate != 1)
    return build_solver(stage.solver, hook_of(stage.hooks), rates)


def map_lanes(fn: Callable[..., Any], width: int, lanes: Tree) -> Tree:
    """`fn` on every lane of a tree with leading axis L, `width` lanes at once on every device.

    Lanes are spread over as many of the local devices as divide their number; what `fn` closes over
    is copied to each.
    """
    count = jax.tree.leaves(lanes)[0].shape[0]
    share = partial(side_by_side, fn, width)
    spread = math.gcd(count, jax.local_device_count())
    if spread == 1:
        return share(lanes)
    mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()[:spread]), (LANES,))
    lane = jax.sharding.PartitionSpec(LANES)
    return jax.shard_map(share, mesh=mesh, in_specs=lane, out_specs=lane, check_vma=False)(lanes)


@partial(jax.jit, static_argnums=0)
def init_lanes(problem: Problem, weights: NetworkParams, lanes: Lane) -> tuple[Any, BestSoFar]:
    """Solver state and best-so-far of every lane before its first evaluation."""

    def one(lane: Lane) -> tuple[Any, BestSoFar]:
        codes = choose_start(problem, weights, lane)
        infinite, none = jnp.full((), jnp.inf), jnp.zeros((), jnp.int32)
        looks = jnp.full((), num_candidates(problem.stage), jnp.int32)
        best = BestSoFar(codes, infinite, looks, none, LastProgress(infinite, looks))
        return solver_of(problem.stage).init(codes), best

    # `run_chunk` returns no weak types: without them it is compiled only once.
    return strip_weak_types(map_lanes(one, problem.width, lanes))


@partial(Program, static_argnums=0, donate_argnums=3)
def run_chunk(
    problem: Problem, weights: NetworkParams, lanes: Lane, state: tuple[Any, BestSoFar], span: Array
) -> tuple[tuple[Any, BestSoFar], dict[str, Array]]:
    """Run steps span[0] .. span[1] - 1 of span[2]; returns the state and the curves [L, CHUNK].

    A lane that is over makes no further step; where lanes go one by one it costs nothing. Spans
    [L, 3] are each lane's own.
    """
    solver = solver_of(problem.stage)

    def one(
        args: tuple[Lane, tuple[Any, BestSoFar]], own: Array
    ) -> tuple[tuple[Any, BestSoFar], dict[str, Array]]:
        (lane, (inner, best)), (first, last, steps) = args, own

        def running(carry: Any) -> Array:
            step, (_, best), _ = carry
            return (step < last) & (best.status == OK)

        def body(carry: Any) -> Any:
            step, (inner, best), curves = carry
            # A solver that asks for it keeps one function throughout the chunk.
            key_step = _key_step(problem.stage, solver, first, step)
            fn = Objective(problem, weights, lane, key_step / steps)
            key = jax.random.fold_in(lane_key(problem, lane), key_step)
            inner, seen = solver.step(key, fn, inner, step / steps)
            values = {LOSS: seen.loss} | {name: seen.aux[name] for name in problem.record_terms}
            curves = {n: curves[n].at[step - first].set(value) for n, value in values.items()}
            return step + 1, (inner, update(problem.stage, best, seen)), curves

        empty = {name: jnp.full(CHUNK, jnp.nan) for name in (LOSS, *problem.record_terms)}
        return jax.lax.while_loop(running, body, (first, (inner, best), empty))[1:]

    if span.ndim == 2:
        each = ((lanes, state), span)
        return map_lanes(lambda args: one(*args), problem.width, each)
    shared: Any = tuple(span)
    return map_lanes(lambda args: one(args, shared), problem.width, (lanes, state))


def _key_step(stage: Stage, solver: Solver, first: Array, step: Array) -> Array:
    """The step whose key and progress the objective has: its own, or one that many steps share."""
    if not solver.fixed_objective:
        return step
    moving = (t.kind.random or t.schedule.kind != "constant" for t in stage.terms)
    changing = stage.jitter is not None or any(moving)
    return first if changing else jnp.zeros_like(step)


def update(stage: Stage, best: BestSoFar, seen: Evaluation) -> BestSoFar:
    """Best-so-far after one evaluation of a running lane, and whether the lane is over."""
    finite = jnp.isfinite(seen.loss)
    better = finite & (seen.accepted if stage.keep == "last" else seen.loss < best.loss)
    evaluations = best.evaluations + 1
    status, last_progress, stop = (
        jnp.where(seen.failed, DIVERGED, OK),
        best.last_progress,
        stage.stop,
    )
    if stop is not None and stop.kind == "below":
        status = jnp.where(finite & (seen.aux[stop.term] < stop.below), STOPPED, status)
    elif stop is not None:
        lower = finite & (
            seen.loss < last_progress.loss * (1 - stop.gain * jnp.sign(last_progress.loss))
        )
        last_progress = tree_where(lower, LastProgress(seen.loss, evaluations), last_progress)
        stalled = evaluations - last_progress.evaluations >= stop.patience
        status = jnp.where(stalled & (status == OK), STOPPED, status)
    return BestSoFar(
        codes=tree_where(better, seen.u, best.codes),
        loss=jnp.where(better, seen.loss, best.loss),
        evaluations=evaluations,
        status=jnp.asarray(status, jnp.int32),
        last_progress=last_progress,
    )


@partial(jax.jit, static_argnums=0)
def decode_lanes(problem: Problem, weights: NetworkParams, lanes: Lane, codes: Tree) -> Latents:
    """Latents of every lane."""
    return map_lanes(
        lambda args: decode_latents(problem, weights.params, args[1], args[0]),
        problem.width,
        (lanes, codes),
    )


def with_pivots(
    problem: Problem, weights: NetworkParams, lanes: Lane, codes: dict[str, Tree]
) -> Lane:
    """The lanes with the pictures of their first codes, if a term asks for them."""
    if not problem.stage.sees_start:
        return lanes
    lanes = lanes._replace(pivot=_draw_pivots(problem, weights, lanes, codes))
    if all(term.target != START for term in problem.stage.terms):
        return lanes
    seen = _start_features(problem, weights, lanes.pivot)
    return lanes._replace(target={**lanes.target, **seen})


@partial(jax.jit, static_argnums=0)
def _start_features(problem: Problem, weights: NetworkParams, pivots: Array) -> Features:
    """What terms see of the pictures [L, h, w, 3], of groups [R, K, h, w, 3], of stages' starts."""

    def look(picture: Array) -> Features:
        return _seen(problem, weights, {START: apply_operator(problem, picture)})

    return map_lanes(jax.vmap(look) if problem.stage.shared else look, problem.width, pivots)


def _seen(problem: Problem, weights: NetworkParams, pictures: dict[str, Array]) -> Features:
    few = problem.stage.terms, weights.feature_params
    return extract_targets(*few, pictures, problem.gen.discriminator)


@partial(jax.jit, static_argnums=0)
def _draw_pivots(
    problem: Problem, weights: NetworkParams, lanes: Lane, codes: dict[str, Tree]
) -> Array:
    return map_lanes(
        lambda args: draw_pivot(problem, weights, args[1], args[0]), problem.width, (lanes, codes)
    )


@partial(jax.jit, static_argnums=0)
def target_features(
    problem: Problem,
    weights: NetworkParams,
    images: Array,
    named: dict[str, Array],
    vectors: dict[str, Array],
) -> Features:
    """What the stage's terms see of every target [L, size, size, 3], and of those with a name.

    `vectors` [L, n] stand by their names for what would be seen of pictures.
    """
    seen = map_lanes(partial(_seen, problem, weights), problem.width, {"": images, **named})
    return seen | vector_features(problem.stage.terms, vectors)


def solve(
    problem: Problem,
    weights: NetworkParams,
    lanes: Lane,
    *,
    report: Callable[[int, np.ndarray, Callable[[], Latents]], None] | None = None,
    kept: SearchCheckpoints | None = None,
) -> tuple[Latents, BestSoFar, dict[str, np.ndarray]]:
    """Run one stage on all lanes; returns latents, best-so-far and curves [L, steps] by name.

    With checkpoints `kept` it goes on from there.

    Steps run in chunks within one compiled call. Between chunks `report(step, best losses [L],
    latents)` is called, where `latents()` are those of the best codes so far; lanes that are over
    leave the batch once they are its greater part, and the stage ends early once none is running.
    """
    steps, count, problem = problem.stage.steps, len(lanes.restart), problem.program
    state = init_lanes(problem, weights, lanes)
    lanes = given = with_pivots(problem, weights, lanes, state[1].codes)
    curves = {
        name: np.full((count, steps), np.nan, np.float32) for name in (LOSS, *problem.record_terms)
    }
    begun, lane_index, state, best, curves = going_on(
        kept, Reached(0, np.arange(count), state, state[1], curves)
    )
    if len(lane_index) < count:
        given = jax.tree.map(lambda a: a[lane_index], lanes)
    running = np.flatnonzero(np.asarray(state[1].status) == OK)
    for first in range(begun if len(running) else steps, steps, CHUNK):
        last = min(first + CHUNK, steps)
        state, part = run_chunk(problem, weights, given, state, jnp.asarray([first, last, steps]))
        for name, curve in curves.items():
            curve[lane_index, first:last] = np.asarray(part[name])[:, : last - first]
        best = state[1] if len(lane_index) == count else _scatter(best, lane_index, state[1])
        running = np.flatnonzero(np.asarray(state[1].status) == OK)
        if (
            problem.width > 1
            and 0 < 2 * len(running) <= len(lane_index)
            and steps - last >= MIN_STEPS_TO_COMPACT
        ):
            stay = np.resize(running, 1 << (len(running) - 1).bit_length())
            given, state = jax.tree.map(lambda a, stay=stay: a[stay], (given, state))
            lane_index = lane_index[stay]
        if kept is not None and kept.due(over=last == steps or not len(running)):
            kept.save(Reached(last, lane_index, state, best, curves))
        if report is not None:
            report(
                last,
                np.asarray(best.loss),
                lambda codes=best.codes: decode_lanes(problem, weights, lanes, codes),
            )
        if not len(running):
            break
    return decode_lanes(problem, weights, lanes, best.codes), best, curves


def _scatter(whole: Tree, places: np.ndarray, part: Tree) -> Tree:
    return jax.tree.map(lambda a, b: a.at[places].set(b), whole, part)
