"""The engine: `objective` for one evaluation, `solve` for one stage on many lanes.

Everything is written for ONE lane (one image, one start) and lifted to many by `over_lanes`, the
only map in the library. A lane's keys come from its image's content and its own step number, so
that no lane depends on its neighbours, on the batch size or on the number of devices.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inits import start
from jaxinv.losses import Sample, Seen, evaluate, observe
from jaxinv.nn.resample import area_reduce
from jaxinv.solvers.base import factor
from jaxinv.solvers.registry import build as build_solver
from jaxinv.spaces import STATISTICS, hold, in_deviations, lift
from jaxinv.vocabulary import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.generators.base import Generator
    from jaxinv.solvers.base import Eval, Solver
    from jaxinv.specs import Stage
    from jaxinv.types import Array, Key, Latents, Params, Tree

CHUNK = 10
LANES = "lanes"  # the axis of devices
OK, DIVERGED, STOPPED = 0, 1, 2
LOSS = "loss"  # the curve that is always kept; the others are of terms, by label
START = 2**31 - 1  # folded into the key of a lane's start, as the number of a step is into a step's


class Problem(NamedTuple):
    """What a compiled program depends on; `size` is the loss resolution, `width` lanes at once.

    `watch`: labels of the terms whose value is kept for every evaluation, beside the loss.
    """

    gen: Generator
    stage: Stage
    size: int
    width: int
    watch: tuple[str, ...] = ()

    @property
    def drawn(self) -> int:
        """Size of the render: the loss resolution, or more if a term looks closer."""
        closer = (term.view.size or 0 for term in self.stage.terms if term.name == "weave")
        return min(max(self.size, *closer, 0), self.gen.spec.resolution)


class Weights(NamedTuple):
    """Arrays that all lanes share, always arguments of the compiled functions."""

    params: Params
    nets: dict[str, Params]


class Lane(NamedTuple):
    """What one lane is given; the mask is [h, w, 1], `previous` the latents of earlier stages."""

    target: Seen
    mask: Array | None
    key: Key
    restart: Array
    previous: Latents


class Best(NamedTuple):
    """What one lane has reached: codes, their loss, evaluations made, status."""

    codes: dict[str, Tree]
    loss: Array
    evaluations: Array
    status: Array


def decode(problem: Problem, params: Params, codes: dict[str, Tree], previous: Latents) -> Latents:
    """Latents of one lane: the stage's variables from their codes, others from earlier stages."""
    latents = {k: v for k, v in previous.items() if k in ("noise", *CLASSES)}
    for variable in problem.stage.variables:
        latents[variable.space] = lift(params, variable, codes[variable.space])
    if not any(variable.space != "noise" for variable in problem.stage.variables):
        latents = {**previous, **latents}
    return latents


def jittered(
    problem: Problem, params: Params, latents: Latents, moment: tuple[Key, Array]
) -> Latents:
    """Latents with the stage's Gaussian jitter on w or w+ (Karras et al. 2020, appendix D)."""
    jitter = problem.stage.jitter
    if jitter is None:
        return latents
    key, progress = moment
    scale = jitter.scale * params[STATISTICS]["std"] * factor(jitter.schedule, progress)
    noisy = {
        name: latents[name] + scale * jax.random.normal(key, latents[name].shape)
        for name in ("w", "w+")
        if name in latents
    }
    return {**latents, **noisy}


def objective(
    problem: Problem, weights: Weights, lane: Lane, progress: Array
) -> Callable[..., Any]:
    """The function (codes, key) -> (loss, terms) that a solver lowers; one render per call."""

    def fn(codes: dict[str, Tree], key: Key) -> tuple[Array, dict[str, Array]]:
        codes = {v.space: hold(v, codes[v.space]) for v in problem.stage.variables}
        latents = decode(problem, weights.params, codes, lane.previous)
        shaken = jittered(problem, weights.params, latents, (key, progress))
        image = problem.gen.synthesize(weights.params, shaken, problem.drawn)
        seen = observe(problem.stage.terms, weights.nets, area_reduce(image, problem.size))
        plain = {
            v.space: in_deviations(weights.params, v, codes[v.space])
            for v in problem.stage.variables
        }
        sample = Sample(plain, latents, image, seen)
        return evaluate(problem.stage.terms, weights.nets, sample, lane.target, lane.mask)

    return fn


