"""What goes with any first-order solver: lookahead, centralised gradients, rates of variables."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.solvers.registry import build
from jaxinv.specs import SolverSpec
from tests.solvers.test_solvers import run

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_lookahead_goes_back_part_of_the_way() -> None:
    """By hand: SGD on a slope of 1, with a rate of 1; every third step half of the way is kept."""
    solver = build(SolverSpec("sgd", 1.0, options=(("lookahead", 3), ("pull", 0.5))))
    _, seen = run(solver, jnp.sum, jnp.zeros(1), 8)
    wanted = [0, -1, -2, -1.5, -2.5, -3.5, -3, -4]
    np.testing.assert_allclose(seen.u[:, 0], wanted)


def test_centralised_gradients_have_no_mean() -> None:
    solver = build(SolverSpec("sgd", 1.0, options=(("centralize", 1),)))
    slope = jnp.asarray([[1.0, 2.0], [3.0, 6.0]])
    _, seen = run(solver, lambda u: jnp.sum(slope * u), jnp.zeros((2, 2)), 2)
    np.testing.assert_allclose(seen.u[1], -(slope - slope.mean(0)))  # outputs lie last
    kernel = jnp.arange(24.0).reshape(2, 3, 2, 2) ** 2
    _, seen = run(solver, lambda u: jnp.sum(kernel * u), jnp.zeros(kernel.shape), 2)
    np.testing.assert_allclose(seen.u[1], -(kernel - kernel.mean((0, 1, 2))), rtol=1e-5)
    bias = jnp.asarray([1.0, 2.0])
    _, seen = run(solver, lambda u: jnp.sum(bias * u), jnp.zeros(2), 2)
    np.testing.assert_allclose(seen.u[1], -bias)


def test_a_variable_may_have_a_rate_of_its_own() -> None:
    solver = build(SolverSpec("adam", 0.1), rates=(("noise", 0.25),))
    _, seen = run(
        solver,
        lambda u: u["w"] ** 2 + u["noise"] ** 2,
        dict.fromkeys(("w", "noise"), jnp.ones(())),
        2,
    )
    moved = {name: 1 - seen.u[name][1] for name in seen.u}
    np.testing.assert_allclose(moved["noise"], 0.25 * moved["w"], rtol=1e-4)
    with pytest.raises(ValueError, match="'lbfgs' takes no rates"):
        build(SolverSpec("lbfgs"), rates=(("w", 2.0),))
