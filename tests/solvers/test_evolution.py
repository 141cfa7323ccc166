"""Solvers that look only at losses: exact answers, generations, and what they need."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.solvers import evolution as module
from jaxinv.solvers.evolution import MOST, STRATEGIES, find, population, size_for
from jaxinv.solvers.random_search import draws
from jaxinv.solvers.registry import build
from jaxinv.specs import SolverSpec, Variable
from jaxinv.types import Array
from tests.engine import one, preset, targets
from tests.engine import run as invert
from tests.problems import ill_conditioned, quadratic
from tests.solvers.test_solvers import KEY, run
from tests.tiers import mostly_slow

pytestmark = pytest.mark.usefixtures("quick_compilation")
BLIND = (*STRATEGIES, "one-plus-one", "random")


# --- exact answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cma", "sep-cma", "one-plus-one"])
def test_a_quadratic_is_solved(name: str) -> None:
    problem = quadratic()
    _, seen = run(build(SolverSpec(name, 0.5)), problem.loss, problem.start, 1200)
    gaps = np.asarray(seen.loss) - problem.least
    assert gaps.min() <= 1e-6 * gaps[0]


def test_cma_learns_axes_that_its_diagonal_form_cannot() -> None:
    scales, n = jnp.logspace(-3, 0, 6), 6
    turn = jnp.linalg.qr(jax.random.normal(KEY, (n, n)))[0]

    def turned(u: Array) -> Array:
        return 0.5 * jnp.sum(scales * jnp.square(turn @ u))

    full, diagonal = (
        np.asarray(run(population(name, 0.5), turned, jnp.ones(n), 900)[1].loss).min()
        for name in ("cma", "sep-cma")
    )
    assert full < 1e-3 * diagonal


def test_differential_evolution_and_swarms_arrive_in_time() -> None:
    problem = quadratic()
    for name in ("de", "pso"):
        _, seen = run(population(name, 1.0, 16), problem.loss, problem.start, 1200)
        gaps = np.asarray(seen.loss) - problem.least
        assert gaps.min() <= 1e-2 * gaps[0], name


# --- generations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_start_is_scattered_and_a_generation_is_told_when_it_is_complete(name: str) -> None:
    size, start = 8, jnp.asarray([3.0, -1.0, 2.0, 0.5])
    solver = population(name, 0.25, size)

    def fn(u: Array, key: Array) -> tuple[Array, dict]:
        del key
        return jnp.sum(jnp.square(u)), {}

    step = jax.jit(lambda key, state: solver.step(key, fn, state, jnp.zeros(())))
    state, points, kept = solver.init(start), [], []
    for number in range(2 * size):
        state, seen = step(jax.random.fold_in(KEY, number), state)
        points.append(np.asarray(seen.u))
        kept.append(int(state.inner.generation_counter))
    assert kept == [0] * (size - 1) + [1] * size + [2]
    first = np.stack(points[:size])
    np.testing.assert_array_equal(first[0], start)
    spread = np.abs(first[1:] - first[0])
    assert 0 < spread.max() < 4 * 0.25
    assert len(np.unique(first, axis=0)) == size
    # What evosax itself makes of the first generation, under the key of its last step.
    strategy = find(name, 4, size)
    told, asked = jax.random.split(jax.random.fold_in(jax.random.fold_in(KEY, size - 1), 1))
    inner = solver.init(start).inner
    losses = jnp.sum(jnp.square(first), axis=1)
    inner = strategy.algorithm.tell(told, first, losses, inner, strategy.params)[0]
    expected = strategy.algorithm.ask(asked, inner, strategy.params)[0]
    np.testing.assert_allclose(np.stack(points[size:]), expected, rtol=1e-4, atol=1e-5)


def test_sizes_follow_the_number_of_unknowns() -> None:
    assert [size_for(n) for n in (2, 10, 100, 512)] == [6, 10, 17, 22]
    assert population("cma", 0.1).init(jnp.ones(10)).candidates.shape == (10, 10)
    assert population("cma", 0.1, 5).init(jnp.ones(10)).candidates.shape == (5, 10)


def test_one_draw_in_five_succeeds() -> None:
    problem = ill_conditioned()
    _, seen = run(draws(1.0, adapt=True), problem.loss, problem.start, 1000)
    losses = np.asarray(seen.loss)
    best = np.minimum.accumulate(losses)
    succeeded = losses[1:] <= best[:-1]
    assert abs(np.mean(succeeded[200:]) - 0.2) < 0.05


def test_random_search_draws_from_one_normal_distribution() -> None:
    _, seen = run(draws(0.5, adapt=False), jnp.sum, jnp.asarray([1.0, -3.0]), 4000)
    np.testing.assert_allclose(np.mean(seen.u, axis=0), [1.0, -3.0], atol=0.05)
    np.testing.assert_allclose(np.cov(seen.u.T), 0.25 * np.eye(2), atol=0.02)


# --- no gradients, and losses that are not numbers ------------------------------------------------


@pytest.mark.parametrize("name", BLIND)
def test_no_gradient_is_asked_for(name: str) -> None:
    @jax.custom_vjp
    def closed(u: Array) -> Array:
        return jnp.sum(jnp.square(u))

    def refuse(*_: Any) -> Any:
        raise AssertionError("differentiated")

    closed.defvjp(refuse, refuse)
    _, seen = run(build(SolverSpec(name, 0.3)), closed, jnp.ones(3), 12)
    assert np.min(seen.loss) < seen.loss[0]
    with pytest.raises(AssertionError, match="differentiated"):
        run(build(SolverSpec("sgd", 0.3)), closed, jnp.ones(3), 1)


@pytest.mark.parametrize("bad", mostly_slow((np.nan, np.inf, -np.inf), (np.nan,)))
@pytest.mark.parametrize("name", BLIND)
def test_candidates_whose_loss_is_not_finite_are_survived(name: str, bad: float) -> None:
    def loss(u: Array) -> Array:
        return jnp.where(u[0] > 0.2, jnp.sum(jnp.square(u - 0.5)), bad)

    start = jnp.asarray([0.4, 2.0, 2.0])
    state, seen = run(build(SolverSpec(name, 0.3)), loss, start, 150)
    losses = np.asarray(seen.loss)
    finite = np.isfinite(losses)
    assert 0 < np.sum(~finite) < len(losses)
    assert np.all(np.isfinite(seen.u))
    assert not np.any(seen.failed)
    assert np.min(losses[finite]) < 0.8 * losses[0]
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state.point))


@pytest.mark.parametrize("name", BLIND)
def test_a_start_that_is_not_finite_is_lost(name: str) -> None:
    _, seen = run(build(SolverSpec(name)), lambda u: jnp.sum(u) * jnp.nan, jnp.ones(3), 1)
    assert np.all(seen.failed)


# --- in the engine --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cma", "one-plus-one"])
def test_images_do_not_depend_on_their_neighbours(name: str) -> None:
    made = preset(one(Variable("w"), solver=SolverSpec(name, 0.5), steps=120))
    both = invert(made, targets(2), width=2)
    assert both.evaluations.tolist() == [120, 120]
    assert np.all(both.loss < 0.5 * both.losses[:, 0, 0])
    for index in range(2):
        alone = invert(made, targets(2)[index : index + 1])
        np.testing.assert_allclose(both.losses[index], alone.losses[0], rtol=1e-3)


def test_cma_refuses_more_unknowns_than_it_can_hold() -> None:
    solver = population("cma", 0.1)
    with pytest.raises(ValueError, match=f"{MOST + 1} unknowns; allowed: up to {MOST}, or .*sep"):
        jax.eval_shape(solver.init, jnp.ones(MOST + 1))
    jax.eval_shape(population("sep-cma", 0.1).init, jnp.ones(MOST + 1))


# --- the package ----------------------------------------------------------------------------------


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = sys.modules
    monkeypatch.setitem(modules, "evosax", None)
    for name in STRATEGIES:
        with pytest.raises(ValueError, match=r"needs evosax: pip install 'jaxinv\[solvers\]'"):
            module.population(name, 0.1)
    build(SolverSpec("one-plus-one"))


@pytest.mark.parametrize("package", ["evosax.algorithms", "blackjax"])
def test_packages_import_in_silence_and_alone(package: str) -> None:
    lines = [
        "import sys, jaxinv.solvers.registry",
        f"print({package.partition('.')[0]!r} in sys.modules)",
        f"import {package}",
        "print({'torch', 'tensorflow', 'matplotlib', 'dotmap'} & set(sys.modules))",
    ]
    command = [sys.executable, "-W", "error", "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.split("\n")[:2], done.stderr) == (["False", "set()"], "")
