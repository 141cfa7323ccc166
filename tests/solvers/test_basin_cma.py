"""Populations over basins: what is told to the strategy, and of which point."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxinv.solvers.basin_cma import BASINS, Options, basin
from jaxinv.solvers.evolution import find
from jaxinv.solvers.registry import build
from jaxinv.specs import SolverSpec, Variable
from jaxinv.types import Array
from tests.engine import one, preset, targets
from tests.engine import run as invert
from tests.solvers.test_solvers import KEY, run

pytestmark = pytest.mark.usefixtures("quick_compilation")
SIZE, INNER = 4, 3
START = jnp.asarray([3.0, -1.0, 2.0, 0.5])


def bumpy(u: Array) -> Array:
    """A bowl whose bottom is the best of many basins."""
    return jnp.sum(0.1 * jnp.square(u) + 1 - jnp.cos(3 * u))


def history(name: str, steps: int) -> tuple[list[Any], list[Any]]:
    """States after, and evaluations of, every step."""
    solver = basin(name, 0.25, Options(SIZE, INNER, 0.1))

    def fn(u: Array, key: Array) -> tuple[Array, dict]:
        del key
        return bumpy(u), {}

    step = jax.jit(lambda key, state: solver.step(key, fn, state, jnp.zeros(())))
    state, states, seen = solver.init(START), [], []
    for number in range(steps):
        state, evaluated = step(jax.random.fold_in(KEY, number), state)
        states.append(state)
        seen.append(evaluated)
    return states, seen


@pytest.mark.parametrize("name", BASINS)
def test_the_refined_loss_is_told_of_the_proposal_before_refinement(name: str) -> None:
    generation = SIZE * (INNER + 1)
    states, seen = history(name, 2 * generation)
    points = np.stack([evaluated.u for evaluated in seen]).reshape(2, SIZE, INNER + 1, 4)
    losses = np.stack([evaluated.loss for evaluated in seen]).reshape(2, SIZE, INNER + 1)
    proposals, refined = points[0, :, 0], losses[0, :, -1]
    np.testing.assert_array_equal(proposals[0], START)
    assert np.all(refined < losses[0, :, 0])
    # What evosax itself makes of it, under the key of the last step of the generation.
    before = states[generation - 2].outer
    np.testing.assert_array_equal(before.candidates, proposals)
    np.testing.assert_array_equal(before.losses[:-1], refined[:-1])
    strategy = find(name.removeprefix("basin-"), 4, SIZE)
    told, asked = jax.random.split(jax.random.fold_in(jax.random.fold_in(KEY, generation - 1), 1))
    inner = strategy.algorithm.tell(told, proposals, refined, before.inner, strategy.params)[0]
    expected = strategy.algorithm.ask(asked, inner, strategy.params)[0]
    np.testing.assert_allclose(points[1, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_proposal_is_refined_by_adam_from_a_fresh_state() -> None:
    _, seen = history("basin-cma", 2 * (INNER + 1))
    adam = optax.adam(0.1)
    for first in (0, INNER + 1):
        u = seen[first].u
        state = adam.init(u)
        for number in range(1, INNER + 1):
            update, state = adam.update(jax.grad(bumpy)(u), state, u)
            u = u + update
            np.testing.assert_allclose(seen[first + number].u, u, atol=1e-5)


def test_it_finds_a_basin_that_adam_alone_does_not() -> None:
    options = (("population", 8), ("inner", 10), ("inner_rate", 0.1))
    _, seen = run(build(SolverSpec("basin-cma", 2.0, options=options)), bumpy, START, 1500)
    _, alone = run(build(SolverSpec("adam", 0.1)), bumpy, START, 1500)
    assert np.min(seen.loss) < 0.2 * np.min(alone.loss)


def test_a_refinement_that_diverges_is_the_worst_of_its_generation() -> None:
    def loss(u: Array) -> Array:
        return jnp.where(u[0] > 0.5, jnp.sum(jnp.square(u - 1)), jnp.nan)

    options = (("population", 4), ("inner", 4), ("inner_rate", 0.1))
    spec = SolverSpec("basin-cma", 0.5, options=options)
    _, seen = run(build(spec), loss, jnp.asarray([0.8, 2.0]), 400)
    finite = np.isfinite(seen.loss)
    assert 0 < np.sum(~finite) < 200
    assert not np.any(seen.failed)
    assert np.min(np.asarray(seen.loss)[finite]) < 1e-3
    _, lost = run(build(spec), lambda u: jnp.sum(u) * jnp.nan, jnp.ones(2), 1)
    assert np.all(lost.failed)


def test_images_do_not_depend_on_their_neighbours() -> None:
    options = (("population", 4), ("inner", 9), ("inner_rate", 0.1))
    spec = SolverSpec("basin-sep-cma", 0.3, options=options)
    made = preset(one(Variable("w"), solver=spec, steps=80))
    both = invert(made, targets(2), width=2)
    assert np.all(both.loss < 0.5 * both.losses[:, 0, 0])
    alone = invert(made, targets(2)[1:])
    np.testing.assert_allclose(both.losses[1], alone.losses[0], rtol=1e-3)
