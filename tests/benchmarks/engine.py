"""What the engine adds to the arithmetic: four ratios, both sides measured in one process."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders.ridge_regression import learned_init
from jaxinv.inversion import stages
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.statistics import with_statistics
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render
from jaxinv.models.zoo import is_present
from jaxinv.presets import PRESETS
from jaxinv.specs import SolverSpec, Stage, Term, Variable
from jaxinv.types import Array
from tests.benchmarks import bare
from tests.benchmarks.timing import measure
from tests.tiny import mobile

LANES, STEPS, FEW, RATE = 8, 10, 4, 1e-3
PRESET = PRESETS["default"]
FACES = PRESET.stages[0]
PLAIN = Stage((Variable("w+"),), (Term("mse"),), 1000, SolverSpec("sgd", RATE))
SEARCH = Stage((Variable("w+", "whiten"),), (Term("mse"),), 30, SolverSpec("lbfgs"))


class Case(NamedTuple):
    """One problem with its lanes, ready to run."""

    problem: Problem
    weights: NetworkParams
    lanes: Lane

    def fresh(self) -> tuple[Any, Any]:
        return stages.init_lanes(self.problem, self.weights, self.lanes)

    def alone(self, index: int) -> Case:
        return self._replace(lanes=jax.tree.map(lambda a: a[index : index + 1], self.lanes))


def report(repeats: int) -> None:
    real = is_present("ffhq") and is_present("lpips")
    gen, params = load_generator("ffhq") if real else mobile()
    nets = load_features(PRESET.nets) if real else {}
    weights = NetworkParams(
        with_statistics(gen, params, PRESET, nets, report=print) if real else params, nets
    )
    size = min(256, gen.spec.resolution // 2)
    device = jax.devices()[0].device_kind
    print(f"{gen.spec.name} {gen.spec.resolution} px compared at {size} px, on {device}")
    if real:
        in_loop(case(gen, weights, FACES, size, 1), repeats)
        batched(gen, weights, size, repeats)
    else:
        print("the face terms need `jaxinv pull ffhq lpips`; skipped")
    line_search()
    against_bare(case(gen, weights, PLAIN, size, 1), repeats)


def case(
    gen: Generator, weights: NetworkParams, stage: Stage, size: int, count: int, *, width: int = 1
) -> Case:
    """`count` lanes, each after a picture that the generator can draw."""
    problem = Problem(gen, stage, size, width)
    z = jax.random.normal(jax.random.key(1), (count, gen.spec.z_dim))
    images = jnp.asarray(render(gen, weights.params, {"z": z}, size=size))
    keys = jax.random.split(jax.random.key(2), count)
    seen = stages.target_features(problem, weights, images, {}, {})
    faces = stage.variables == FACES.variables
    guessed = learned_init(gen, weights.params, PRESET, weights.nets, images) if faces else {}
    return Case(problem, weights, Lane(seen, None, keys, jnp.zeros(count, jnp.int32), guessed))


def in_loop(one: Case, repeats: int) -> None:
    """A step in the engine's loop against the same step as a program of its own."""
    problem, weights, lanes = one

    @partial(jax.jit, donate_argnums=2)
    def single(weights: NetworkParams, lanes: Lane, state: Any, step: Array) -> Any:
        lane, (inner, best) = jax.tree.map(lambda a: a[0], (lanes, state))
        progress = step / problem.stage.steps
        fn = stages.Objective(problem, weights, lane, progress)
        key = jax.random.fold_in(lane.key, step)
        moved, seen = stages.solver_of(problem.stage).step(key, fn, inner, progress)
        after = (moved, stages.update(problem.stage, best, seen))
        return jax.tree.map(lambda a: a[None], after)

    def python() -> Any:
        state, steps = one.fresh(), jnp.arange(STEPS)

        def work() -> Any:
            after = state
            for step in steps:
                after = single(weights, lanes, after, step)
            return after

        return work

    found = measure({"loop": chunk(one, STEPS), "python": python}, repeats)
    show(
        "a step in the engine's loop over a jitted step called from Python (goal 1.05)",
        {name: seconds / STEPS for name, seconds in found.items()},
        found["loop"] / found["python"],
    )


