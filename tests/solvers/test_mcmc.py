"""Markov chains: exact distributions, acceptance, single leaps, and which point is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blackjax.mcmc.integrators import IntegratorState, velocity_verlet
from blackjax.mcmc.metrics import default_metric

from jaxinv.inversion.presets import with_steps
from jaxinv.models.rendering import render
from jaxinv.presets import PRESETS
from jaxinv.solvers.mcmc import Options, hmc, sgld
from jaxinv.solvers.registry import build
from jaxinv.specs import Schedule, SolverSpec, Variable
from jaxinv.types import Array
from tests.engine import one, preset, targets
from tests.engine import run as invert
from tests.solvers.test_solvers import KEY, run
from tests.tiny import linear

pytestmark = pytest.mark.usefixtures("quick_compilation")
LANES = 64
MEAN = jnp.asarray([1.0, -2.0, 0.5])
COVARIANCE = jnp.asarray([[1.0, 0.5, 0.0], [0.5, 0.8, -0.2], [0.0, -0.2, 0.4]])


def gaussian(u: Array) -> Array:
    """-log density of a correlated normal distribution, up to a constant."""
    away = u - MEAN
    return 0.5 * away @ jnp.linalg.inv(COVARIANCE) @ away


def chain(spec: SolverSpec, loss: Callable[[Array], Array], start: Array, steps: int) -> Any:
    """States [lanes, steps, ...] of many chains from one start."""
    solver = build(spec)

    def fn(u: Array, key: Array) -> tuple[Array, dict]:
        del key
        return loss(u), {}

    def lane(key: Array) -> Any:
        def body(state: Any, step: Array) -> Any:
            state = solver.step(jax.random.fold_in(key, step), fn, state, step / steps)[0]
            return state, state

        return jax.lax.scan(body, solver.init(start), jnp.arange(steps))[1]

    return jax.jit(jax.vmap(lane))(jax.random.split(KEY, LANES))


def close_to(values: np.ndarray, expected: Any) -> None:
    """Per-lane estimates [lanes, ...] whose mean is `expected` within 4.5 standard errors."""
    error = values.std(0, ddof=1) / np.sqrt(len(values))
    assert np.max(error) < 0.06
    assert np.all(np.abs(values.mean(0) - expected) < 4.5 * error)


# --- distributions --------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.25])
@pytest.mark.parametrize(("name", "rate", "leapfrog_steps"), [("hmc", 0.35, 5), ("mala", 0.6, 1)])
def test_samples_have_the_mean_and_covariance_of_the_gaussian(
    name: str, rate: float, leapfrog_steps: int, temperature: float
) -> None:
    options = (
        ("temperature", temperature),
        *((("leapfrog_steps", leapfrog_steps),) if leapfrog_steps > 1 else ()),
    )
    states = chain(
        SolverSpec(name, rate, options=options), gaussian, MEAN + 1.0, 1500 * leapfrog_steps
    )
    samples = np.asarray(states.sample.x)[:, 200 * leapfrog_steps :: leapfrog_steps].astype(
        np.float64
    )
    close_to(samples.mean(1), MEAN)
    away = samples - np.asarray(MEAN)
    close_to(np.einsum("ski,skj->sij", away, away) / away.shape[1], temperature * COVARIANCE)


def test_langevin_samples_have_the_variance_of_their_own_recursion() -> None:
    scales, temperature, h = jnp.asarray([0.5, 2.0]), 0.3, 0.2
    spec = SolverSpec("sgld", h, options=(("temperature", temperature),))
    states = chain(spec, lambda u: 0.5 * jnp.sum(scales * jnp.square(u)), jnp.zeros(2), 2000)
    samples = np.asarray(states.u)[:, 100:].astype(np.float64)
    close_to(samples.mean(1), 0.0)
    # x' = (1 - h s) x + sqrt(2 h T) n has the variance 2 h T / (1 - (1 - h s)^2).
    close_to(np.square(samples).mean(1), temperature / (scales * (1 - h * scales / 2)))


# --- acceptance -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "target"), [("hmc", 0.65), ("hmc", 0.9), ("mala", 0.574)])
@pytest.mark.parametrize("rate", [0.01, 1.0])
def test_the_leap_is_adapted_to_the_target(name: str, target: float, rate: float) -> None:
    options = (
        ("warmup", 1500),
        ("target", target),
        *((("leapfrog_steps", 5),) if name == "hmc" else ()),
    )
    spec = SolverSpec(name, rate, options=options)
    scales = jnp.linspace(1.0, 3.0, 20)
    states = chain(spec, lambda u: 0.5 * jnp.sum(scales * jnp.square(u)), jnp.ones(20), 2000)
    ended, accepted = np.asarray(states.ended)[:, -1], np.asarray(states.accepted)[:, -1]
    assert np.all(ended == {"hmc": 100, "mala": 500}[name])
    assert abs(np.mean(accepted / ended) - target) < 0.04
    after = np.asarray(states.length)[:, 1510:]
    assert np.all(after.max(1) <= {"hmc": 1.2 / 0.8, "mala": 1.0}[name] * after.min(1) * 1.001)


def test_other_steps_keep_the_share_of_the_warm_up() -> None:
    (stage,) = with_steps(PRESETS["hmc"], 450).stages
    assert (stage.steps, dict(stage.solver.options)["warmup"]) == (450, 300)
    (other,) = with_steps(PRESETS["z"], 50).stages
    assert other.solver == PRESETS["z"].stages[0].solver


def test_without_warm_up_the_rate_is_the_length_of_a_leap() -> None:
    assert np.all(chain(SolverSpec("mala", 0.2), gaussian, MEAN, 25).length == np.float32(0.2))
    varied = np.asarray(chain(SolverSpec("hmc", 0.2), gaussian, MEAN, 25).length)
    assert 0.16 <= varied.min() < 0.17 < 0.23 < varied.max() <= 0.24
    assert np.all(varied[:, 1:10] == varied[:, :1]), "within a trajectory they are equal"


def test_a_mode_whose_period_fits_the_trajectory_is_left() -> None:
    rate = np.pi / 10  # ten leaps of a unit oscillator are half a period: u becomes -u
    states = chain(SolverSpec("hmc", rate), lambda u: 0.5 * u @ u, jnp.full(1, 3.0), 4000)
    close_to(np.square(states.sample.x)[:, 500:, 0].mean(1), 1.0)


# --- trajectories ---------------------------------------------------------------------------------


def test_leaps_are_those_of_blackjax() -> None:
    temperature, rate, leapfrog_steps = 0.5, 0.3, 4
    options = Options(leapfrog_steps=leapfrog_steps, temperature=temperature)
    state, seen = run(
        hmc("hmc", options, rate, Schedule()), gaussian, MEAN + 1.0, leapfrog_steps + 1
    )
    first, _ = run(hmc("hmc", options, rate, Schedule()), gaussian, MEAN + 1.0, 1)
    rate = float(first.length)
    momentum = first.momentum + 0.5 * rate * first.sample.gradient
    # The chain on loss / T, with momenta of unit variance and leaps that are sqrt(T) times as long.
    root = np.sqrt(temperature)

    def density(x: Array) -> Array:
        return -gaussian(x) / temperature

    leap = velocity_verlet(density, default_metric(jnp.ones(3)).kinetic_energy)
    value, gradient = jax.value_and_grad(density)(MEAN + 1.0)
    at: Any = IntegratorState(MEAN + 1.0, momentum / root, value, gradient)
    for number in range(1, leapfrog_steps + 1):
        at = leap(at, rate * root)
        np.testing.assert_allclose(seen.u[number], at.position, rtol=1e-4, atol=1e-5)
    taken = np.asarray(seen.accepted)
    assert taken.tolist() == [True] + [False] * (leapfrog_steps - 1) + [bool(state.accepted > 0.5)]
    np.testing.assert_allclose(state.sample.x, seen.u[-1] if taken[-1] else MEAN + 1.0)


def test_a_schedule_anneals_the_temperature() -> None:
    def ends(schedule: Schedule) -> np.ndarray:
        spec = SolverSpec("hmc", 0.3, schedule, (("leapfrog_steps", 5),))
        return np.asarray(chain(spec, gaussian, MEAN + 1.0, 501).sample.loss)[:, -1]

    assert ends(Schedule("cosine")).mean() < 0.15 * ends(Schedule()).mean()


def test_a_temperature_of_zero_only_goes_down() -> None:
    spec = SolverSpec("mala", 0.3, Schedule("quadratic_decay", until=0.25))
    losses = np.asarray(chain(spec, gaussian, MEAN + 1.0, 200).sample.loss)
    assert np.all(np.diff(losses[:, 60:]) <= 0)
    assert np.any(np.diff(losses[:, :40]) > 0)


# --- losses that are not numbers ------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("leapfrog_steps", [1, 3])
def test_a_trajectory_that_leaves_the_numbers_ends_there(bad: float, leapfrog_steps: int) -> None:
    def loss(u: Array) -> Array:
        return jnp.where(u[0] > 0.0, jnp.sum(jnp.square(u)), bad)

    solver = hmc("hmc", Options(leapfrog_steps=leapfrog_steps), 0.4, Schedule())
    state, seen = run(solver, loss, jnp.asarray([0.5, 0.5]), 200)
    finite = np.isfinite(seen.loss)
    assert 10 < np.sum(~finite) < 190
    assert not np.any(seen.failed)
    assert not np.any(seen.accepted & ~finite)
    assert np.all(np.isfinite(seen.u))
    assert np.isfinite(state.sample.loss)
    assert len(np.unique(np.asarray(seen.u)[seen.accepted], axis=0)) > 10, "the chain goes on"


@pytest.mark.parametrize("name", ["hmc", "mala", "sgld"])
def test_a_start_that_is_not_finite_is_lost(name: str) -> None:
    _, seen = run(build(SolverSpec(name)), lambda u: jnp.sum(u) * jnp.nan, jnp.ones(2), 1)
    assert np.all(seen.failed)


# --- in the engine --------------------------------------------------------------------------------


@lru_cache
def kept(keep: str, name: str, steps: int) -> Any:
    options = (
        (("leapfrog_steps", 4), ("temperature", 1e-3))
        if name == "hmc"
        else (("temperature", 1e-3),)
    )
    solver = SolverSpec(name, 0.2, options=options)
    return invert(preset(one(Variable("w"), solver=solver, steps=steps, keep=keep)), targets(1))


@pytest.mark.parametrize("name", ["hmc", "mala", "sgld"])
def test_the_best_point_or_the_last_sample_is_kept(name: str) -> None:
    steps = 4 * 6 + 1 + 2  # two leaps into the seventh trajectory
    best, last = kept("best", name, steps), kept("last", name, steps)
    np.testing.assert_array_equal(best.losses, last.losses)
    (curve,) = best.losses[0]
    assert best.loss[0] == np.min(curve)
    assert last.loss[0] in curve
    if name == "hmc":
        assert np.flatnonzero(curve == last.loss[0])[0] % 4 == 0, "the end of a trajectory"
    if name == "sgld":
        assert last.loss[0] == curve[-1]
    for found in (best, last):
        drawn = render(*linear(), found.latents)
        np.testing.assert_allclose(np.mean((drawn - targets(1)) ** 2), found.loss[0], rtol=1e-4)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = sys.modules
    monkeypatch.setitem(modules, "blackjax", None)
    makers = [partial(build, SolverSpec(name)) for name in ("hmc", "mala", "sgld")]
    for make in [*makers, lambda: sgld(1.0, 0.1, Schedule())]:
        with pytest.raises(ValueError, match=r"needs blackjax: pip install 'jaxinv\[solvers\]'"):
            make()