def standardise_noise(codes: dict[str, Tree]) -> dict[str, Tree]:
    """Every noise map shifted and scaled to mean 0 and variance 1 (StyleGAN2, appendix D)."""
    maps = tuple((m - jnp.mean(m)) * jax.lax.rsqrt(jnp.var(m) + 1e-12) for m in codes["noise"])
    return {**codes, "noise": maps}


HOOKS: dict[str, Callable[[dict[str, Tree]], dict[str, Tree]]] = {
    "standardise_noise": standardise_noise
}


def solver_of(stage: Stage) -> Solver:
    """The stage's solver with its hooks."""
    rates = tuple((v.space, v.rate) for v in stage.variables if v.rate != 1)
    if not stage.hooks:
        return build_solver(stage.solver, rates=rates)

    def hook(codes: dict[str, Tree]) -> dict[str, Tree]:
        for name in stage.hooks:
            codes = HOOKS[name](codes)
        return codes

    return build_solver(stage.solver, hook, rates)


def over_lanes(fn: Callable[..., Any], width: int, lanes: Tree) -> Tree:
    """`fn` on every lane of a tree with leading axis L, `width` lanes at once on every device.

    Lanes are spread over as many of the local devices as divide their number; what `fn` closes over
    is copied to each.
    """
    count = jax.tree.leaves(lanes)[0].shape[0]
    share = partial(_on_one_device, fn, width)
    spread = math.gcd(count, jax.local_device_count())
    if spread == 1:
        return share(lanes)
    mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()[:spread]), (LANES,))
    lane = jax.sharding.PartitionSpec(LANES)
    return jax.shard_map(share, mesh=mesh, in_specs=lane, out_specs=lane, check_vma=False)(lanes)


def _on_one_device(fn: Callable[..., Any], width: int, lanes: Tree) -> Tree:
    count = jax.tree.leaves(lanes)[0].shape[0]
    if count == 1:  # as in the loop below, without the time to trace a vmap
        return jax.tree.map(lambda a: a[None], fn(jax.tree.map(lambda a: a[0], lanes)))
    if width >= count:
        return jax.vmap(fn)(lanes)
    if width == 1:
        return jax.lax.map(fn, lanes)
    return jax.lax.map(fn, lanes, batch_size=width)


@partial(jax.jit, static_argnums=0)
def begin(problem: Problem, weights: Weights, lanes: Lane) -> tuple[Any, Best]:
    """Solver state and best-so-far of every lane before its first evaluation."""

    def one(lane: Lane) -> tuple[Any, Best]:
        key = jax.random.fold_in(lane.key, START)
        codes = {
            v.space: start(
                problem.gen,
                weights.params,
                v,
                lane.previous,
                (jax.random.fold_in(key, i), lane.restart),
            )
            for i, v in enumerate(problem.stage.variables)
        }
        best = Best(
            codes, jnp.full((), jnp.inf), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        )
        return solver_of(problem.stage).init(codes), best

    return _strong(over_lanes(one, problem.width, lanes))