def chunk(one: Case, steps: int) -> Any:
    """A side: the first `steps` steps of all lanes in one call of the engine."""
    span = jnp.asarray([0, steps, one.problem.stage.steps])

    def ready() -> Any:
        state = one.fresh()
        return lambda: stages.run_chunk(one.problem, one.weights, one.lanes, state, span)

    return ready


def batched(gen: Generator, weights: NetworkParams, size: int, repeats: int) -> None:
    """Eight lanes against eight times one lane, for the width of CPUs and for that of GPUs."""
    together = {
        f"{LANES} lanes, width {width}": case(gen, weights, FACES, size, LANES, width=width)
        for width in (1, LANES)
    }
    cases = {"1 lane": case(gen, weights, FACES, size, 1)} | together
    found = measure({name: chunk(one, FEW) for name, one in cases.items()}, repeats)
    for name in together:
        show(
            f"{name} over {LANES} x 1 lane (goal 1.2 at the default width)",
            {key: found[key] / FEW for key in ("1 lane", name)},
            found[name] / (LANES * found["1 lane"]),
        )


def line_search() -> None:
    """Evaluations made for eight lanes together against what each lane alone needs to get there."""
    gen, params = mobile()
    all_lanes = case(gen, NetworkParams(params, {}), SEARCH, 32, LANES)
    _, best, curves = stages.solve(*all_lanes)
    goal = np.asarray(best.loss)[:, None] * (1 + 1e-4)
    alone = np.concatenate(
        [stages.solve(*all_lanes.alone(i))[2][stages.LOSS] for i in range(LANES)]
    )
    reached = alone <= goal
    needed = np.where(reached.any(1), reached.argmax(1) + 1, SEARCH.steps).sum()
    executed = LANES * SEARCH.steps
    accepted = [
        np.flatnonzero(np.diff(np.minimum.accumulate(c)) < 0) + 2 for c in curves[stages.LOSS]
    ]
    common = min(len(ticks) for ticks in accepted)
    own = np.stack([np.diff(ticks[:common], prepend=1) for ticks in accepted])
    print(f"\nline search, {LANES} lanes for {SEARCH.steps} iterations (goal 1.05)")
    print(f"  executed {executed}, needed by the lanes alone {needed}")
    waiting = own.max(0).sum() / own.mean(0).sum()
    print(f"  if all waited for the slowest line search: {waiting:.2f} times as many")
    print(f"  ratio {executed / needed:.3f}")


def against_bare(one: Case, repeats: int) -> None:
    """Gradient descent on pixels: the engine against a hand-written loop."""
    params = one.weights.params
    target = next(iter(one.lanes.target.values()))["pixels"][0]
    state = one.fresh()
    start = jnp.array(state[0].u["w+"][0])
    steps, rate = jnp.asarray(STEPS), jnp.asarray(RATE)
    (after, _), _ = chunk(one, STEPS)()()
    by_hand = bare.descend(params, target, start, rate, steps)
    gap = float(jnp.max(jnp.abs(after.u["w+"][0] - by_hand)) / jnp.max(jnp.abs(by_hand - start)))
    found = measure(
        {
            "engine": chunk(one, STEPS),
            "by hand": lambda: lambda: bare.descend(params, target, start, rate, steps),
        },
        repeats,
    )
    show(
        f"one gradient evaluation through the engine over one by hand (goal 1.2; after {STEPS}"
        f" steps the two differ by {gap:.1e} of the way)",
        {name: seconds / STEPS for name, seconds in found.items()},
        found["engine"] / found["by hand"],
    )


def show(title: str, seconds: dict[str, float], ratio: float) -> None:
    print(f"\n{title}")
    for name, value in seconds.items():
        print(f"  {name}: {value:.4f} s")
    print(f"  ratio {ratio:.3f}")
