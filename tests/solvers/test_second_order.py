"""Solvers that learn curvature: keys that stay, products of Gauss and Newton, single ticks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.solvers.base import Solver, key_fingerprint
from jaxinv.solvers.levenberg_marquardt import Options, levenberg_marquardt, measure
from jaxinv.solvers.registry import build
from jaxinv.specs import Jitter, Schedule, SolverSpec, Variable
from jaxinv.types import Array
from tests.engine import one, preset, targets
from tests.engine import run as invert
from tests.problems import Least, linear_generator, objective, rosenbrock, two_layers
from tests.solvers.test_solvers import KEY, run

pytestmark = pytest.mark.usefixtures("quick_compilation")
SCALES = jnp.asarray([1.0, 4.0, 9.0, 0.5])


def wandering(solver: Solver, steps: int, span: int, shift: float) -> tuple[Any, Any]:
    """States and evaluations where the minimum moves by `shift` x noise every `span` steps."""

    def fn(u: Array, key: Array) -> tuple[Array, Any]:
        away = u - shift * jax.random.normal(key, u.shape)
        return jnp.sum(SCALES * jnp.square(away)), {}

    def body(state: Any, step: Array) -> Any:
        state, seen = solver.step(jax.random.fold_in(KEY, step // span), fn, state, step / steps)
        return state, (state, seen)

    return jax.jit(lambda u: jax.lax.scan(body, solver.init(u), jnp.arange(steps))[1])(
        jnp.full(4, 3.0)
    )


# --- keys that stay -------------------------------------------------------------------------------


def test_marks_tell_keys_apart() -> None:
    marks = np.stack([key_fingerprint(jax.random.fold_in(KEY, step)) for step in range(100)])
    assert len(np.unique(marks, axis=0)) == 100
    np.testing.assert_array_equal(key_fingerprint(KEY), key_fingerprint(KEY))
    assert np.all(np.any(marks != 0, axis=1))


@pytest.mark.parametrize("name", ["lbfgs", "lm"])
def test_only_solvers_that_compare_losses_ask_for_keys_that_stay(name: str) -> None:
    assert build(SolverSpec(name)).fixed_objective
    assert not build(SolverSpec("adam")).fixed_objective


@pytest.mark.parametrize("name", ["lbfgs", "lm"])
def test_progress_continues_when_the_function_changes(name: str) -> None:
    _, seen = wandering(build(SolverSpec(name)), steps=120, span=10, shift=0.05)
    losses = np.asarray(seen.loss)
    assert not np.any(seen.failed)
    # The first evaluation of a function is far from its minimum, the last one is not.
    late = losses.reshape(12, 10)[6:]
    assert np.all(late.min(1) < 1e-2 * losses[0])
    assert np.median(late.min(1) / late[:, 0]) < 0.1


def test_no_pair_mixes_two_functions() -> None:
    """Of a quadratic, every change of the gradient is 2 x scales x the step, for any minimum."""
    states, _ = wandering(build(SolverSpec("lbfgs")), steps=60, span=6, shift=1.0)
    inner = states.inner
    steps, changes, used = (np.asarray(inner.steps), np.asarray(inner.changes), inner.rho > 0)
    assert np.sum(used) > 100
    np.testing.assert_allclose(changes[used], (2 * SCALES * steps)[used], rtol=1e-2, atol=1e-4)


def test_the_point_is_accepted_where_the_function_changes() -> None:
    solver = build(SolverSpec("lbfgs"))

    def fn(u: Array, key: Array) -> tuple[Array, Any]:
        return jnp.sum(jnp.square(u)) + 1e3 * jax.random.uniform(key), {}

    state = solver.init(jnp.ones(2))
    step = jax.jit(lambda key, state: solver.step(key, fn, state, jnp.zeros(())))
    values = {float(fn(jnp.zeros(2), jax.random.fold_in(KEY, i))[0]): i for i in range(8)}
    for rising in sorted(values):  # every function lies higher than the one before
        state, seen = step(jax.random.fold_in(KEY, values[rising]), state)
        assert state.inner.loss == seen.loss
    assert np.sum(state.inner.rho > 0) == 0, "no two evaluations were of one function"


@pytest.mark.parametrize("name", ["lbfgs", "lm"])
def test_a_point_that_is_not_finite_under_a_new_key_is_left(name: str) -> None:
    solver = build(SolverSpec(name))

    def fn(u: Array, key: Array) -> tuple[Array, Any]:
        edge = jnp.where(jax.random.uniform(key) > 0.5, 0.6, 0.0)
        return jnp.where(u[0] >= edge, jnp.sum(jnp.square(u - 0.7)), jnp.nan), {}

    def body(state: Any, step: Array) -> Any:
        return solver.step(jax.random.fold_in(KEY, step // 8), fn, state, jnp.zeros(()))

    state, seen = jax.jit(lambda u: jax.lax.scan(body, solver.init(u), jnp.arange(80)))(
        jnp.asarray([1.5, 0.0])
    )
    assert not np.any(seen.failed)
    assert np.nanmin(seen.loss) < 1e-6
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.point))


@pytest.mark.parametrize("name", ["lbfgs", "lm"])
def test_w_may_be_jittered(name: str) -> None:
    shaken = Jitter(0.02, Schedule("quadratic_decay"))
    made = preset(one(Variable("w"), solver=SolverSpec(name), jitter=shaken, steps=100))
    found = invert(made, targets(2))
    assert found.status == ("ok", "ok")
    assert np.all(found.loss < 0.2 * found.losses[:, 0, 0])
    still = invert(preset(one(Variable("w"), solver=SolverSpec(name), steps=100)), targets(2))
    assert np.all(found.loss < 1.5 * still.loss)


# --- Levenberg-Marquardt --------------------------------------------------------------------------


def test_products_are_those_of_gauss_and_newton_or_of_the_hessian() -> None:
    problem, at, along = two_layers(), jnp.asarray([0.3, -0.2, 0.6, 0.1]), jnp.arange(1.0, 5.0)
    assert isinstance(problem.loss, Least)
    residuals, loss = problem.loss.residuals, problem.loss
    jacobian = jax.jacobian(residuals)(at)
    solving, asking = jnp.ones((), bool), jnp.zeros((), bool)
    fn = objective(loss)
    found = measure(fn, at, KEY, along, solving)
    np.testing.assert_allclose(found.product, 2 * jacobian.T @ (jacobian @ along), rtol=1e-4)
    found = measure(fn, at, KEY, along, asking)
    np.testing.assert_allclose(found.gradient, jax.grad(loss)(at), rtol=1e-4)
    np.testing.assert_allclose(found.loss, loss(at), rtol=1e-5)
    curved = rosenbrock()
    at, along = jnp.asarray([-1.2, 1.0]), jnp.asarray([0.5, -2.0])
    found = measure(objective(curved.loss), at, KEY, along, solving)
    np.testing.assert_allclose(found.product, jax.hessian(curved.loss)(at) @ along, rtol=1e-4)
    np.testing.assert_allclose(found.gradient, jax.grad(curved.loss)(at), rtol=1e-5)


def test_a_linear_problem_is_solved_to_rounding() -> None:
    """In float64, after as many products as there are unknowns and three trials."""
    with jax.enable_x64(True):
        draws = np.random.default_rng(0)
        matrix, solution = draws.standard_normal((40, 8)), draws.standard_normal(8)
        fixed, wanted = jnp.asarray(matrix), jnp.asarray(matrix @ solution)
        loss = Least(lambda u: fixed @ u - wanted)
        options = Options(products=8, damping=1e-9, forcing=1e-12)
        _, seen = run(levenberg_marquardt(options), loss, jnp.zeros(8), 28)
        best = np.asarray(seen.u)[np.argmin(seen.loss)]
    assert np.linalg.norm(best - solution) < 1e-12 * np.linalg.norm(solution)


def test_accepted_losses_never_rise_and_products_do_not_move() -> None:
    states, seen = [], []
    solver, problem = build(SolverSpec("lm")), rosenbrock()
    fn = objective(problem.loss)
    step = jax.jit(lambda state: solver.step(KEY, fn, state, jnp.zeros(())))
    state = solver.init(problem.start)
    for _ in range(130):
        state, evaluated = step(state)
        states.append(state)
        seen.append(evaluated)
    losses = np.asarray([state.loss for state in states])
    assert np.all(np.diff(losses) <= 0)
    assert losses[-1] < 1e-6
    for before, evaluated in zip(states, seen[1:], strict=False):
        if before.solving:  # a product is made, and reported, at the point that is held
            np.testing.assert_array_equal(evaluated.u, before.x)
            np.testing.assert_allclose(evaluated.loss, before.loss, rtol=1e-6)
    assert {bool(state.solving) for state in states} == {True, False}


def test_negative_curvature_is_left_downhill() -> None:
    def saddle(u: Array) -> Array:
        return u[0] ** 2 - u[1] ** 2 + 0.25 * u[1] ** 4

    _, seen = run(build(SolverSpec("lm")), saddle, jnp.asarray([0.5, 0.01]), 60)
    best = np.asarray(seen.u)[np.argmin(seen.loss)]
    np.testing.assert_allclose(np.abs(best), [0.0, np.sqrt(2.0)], atol=1e-3)


def test_lanes_do_not_touch_each_other() -> None:
    problem, solver = linear_generator(), build(SolverSpec("lm"))
    cliff = jnp.asarray([1e6, 0.0])

    def lanes(height: Array) -> Array:
        def lane(high: Array) -> Array:
            def loss(u: Array) -> Array:
                wall = high * jnp.any(u != problem.start)
                return problem.loss(u) + wall

            return run(solver, loss, problem.start, 40)[1].loss

        return jax.vmap(lane)(height)

    beside, alone = lanes(cliff), lanes(jnp.zeros(2))
    np.testing.assert_array_equal(beside[1], alone[1])
    assert np.min(beside[0]) == beside[0][0]