@partial(jax.jit, static_argnums=0, donate_argnums=3)
def advance(
    problem: Problem, weights: Weights, lanes: Lane, state: tuple[Any, Best], span: Array
) -> tuple[tuple[Any, Best], dict[str, Array]]:
    """Run steps span[0] .. span[1] - 1 of span[2]; returns the state and the curves [L, CHUNK]."""
    solver = solver_of(problem.stage)
    first, last, steps = span

    def one(args: tuple[Lane, tuple[Any, Best]]) -> tuple[tuple[Any, Best], dict[str, Array]]:
        lane, (inner, best) = args

        def body(step: Array, carry: Any) -> Any:
            inner, best, curves = carry
            progress = step / steps
            fn = objective(problem, weights, lane, progress)
            moved, seen = solver.step(jax.random.fold_in(lane.key, step), fn, inner, progress)
            running = best.status == OK
            inner = _where(running & ~seen.lost, moved, inner)
            values = {LOSS: seen.loss} | {name: seen.aux[name] for name in problem.watch}
            curves = {
                name: curves[name].at[step - first].set(jnp.where(running, value, jnp.nan))
                for name, value in values.items()
            }
            return inner, update(problem.stage, best, seen), curves

        empty = {name: jnp.full(CHUNK, jnp.nan) for name in (LOSS, *problem.watch)}
        inner, best, curves = jax.lax.fori_loop(first, last, body, (inner, best, empty))
        return (inner, best), curves

    return over_lanes(one, problem.width, (lanes, state))


def update(stage: Stage, best: Best, seen: Eval) -> Best:
    """Best-so-far after one evaluation; a lane that is lost or met its stop is frozen."""
    running, finite = best.status == OK, jnp.isfinite(seen.loss)
    wanted = seen.taken if stage.keep == "last" else seen.loss < best.loss
    better = running & finite & wanted
    status = jnp.where(seen.lost, DIVERGED, OK)
    if stage.stop is not None:
        met = finite & (seen.aux[stage.stop.term] < stage.stop.below)
        status = jnp.where(met, STOPPED, status)
    return Best(
        codes=_where(better, seen.u, best.codes),
        loss=jnp.where(better, seen.loss, best.loss),
        evaluations=best.evaluations + running,
        status=jnp.where(running, status, best.status),
    )


def _where(condition: Array, yes: Tree, no: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def _strong(tree: Tree) -> Tree:
    """The tree without weak types, which `advance` returns none of: it is compiled only once."""
    return jax.tree.map(lambda a: jnp.asarray(a, a.dtype), tree)


@partial(jax.jit, static_argnums=0)
def finish(problem: Problem, weights: Weights, lanes: Lane, codes: Tree) -> Latents:
    """Latents of every lane."""
    return over_lanes(
        lambda args: decode(problem, weights.params, args[1], args[0].previous),
        problem.width,
        (lanes, codes),
    )


@partial(jax.jit, static_argnums=0)
def sight(problem: Problem, weights: Weights, images: Array) -> Seen:
    """What the stage's terms see of every target [L, size, size, 3]."""
    return over_lanes(partial(observe, problem.stage.terms, weights.nets), problem.width, images)


def solve(
    problem: Problem,
    weights: Weights,
    lanes: Lane,
    *,
    report: Callable[[int, np.ndarray], None] | None = None,
) -> tuple[Latents, Best, dict[str, np.ndarray]]:
    """Run one stage on all lanes; returns latents, best-so-far and curves [L, steps] by name.

    Steps run in chunks within one compiled call; between chunks `report(step, best losses [L])` is
    called and the stage ends early once no lane is running.
    """
    steps = problem.stage.steps
    state = begin(problem, weights, lanes)
    curves = {
        name: np.full((len(lanes.restart), steps), np.nan, np.float32)
        for name in (LOSS, *problem.watch)
    }
    for first in range(0, steps, CHUNK):
        last = min(first + CHUNK, steps)
        state, part = advance(problem, weights, lanes, state, jnp.asarray([first, last, steps]))
        for name, curve in curves.items():
            curve[:, first:last] = np.asarray(part[name])[:, : last - first]
        if report is not None:
            report(last, np.asarray(state[1].loss))
        if not np.any(np.asarray(state[1].status) == OK):
            break
    best = state[1]
    return finish(problem, weights, lanes, best.codes), best, curves
