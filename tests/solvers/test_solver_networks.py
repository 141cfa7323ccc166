"""The solver zoo on networks that other people trained; skipped where their weights are not.

The steps run one by one, and the solvers share the compiled gradient of the network, which takes
far longer to compile than any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.solvers.base import LeastSquares, Solver
from jaxinv.solvers.registry import build
from jaxinv.types import Array
from tests.problems import faces, photographs, pixels
from tests.solvers.test_solvers import SOLVERS
from tests.tiers import mostly_slow
from tests.tiny import Pair

KEY = jax.random.key(0)
TRIAL = 12  # evaluations that "lm" takes to its first trial: a gradient and ten products before
# The first line of the zoo for every solver: the large network is slow.
FIRST = {spec.name: name for name, (spec, _) in reversed(SOLVERS.items())}


@lru_cache
def self_inversion(load: Callable[[], Pair], size: int) -> tuple[LeastSquares, Array]:
    """Pixels of a picture that the generator drew itself, as a function of z, and a start."""
    pair = load()
    z = np.random.default_rng(7).standard_normal((2, pair[0].spec.z_dim)).astype(np.float32)
    drawn = jax.jit(lambda code: pair[0].synthesize(pair[1], {"z": code}, size))
    residuals = jax.jit(pixels(pair, "z", drawn(jnp.asarray(z[0]))).residuals)

    def given(u: Array, key: Array) -> tuple[Array, Any]:
        del key
        return residuals(u), {}

    return LeastSquares(given), jnp.asarray(0.5 * z[0] + 0.5 * z[1])


def losses(name: str, load: Callable[[], Pair], size: int, steps: int) -> np.ndarray:
    """The loss at every step."""
    fn, start = self_inversion(load, size)
    solver = build(SOLVERS[name][0])
    step = solver.step if name.startswith("lm") else in_two(solver)
    state, found = solver.init(start), []
    for number in range(steps):
        key = KEY if solver.fixed_objective else jax.random.fold_in(KEY, number)
        state, seen = step(key, fn, state, jnp.asarray(number / steps))
        assert not seen.failed
        found.append(float(seen.loss))
    return np.asarray(found)


def in_two(solver: Solver) -> Callable[..., Any]:
    """The step of a solver in two programs, between which the network's own is run.

    The first says where the loss is wanted, the second is told the loss and its gradient there.
    """

    @jax.jit
    def where(key: Array, state: Any, progress: Array) -> Array:
        return solver.step(key, lambda u, key: (jnp.sum(u), {}), state, progress)[1].u

    @jax.jit
    def go(key: Array, state: Any, progress: Array, value: Any) -> Any:
        def told(u: Array, key: Array) -> tuple[Array, Any]:
            del key
            (loss, aux), gradient = value
            return loss + jnp.vdot(gradient, u - jax.lax.stop_gradient(u)), aux

        return solver.step(key, told, state, progress)

    def step(key: Array, fn: LeastSquares, state: Any, progress: Array) -> Any:
        found = jax.value_and_grad(fn, has_aux=True)(where(key, state, progress), key)
        return go(key, state, progress, found)

    return step


@pytest.mark.parametrize("name", SOLVERS)
def test_faces_of_32_px(name: str) -> None:
    found = losses(name, faces, 32, 40)
    most = {"first": 0.5, "second": 0.2, "blind": 0.95, "chance": 1.0, "chain": 0.95}
    assert np.all(np.isfinite(found))
    assert found.min() <= most[SOLVERS[name][1]] * found[0]


@pytest.mark.parametrize("name", mostly_slow(sorted(FIRST.values()), ("lbfgs",)))
def test_photographs_at_256_px(name: str) -> None:
    kind = SOLVERS[name][1]
    found = losses(name, photographs, 256, TRIAL if name == "lm" else 3)
    assert np.all(np.isfinite(found))
    if kind in ("first", "second"):
        assert found[1:].min() < found[0]
