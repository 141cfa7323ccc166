"""The solver zoo crossed with the problem zoo; line searches, lanes, schedules."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxinv.solvers.base import Evaluation, Solver
from jaxinv.solvers.first_order import TRANSFORMS, UpdateOptions, first_order
from jaxinv.solvers.lbfgs import Options, blank, lbfgs, line_search
from jaxinv.solvers.registry import build
from jaxinv.solvers.schedules import FACTORS, schedule_value
from jaxinv.specs import Schedule, SolverSpec
from jaxinv.specs.vocabulary import OPTIONS, SCHEDULES
from jaxinv.types import Array, Tree
from tests.problems import (
    PROBLEMS,
    Least,
    Loss,
    Problem,
    objective,
    rosenbrock,
    self_inversion,
)
from tests.tiers import mostly_slow

pytestmark = pytest.mark.usefixtures("quick_compilation")
KEY = jax.random.key(0)


def run(solver: Solver, loss: Loss, u: Tree, steps: int) -> tuple[Any, Evaluation]:
    """Final state, and every evaluation with a leading axis [steps]."""
    fn = objective(loss)

    @jax.jit
    def whole(u: Tree) -> Any:
        def body(state: Any, step: Array) -> Any:
            key = KEY if solver.fixed_objective else jax.random.fold_in(KEY, step)
            return solver.step(key, fn, state, step / steps)

        return jax.lax.scan(body, solver.init(u), jnp.arange(steps))

    return whole(u)


# --- every solver on every problem ----------------------------------------------------------------


INNER = (("population", 4), ("inner", 20), ("inner_rate", 0.1))
# One line for each solver: its spec, and which part of the gap it may leave.
SOLVERS = {
    "adam": (SolverSpec("adam", 0.1), "first"),
    "sgd": (SolverSpec("sgd", 0.5), "first"),
    "rmsprop": (SolverSpec("rmsprop", 0.03), "first"),
    "adamax": (SolverSpec("adamax", 0.2), "first"),
    "adamw": (SolverSpec("adamw", 0.1), "first"),
    "momentum": (SolverSpec("momentum", 0.1), "first"),
    "radam": (SolverSpec("radam", 0.2), "first"),
    "ranger": (SolverSpec("ranger", 0.4), "first"),
    "adam-lookahead": (SolverSpec("adam", 0.2, options=(("lookahead", 5),)), "first"),
    "lbfgs": (SolverSpec("lbfgs", options=(("history", 5),)), "second"),
    "lbfgs-warm": (SolverSpec("lbfgs", 0.1, options=(("history", 5), ("warmup", 10))), "second"),
    "lm": (SolverSpec("lm"), "second"),
    "lm-damped": (SolverSpec("lm", options=(("products", 12), ("damping", 0.1))), "second"),
    "lbfgs-adapted": (
        SolverSpec("lbfgs", options=(("history", 5), ("initial_scale", 2.0), ("adapt", 5))),
        "second",
    ),
    "cma": (SolverSpec("cma", 0.3), "blind"),
    "sep-cma": (SolverSpec("sep-cma", 0.3), "blind"),
    "one-plus-one": (SolverSpec("one-plus-one", 0.3), "blind"),
    "de": (SolverSpec("de", 0.3, options=(("population", 8),)), "chance"),
    "pso": (SolverSpec("pso", 0.3, options=(("population", 8),)), "chance"),
    "random": (SolverSpec("random", 0.3), "chance"),
    "basin-cma": (SolverSpec("basin-cma", 0.3, options=INNER), "blind"),
    "basin-sep-cma": (SolverSpec("basin-sep-cma", 0.3, options=INNER), "blind"),
    "basin-de": (SolverSpec("basin-de", 0.3, options=INNER), "blind"),
    "basin-pso": (SolverSpec("basin-pso", 0.3, options=INNER), "blind"),
    "hmc": (
        SolverSpec("hmc", 0.5, options=(("leapfrog_steps", 5), ("temperature", 1e-4))),
        "chain",
    ),
    "mala": (SolverSpec("mala", 0.5, options=(("temperature", 1e-4),)), "chain"),
    "sgld": (SolverSpec("sgld", 0.3, options=(("temperature", 1e-4),)), "chain"),
}


# A curved valley and a network for every solver; the other problems are slow.
@pytest.mark.parametrize(
    "make", mostly_slow(PROBLEMS, (rosenbrock, self_inversion)), ids=lambda make: make.__name__
)
@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_lowers_every_problem(name: str, make: Callable[[], Problem]) -> None:
    problem, (spec, kind) = make(), SOLVERS[name]
    _, seen = run(build(spec), problem.loss, problem.start, 120)
    gaps = np.asarray(seen.loss) - problem.least
    assert not np.any(seen.failed)
    assert gaps.min() <= getattr(problem, kind) * gaps[0]
    # What is reported belongs to the point that was evaluated, the start first.
    jax.tree.map(
        np.testing.assert_array_equal,
        [leaf[0] for leaf in jax.tree.leaves(seen.u)],
        jax.tree.leaves(problem.start),
    )
    jax.tree.map(np.testing.assert_array_equal, seen.aux, (seen.u, seen.loss))
    best = jax.tree.map(lambda leaf: leaf[np.argmin(gaps)], seen.u)
    if kind == "second" and problem.solution is not None:
        close = partial(np.testing.assert_allclose, atol=2e-3)
        jax.tree.map(close, best, problem.solution)


def test_every_name_is_in_the_zoo() -> None:
    assert {spec.name for spec, _ in SOLVERS.values()} == set(OPTIONS)


# --- one evaluation for each step -----------------------------------------------------------------


@pytest.mark.parametrize("squares", mostly_slow([False, True], [True]))
@pytest.mark.parametrize("name", SOLVERS)
def test_a_step_evaluates_once(name: str, squares: bool) -> None:
    calls = []

    def residuals(u: Array) -> Array:
        jax.debug.callback(lambda: calls.append(1))
        return jnp.stack([(1 - u[0]) / 10, u[1] - u[0] * u[0]])

    loss = Least(residuals) if squares else lambda u: jnp.sum(jnp.square(residuals(u)))
    _, seen = run(build(SOLVERS[name][0]), loss, jnp.asarray([-1.2, 1.0]), 30)
    jax.effects_barrier()
    assert len(calls) == len(seen.loss) == 30


# --- first-order solvers --------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSFORMS)
def test_first_order_steps_are_those_of_optax(name: str) -> None:
    schedule = Schedule("cosine")
    solver = build(SolverSpec(name, 0.05, schedule))
    start = jnp.asarray([1.0, -2.0, 0.5])

    def loss(u: Array) -> Array:
        return jnp.sum(jnp.cos(u) + 0.1 * jnp.square(u))

    _, seen = run(solver, loss, start, 5)
    transform: Any = TRANSFORMS[name]()
    update = jax.jit(lambda u, inner: transform.update(jax.grad(loss)(u), inner, u))
    u, inner = np.asarray(start), transform.init(start)
    for step in range(5):
        np.testing.assert_allclose(seen.u[step], u, atol=1e-5)
        direction, inner = update(u, inner)
        u = u - 0.05 * (0.5 + 0.5 * np.cos(np.pi * step / 5)) * np.asarray(direction)


def test_options_reach_the_solver() -> None:
    plain, heavy = (
        build(SolverSpec("adam", 0.1, options=options)) for options in ((), (("b1", 0.5),))
    )
    ours, theirs = (
        run(solver, lambda u: jnp.sum(jnp.square(u) ** 2), jnp.ones(2), 4)[1].u
        for solver in (plain, heavy)
    )
    np.testing.assert_allclose(ours[:2], theirs[:2], atol=1e-6)
    assert np.abs(ours[3] - theirs[3]).max() > 1e-4


def test_hooks_act_after_every_step() -> None:
    solver = first_order(
        optax.identity(),
        0.1,
        Schedule(),
        UpdateOptions(hook=lambda before, u, key: u / jnp.linalg.norm(u)),
    )
    _, seen = run(solver, jnp.sum, jnp.asarray([3.0, 4.0]), 6)
    np.testing.assert_allclose(np.linalg.norm(seen.u, axis=1), [5, 1, 1, 1, 1, 1], rtol=1e-6)
    with pytest.raises(ValueError, match="'lbfgs' takes no hooks; allowed: adam, adamax"):
        build(SolverSpec("lbfgs"), lambda before, u, key: u)


# --- L-BFGS ---------------------------------------------------------------------------------------


def valley(u: Array) -> Array:
    return jnp.square(1 - u[0]) / 100 + jnp.square(u[1] - u[0] * u[0])


def accepted(solver: Solver, loss: Loss, u: Tree, steps: int) -> np.ndarray:
    """The loss of the solver's own point after every tick."""

    def fn(u: Tree, key: Array) -> tuple[Array, dict]:
        del key
        return loss(u), {}

    def body(state: Any, _: Any) -> Any:
        state = solver.step(KEY, fn, state, jnp.zeros(()))[0]
        return state, state.inner.loss

    whole = jax.jit(lambda u: jax.lax.scan(body, solver.init(u), length=steps)[1])
    return np.asarray(whole(u))


