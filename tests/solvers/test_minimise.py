"""A solver alone: the zoo crossed with the problems, lanes, failures, and what is refused."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import jaxinv
from jaxinv.solvers.base import Evaluation, LeastSquares, Solver
from jaxinv.solvers.minimise import Minimum, minimise
from jaxinv.solvers.registry import build
from jaxinv.specs import Schedule, SolverSpec
from jaxinv.specs.vocabulary import SOLVERS as SOLVER_NAMES
from jaxinv.types import Array, Tree
from tests.problems import PROBLEMS, Problem, objective
from tests.solvers.test_solvers import KEY, SOLVERS, run, valley
from tests.tiers import mostly_slow

pytestmark = pytest.mark.usefixtures("quick_compilation")
# The first line of the zoo for every name; with its rate there, "sgd" is lost from other starts.
SPECS = {spec.name: spec for spec, _ in reversed(SOLVERS.values())}
SPECS["sgd"] = SolverSpec("sgd", 0.1)
OFFSET = 0.1  # of the second start
STARTS = jnp.asarray([[-1.2, 1.0], [0.5, 0.5], [2.0, -1.0]])


def beside(start: Tree, offset: float) -> Tree:
    """Two starts: the one given, and another."""
    return jax.tree.map(lambda a: jnp.stack([a, a + offset]), start)


def lane(found: Minimum, index: int) -> Minimum:
    return jax.tree.map(lambda leaf: leaf[index], found)


def same(one: Tree, other: Tree) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


# --- every solver on every problem ----------------------------------------------------------------


# The solver zoo of `test_solvers.py` crosses the same solvers with the same problems.
@pytest.mark.parametrize(
    "make", mostly_slow(PROBLEMS, fast=PROBLEMS[:2]), ids=lambda make: make.__name__
)
@pytest.mark.parametrize("name", SPECS)
def test_every_solver_on_every_problem(name: str, make: Callable[[], Problem]) -> None:
    problem, steps = make(), 25
    found = minimise(problem.loss, SPECS[name], beside(problem.start, OFFSET), steps)
    assert found.losses.shape == (2, steps)
    assert found.evaluations.tolist() == [steps] * 2
    assert not np.any(found.failed)
    for index, start in enumerate((0.0, OFFSET)):
        one = lane(found, index)
        first = problem.loss(jax.tree.map(lambda a, start=start: a + start, problem.start))
        np.testing.assert_allclose(one.losses[0], first, rtol=1e-4)
        np.testing.assert_allclose(one.loss, np.nanmin(one.losses), rtol=1e-6)
        np.testing.assert_allclose(problem.loss(one.u), one.loss, rtol=1e-3, atol=1e-6)
    # The same lane beside another neighbour.
    other = minimise(problem.loss, SPECS[name], beside(problem.start, -0.2), steps)
    same(lane(found, 0), lane(other, 0))
    assert np.any(lane(found, 1).losses != lane(other, 1).losses)


def test_names_are_those_of_the_zoo() -> None:
    assert set(SOLVER_NAMES) == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_one_start_is_as_a_lane_of_a_batch(name: str) -> None:
    keys = jax.random.split(KEY, 3)
    batch = minimise(valley, SPECS[name], STARTS, 40, key=keys, width=1)
    # Outside of a loop over lanes the sums of evosax are rounded differently.
    digits = 1e-3 if name in ("cma", "sep-cma") else 0.0
    for index in (0, 2):
        part = slice(index, index + 1)
        alone = minimise(valley, SPECS[name], STARTS[part], 40, key=keys[part])
        close = partial(np.testing.assert_allclose, rtol=digits, atol=0.01 * digits)
        jax.tree.map(close, lane(alone, 0), lane(batch, index))
    pair = minimise(valley, SPECS[name], STARTS[1:], 40, key=keys[1:], width=1)
    same(lane(pair, 1), lane(batch, 2))


@pytest.mark.parametrize("name", ["adam", "lbfgs", "lm", "cma"])
def test_lanes_side_by_side_are_as_one_after_another(name: str) -> None:
    together, apart = (minimise(valley, SPECS[name], STARTS, 10, width=w) for w in (None, 1))
    np.testing.assert_allclose(together.losses, apart.losses, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "spec", [*SPECS.values(), SolverSpec("adam", 0.1, Schedule("cosine"))], ids=lambda s: s.name
)
def test_steps_are_those_of_the_solver(spec: SolverSpec) -> None:
    """As in the plain loop that the tests of solvers use: keys and progress too."""
    _, seen = run(build(spec), valley, STARTS[0], 40)
    found = minimise(valley, spec, STARTS[:1], 40, key=KEY[None])
    np.testing.assert_allclose(found.losses[0], seen.loss, rtol=1e-4, atol=1e-7)


# --- what it is given -----------------------------------------------------------------------------


def test_the_example_runs() -> None:
    (example,) = doctest.DocTestFinder().find(minimise, globs={})
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
    assert jaxinv.minimise is minimise


def test_a_function_of_u_of_u_and_key_and_one_with_aux_are_alike() -> None:
    def keyed(u: Array, key: Array) -> Array:
        del key
        return valley(u)

    def scaled(u: Array, scale: float = 1.0) -> Array:
        return scale * valley(u)

    plain = minimise(valley, "adam", STARTS, 10)
    for fn in (keyed, scaled, lambda u: (valley(u), {"aux": u}), objective(valley)):
        same(minimise(fn, "adam", STARTS, 10), plain)


@pytest.mark.parametrize("wrapped", [False, True])
def test_residuals_are_used_by_solvers_that_can(wrapped: bool) -> None:
    seen: list[bool] = []

    def step(key: Array, fn: Any, state: Array, progress: Array) -> tuple[Array, Evaluation]:
        vector, aux = fn.residuals(state, key)
        seen.append(vector.shape == (2,))
        return state / 2, Evaluation(state, jnp.vdot(vector, vector), aux, jnp.asarray(False))

    class Plain:
        residuals = staticmethod(lambda u: 2 * u)

    fn = LeastSquares(lambda u, key: (2 * u, ())) if wrapped else Plain()
    found = minimise(fn, Solver(lambda u: u, step), STARTS, 3)
    assert all(seen)
    assert seen
    squares = 4 * np.sum(np.square(STARTS), axis=1)
    np.testing.assert_allclose(found.losses, squares[:, None] / [[1, 4, 16]], rtol=1e-6)
    # Solvers that want a loss get the squared norm.
    np.testing.assert_allclose(minimise(fn, "adam", STARTS, 1).loss, squares, rtol=1e-6)


def test_noise_is_fresh_at_every_step_unless_losses_are_compared() -> None:
    def noisy(u: Array, key: Array) -> Array:
        return jax.random.normal(key) + 0 * jnp.sum(u)

    fresh = np.asarray(minimise(noisy, "sgd", STARTS, 6).losses)
    assert len(np.unique(fresh)) == fresh.size
    fixed = np.asarray(minimise(noisy, "lbfgs", STARTS, 6).losses)
    assert [len(np.unique(row)) for row in fixed] == [1, 1, 1]
    assert len(np.unique(fixed)) == 3
    again = minimise(noisy, "sgd", STARTS, 6, key=jax.random.key(0))
    same(again.losses, fresh)
    assert np.all(minimise(noisy, "sgd", STARTS, 6, key=jax.random.key(1)).losses != fresh)


def test_equal_starts_draw_differently() -> None:
    found = minimise(valley, "random", jnp.ones((2, 2)), 5)
    same(found.losses[0, 0], found.losses[1, 0])
    assert np.all(found.losses[0, 1:] != found.losses[1, 1:])


def test_programs_are_found_again_and_arrays_are_bound() -> None:
    traced: list[int] = []

    def fn(target: Array, u: Array) -> Array:
        traced.append(1)
        return jnp.sum(jnp.square(u - target))

    counts: list[int] = []
    for at in (1.0, 3.0):
        found = minimise(Partial(fn, jnp.full(2, at)), SolverSpec("lbfgs"), STARTS, 20)
        np.testing.assert_allclose(found.u, np.full((3, 2), at), atol=1e-3)
        counts.append(len(traced))
    assert counts[0] == counts[1] > 0


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_a_lane_that_fails_at_its_start_is_frozen_there(name: str) -> None:
    def fn(u: Array) -> Array:
        return jnp.where(u[0] > 5, jnp.nan, 1.0) * jnp.sum(jnp.square(u)) / 4

    starts = STARTS.at[1].set(9.0)
    found = minimise(fn, SPECS[name], starts, 8)
    assert found.failed.tolist() == [False, True, False]
    assert found.evaluations.tolist() == [8, 1, 8]
    assert np.isinf(found.loss[1])
    assert np.all(np.isnan(found.losses[1]))
    np.testing.assert_array_equal(found.u[1], starts[1])
    whole = minimise(fn, SPECS[name], STARTS, 8)
    for index in (0, 2):
        same(lane(found, index), lane(whole, index))


def test_a_lane_that_fails_on_its_way_keeps_its_best_point() -> None:
    def fn(u: Array) -> Array:
        return jnp.where(u[0] < 0.35, jnp.nan, u[0])

    found = minimise(fn, SolverSpec("sgd", 0.1), jnp.asarray([[1.0], [5.0]]), 20)
    assert found.failed.tolist() == [True, False]
    assert found.evaluations.tolist() == [8, 20]
    np.testing.assert_allclose(found.losses[0, :7], np.linspace(1, 0.4, 7), rtol=1e-5)
    assert np.all(np.isnan(found.losses[0, 7:]))
    np.testing.assert_allclose((found.u[0, 0], found.loss[0]), 0.4, rtol=1e-5)
    np.testing.assert_allclose(found.loss[1], 5 - 19 * 0.1, rtol=1e-5)


def test_a_line_search_goes_on_behind_what_is_not_finite() -> None:
    def fn(u: Array) -> Array:
        return jnp.where(u[0] > 0, jnp.square(u[0] - 0.1), jnp.inf)

    found = minimise(fn, "lbfgs", jnp.asarray([[0.9]]), 40)
    assert np.any(np.isinf(found.losses))
    assert not found.failed[0]
    assert found.loss[0] < 1e-8


# --- what is refused ------------------------------------------------------------------------------


def plain(u: Array) -> Array:
    return jnp.sum(u)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"solver": "newton"}, "unknown solver 'newton'; allowed: adam, sgd"),
        ({"solver": "lp"}, "unknown solver 'lp'; allowed: adam, sgd"),
        ({"solver": 3}, "solver 3; allowed: a name, a SolverSpec, a Solver"),
        ({"solver": SolverSpec("lbfgs", options=(("history", 2),)), "steps": 0}, "got 0"),
        ({"steps": 2.5}, "steps must be a whole number of at least 1, got 2.5"),
        ({"u0": jnp.arange(4)}, r"leaves int32\[4\]; allowed: float32\[L, ...\]"),
        ({"u0": 1.0}, r"leaves float32\[\]; allowed"),
        ({"u0": {}}, "leaves nothing; allowed"),
        ({"u0": jnp.ones((0, 2))}, r"leaves float32\[0, 2\]; allowed"),
        ({"u0": (jnp.ones(2), jnp.ones((3, 1)))}, r"float32\[2\], float32\[3, 1\]; allowed"),
        ({"u0": (jnp.ones(2), 1.0)}, r"float32\[2\], float32\[\]; allowed"),
        ({"u0": jnp.ones((2, 3), jnp.bfloat16)}, r"leaves bfloat16\[2, 3\]; allowed"),
        ({"fn": 3}, "fn 3; allowed: a function, an object with residuals"),
        ({"fn": lambda: 0.0}, r"fn takes \(\); allowed: \(u\), \(u, key\)"),
        ({"fn": lambda u, key, t: 0.0}, r"fn takes \(u, key, t\); allowed"),
        ({"fn": lambda u: u}, r"fn returns float32\[3\]; allowed: a float scalar"),
        ({"fn": lambda u: jnp.sum(u) > 0}, r"fn returns bool\[\]; allowed: a float scalar"),
        ({"fn": lambda u: (u[0], u[1], u[2])}, r"returns float32\[\], float32\[\], float32\[\]"),
        ({"fn": lambda u: {}}, "fn returns nothing; allowed"),
        ({"fn": LeastSquares(lambda u, key: (u[0], ()))}, r"float32\[\]; allowed: a float vector"),
        ({"key": 0}, r"key 0; allowed: jax.random.key\(seed\), or 2 such keys"),
        ({"key": jax.random.PRNGKey(0)}, r"key uint32\[2\]; allowed"),
        ({"key": jax.random.split(KEY, 3)}, r"key key<fry>\[3\]; allowed"),
        ({"solver": "cma", "u0": jnp.ones((2, 1100))}, "1100 unknowns; allowed: up to 1024"),
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused(changed: dict[str, Any], message: str) -> None:
    given = {"fn": plain, "solver": "adam", "u0": jnp.ones((2, 3)), "steps": 2, **changed}
    with pytest.raises(ValueError, match=message):
        minimise(**given)


def test_options_are_refused_as_in_presets() -> None:
    with pytest.raises(ValueError, match="option of solver 'adam' 'history'"):
        minimise(plain, SolverSpec("adam", options=(("history", 3),)), jnp.ones((2, 3)), 2)