@pytest.mark.parametrize("warmup", [0, 7])
def test_accepted_losses_never_rise(warmup: int) -> None:
    losses = accepted(lbfgs(Options(3, warmup)), valley, jnp.asarray([-1.2, 1.0]), 60)
    assert np.all(np.diff(losses) <= 0)
    assert losses[-1] < 1e-9 < losses[0]


def test_a_direction_that_is_not_of_descent_gets_no_allowance() -> None:
    x, options = jnp.zeros(2), Options(3)
    uphill = blank(x, 3)._replace(
        loss=jnp.asarray(1.0), gradient=jnp.ones(2), direction=jnp.ones(2), trial=x + 1
    )
    higher = jnp.asarray(1.0001)  # within Armijo's bound, were the slope not above 0
    assert line_search(uphill, options, higher, jnp.ones(2)).loss == 1
    fresh = line_search(uphill, options, higher, jnp.ones(2))
    assert jnp.vdot(fresh.trial - x, fresh.gradient) < 0
    assert line_search(uphill, options, jnp.asarray(0.5), jnp.ones(2)).loss == 0.5


def test_a_quadratic_takes_few_steps() -> None:
    scales = jnp.asarray([1.0, 4.0, 9.0])
    solver = lbfgs(Options(3))
    losses = accepted(solver, lambda u: jnp.sum(scales * jnp.square(u)), jnp.ones(3), 25)
    assert losses[-1] < 1e-10


def test_a_refused_trial_is_shortened_by_half_at_least() -> None:
    solver = lbfgs(Options(3))

    def fn(u: Array, key: Array) -> tuple[Array, dict]:
        del key
        return jnp.sum(jnp.square(u)) + 100.0 * jnp.any(u != 1.0), {}  # no trial is good enough

    step = jax.jit(lambda state: solver.step(KEY, fn, state, jnp.zeros(()))[0])
    state, lengths = solver.init(jnp.ones(2)), []
    for _ in range(6):
        state = step(state)
        lengths.append(float(state.inner.length))
    assert lengths[0] == 1
    ratios = np.asarray(lengths[1:]) / np.asarray(lengths[:-1])
    assert np.all((ratios >= 0.1 - 1e-6) & (ratios <= 0.5 + 1e-6))
    assert float(state.inner.loss) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("warmup", [0, 3])
def test_a_trial_that_is_not_finite_is_shortened(bad: float, warmup: int) -> None:
    def loss(u: Array) -> Array:
        inside = jnp.square(u[0] - 0.1) + jnp.square(u[1])
        return jnp.where(u[0] > 0, inside, bad)

    state, seen = run(lbfgs(Options(3, warmup, 0.02)), loss, jnp.asarray([0.9, 0.3]), 40)
    losses = np.asarray(seen.loss)
    assert warmup or not np.all(np.isfinite(losses)), "the first step leaps over the edge"
    assert not np.any(seen.failed)
    for vector in (state.inner.x, state.inner.gradient, state.inner.trial, state.inner.steps):
        assert np.all(np.isfinite(vector))
    assert losses[np.isfinite(losses)].min() < 1e-8


def test_a_trial_whose_gradient_is_not_finite_is_shortened() -> None:
    def loss(u: Array) -> Array:
        nothing = jnp.sqrt(jnp.where(u < 0, 0.0 * u, 1.0)) * (u < 0)  # 0, with slope 0 x inf
        return jnp.sum(jnp.square(u - 0.1) + nothing)

    slopes = [float(jax.grad(loss)(jnp.asarray([at]))[0]) for at in (-0.1, 0.9)]
    np.testing.assert_allclose(slopes, [np.nan, 1.6], rtol=1e-6)
    state, seen = run(lbfgs(Options(3)), loss, jnp.asarray([0.9]), 40)
    assert np.all(np.isfinite(state.inner.x))
    assert float(state.inner.loss) < 1e-8
    assert not np.any(seen.failed)


@pytest.mark.parametrize("name", ["adam", "lbfgs", "lbfgs-warm"])
def test_a_start_that_is_not_finite_is_lost(name: str) -> None:
    _, seen = run(build(SOLVERS[name][0]), lambda u: jnp.sum(u) * jnp.nan, jnp.ones(2), 1)
    assert np.all(seen.failed)


def test_warming_up_ends_where_the_numbers_do() -> None:
    def loss(u: Array) -> Array:
        return jnp.where(u[0] > 0.75, jnp.sum(u), jnp.nan)

    _, seen = run(lbfgs(Options(3, 5, 0.1)), loss, jnp.ones(1), 4)
    np.testing.assert_array_equal(seen.failed, [False, False, False, True])


def test_a_lane_is_not_touched_by_a_failing_line_search_beside_it() -> None:
    solver = lbfgs(Options(4))

    def lanes(slopes: list[float]) -> Array:
        """Points of two lanes; where the slope is 0 the loss is a cliff that no trial passes."""

        def one(slope: Array) -> Array:
            def loss(u: Array) -> Array:
                cliff = 1.0 + jnp.sum(u) + 1e6 * jnp.any(u != 0.5)
                return jnp.where(slope > 0, valley(u), cliff)

            return run(solver, loss, jnp.asarray([0.5, 0.5]), 40)[1].u

        return jax.vmap(one)(jnp.asarray(slopes))

    beside_failing, beside_itself = lanes([1.0, 0.0]), lanes([1.0, 1.0])
    np.testing.assert_array_equal(beside_failing[0], beside_itself[0])
    assert np.abs(beside_failing[1] - 0.5).max() <= 1
    assert valley(beside_failing[0][-1]) < 1e-6


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "table"),
    [
        (Schedule(), {0: 1, 0.5: 1, 1: 1}),
        (
            # Rise over 5 %, half a cosine down over the last 25 % (StyleGAN2, appendix D).
            Schedule("nv_ramp"),
            {0: 0, 0.01: 0.2, 0.025: 0.5, 0.05: 1, 0.4: 1, 0.75: 1, 0.875: 0.5, 1: 0}
            | {t: 0.5 - 0.5 * np.cos(np.pi * (1 - t) / 0.25) for t in (0.8, 0.9, 0.99)},
        ),
        (Schedule("nv_ramp", rise=0.2, fall=0.5), {0.1: 0.5, 0.3: 1, 0.75: 0.5}),
        (Schedule("cosine"), {0: 1, 0.5: 0.5, 1: 0, 1 / 3: 0.75}),
        (Schedule("quadratic_decay"), {0: 1, 0.375: 0.25, 0.75: 0, 1: 0}),
        (Schedule("quadratic_decay", until=0.5), {0.25: 0.25, 0.5: 0}),
        (Schedule("exponential"), {0: 1, 0.5: 0.1**0.5, 1: 0.1}),
        (Schedule("exponential", rate=0.25), {0.5: 0.5, 1: 0.25}),
        (Schedule("multi_step"), {0: 1, 0.49: 1, 0.5: 0.1, 0.74: 0.1, 0.75: 0.01, 1: 0.01}),
        (Schedule("multi_step", points=((0.2, 0.5),)), {0.19: 1, 0.2: 0.5, 1: 0.5}),
        (Schedule("multi_step", points=()), {0: 1, 1: 1}),
        (Schedule("one_cycle"), {0: 0.1, 0.25: 0.55, 0.5: 1, 0.75: 0.55, 1: 0.1}),
        (Schedule("one_cycle", low=0.5), {0: 0.5, 0.5: 1, 1: 0.5}),
        (
            # (9 (1 - 2 |x / 0.9 - 1/2|) + 1) / 10, then from 1/10 to 1/1000 (PULSE).
            Schedule("one_cycle_drop"),
            {x: (9 * (1 - 2 * abs(x / 0.9 - 0.5)) + 1) / 10 for x in (0, 0.1, 0.45, 0.6, 0.899)}
            | {x: 0.1 + (x - 0.9) / 0.1 * (0.001 - 0.1) for x in (0.9, 0.95, 0.99, 1)},
        ),
        (Schedule("one_cycle_drop", drop=0.5, low=0.2, end=0.1), {0.25: 1, 0.5: 0.2, 0.75: 0.15}),
    ],
)
def test_schedules_have_their_closed_forms(schedule: Schedule, table: dict[float, float]) -> None:
    found = [float(schedule_value(schedule, jnp.asarray(t))) for t in table]
    np.testing.assert_allclose(found, list(table.values()), atol=1e-6)


def test_every_schedule_has_a_form() -> None:
    assert tuple(FACTORS) == SCHEDULES
