"""Natural units: there and back, how a loss curves in them, and a search without a warm-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.curvature import (
    preconditioner,
    shared_directions,
    style_jacobians,
    style_moments,
)
from jaxinv.inversion.initialization import start
from jaxinv.inversion.statistics import with_statistics
from jaxinv.latents.codecs import CURVATURE, to_std_units
from jaxinv.latents.spaces import decode, encode
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import term_value
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs import SolverSpec, Stage, Term, Variable
from tests.engine import MSE, one, preset, run, targets
from tests.tiny import LINEAR, linear, mobile, old, solve_linear, style, third

pytestmark = pytest.mark.usefixtures("quick_compilation")
NATURAL, EIGEN = Variable("w+", codec="preconditioned"), Variable("w+", codec="gradient-axes")
SOLVER = SolverSpec("lbfgs", options=(("history", 20), ("initial_scale", 2.0)))
SEARCH = preset(one(NATURAL, steps=30, solver=SOLVER))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache folder."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))


def measured(**others: Any) -> dict[str, Any]:
    gen, params = linear()
    return with_statistics(gen, params, SEARCH, {}, **others)


def hessian(params: dict[str, Any], variable: Variable) -> np.ndarray:
    """Second derivatives of the mean square of the linear generator's picture by the code."""
    gen, shape = linear()[0], (LINEAR.rows, LINEAR.w_dim)

    def loss(code: Any) -> Any:
        latents = {"w+": decode(params, variable, code.reshape(shape))}
        return jnp.mean(jnp.square(gen.synthesize(params, latents)))

    return np.asarray(jax.hessian(loss)(jnp.zeros(shape[0] * shape[1])), np.float64)


def test_codes_come_back() -> None:
    gen, _ = linear()
    params = measured()
    code = jnp.asarray(np.random.default_rng(0).standard_normal((LINEAR.rows, LINEAR.w_dim)))
    value = decode(params, NATURAL, code.astype(jnp.float32))
    np.testing.assert_allclose(encode(gen, params, NATURAL, {"w+": value}), code, atol=1e-4)


def test_losses_are_curved_alike_in_all_directions() -> None:
    params = measured()
    natural, eigen = (np.linalg.eigvalsh(hessian(params, v)) for v in (NATURAL, EIGEN))
    assert natural[-1] / natural[0] < 0.5 * eigen[-1] / eigen[0]
    assert 0.2 < np.median(natural) < 5.0


@pytest.mark.parametrize("restart", [0, 1])
def test_restarts_begin_standard_deviations_away(restart: int) -> None:
    """As in gradient axes: half a natural unit would be far out where the loss hardly curves."""
    gen, _ = linear()
    params, lane = measured(), (jax.random.key(3), jnp.asarray(restart))
    places = [decode(params, v, start(gen, params, v, {}, lane)) for v in (NATURAL, EIGEN)]
    np.testing.assert_allclose(*places, atol=1e-4)
    assert np.any(places[0] != params[STATISTICS]["mean"]) == bool(restart)


def test_penalties_see_standard_deviations() -> None:
    gen, _ = linear()
    params = measured()
    value = {"w+": jnp.asarray(solve_linear(targets(1)[0], "w+"), jnp.float32)}
    seen = []
    for variable in (NATURAL, EIGEN):
        code = encode(gen, params, variable, value)
        codes = {"w+": to_std_units(params, variable, code)}
        sample = TermInputs(codes, value, jnp.zeros((4, 4, 3)), {})
        seen.append(float(term_value(Term("gaussian", variable="w+"), sample)))
    assert seen[0] == pytest.approx(seen[1], rel=1e-3)


def test_units_are_measured_once_and_kept() -> None:
    said: list[str] = []
    first = measured(report=said.append)
    assert said[0] == "measuring gradients of linear: 24, once"
    before = len(said)
    again = measured(report=said.append)
    assert len(said) == before
    for name, value in first[STATISTICS][CURVATURE].items():
        np.testing.assert_array_equal(again[STATISTICS][CURVATURE][name], value)
    gen, _ = linear()
    assert with_statistics(gen, first, SEARCH, {}) is first
    other = preset(one(EIGEN))
    assert CURVATURE not in with_statistics(gen, linear()[1], other, {})[STATISTICS]


def test_ridges_are_found_where_rows_pull_together() -> None:
    draws = np.random.default_rng(0)
    direction = draws.standard_normal((3, 5))
    direction /= np.linalg.norm(direction)
    alone = draws.standard_normal((400, 3, 5))
    together = 30 * draws.standard_normal((400, 1, 1)) * direction
    found = preconditioner(alone + together, np.stack([np.eye(5)] * 3))
    ridge = np.asarray(found["shared_directions"][0]) * np.asarray(1 / found["step_scale"]) ** 2
    cosine = np.sum(ridge * direction) / np.linalg.norm(ridge)
    assert abs(cosine) > 0.95
    assert float(found["step_excess"][0]) < -0.3
    assert np.all(np.asarray(found["step_excess"]) <= 0)


def test_strong_directions_of_chance_are_told_from_real_ones() -> None:
    """Few gradients in many dimensions: the strongest of pure noise is many times the usual one."""
    draws = np.random.default_rng(0)
    noise = draws.standard_normal((24, 4000))
    real = draws.standard_normal(4000) / 4000**0.5
    _, chance = shared_directions(noise)
    _, excess = shared_directions(noise + 60 * draws.standard_normal((24, 1)) * real)
    assert np.linalg.svd(noise)[1][0] ** 2 / 24 > 100, "what the left-out gradients correct"
    assert np.all(chance < 2)
    assert 800 < excess[0] < 8000
    assert np.all(excess[1:] < 5)


def test_the_weights_of_styles_say_along_what_a_row_pulls() -> None:
    """A row of three styles: whatever gradients are seen, no more than three axes have strength."""
    draws = np.random.default_rng(0)
    jacobian = draws.standard_normal((12, 3))
    strengths = np.asarray([3.0, 1.0, 0.2])
    by_style = draws.standard_normal((24, 3)) * strengths
    found = style_moments(jacobian, by_style @ jacobian.T)
    np.testing.assert_allclose(found, (jacobian * np.mean(by_style**2, axis=0)) @ jacobian.T)
    assert np.linalg.matrix_rank(found) == 3


@pytest.mark.parametrize("made", [linear, mobile, style, third, old])
def test_jacobians_are_those_of_the_styles_of_each_row(made: Any) -> None:
    gen, params = made()
    known = params[STATISTICS]
    code = np.random.default_rng(0).standard_normal((gen.spec.rows, gen.spec.w_dim)) * 0.1
    value = known["mean"] + (code * known["scales"]) @ known["axes"].T

    def styles(w: Any) -> Any:
        return np.concatenate([np.ravel(x) for x in jax.tree.leaves(gen.affine(params, w))])

    centre = np.broadcast_to(known["mean"], value.shape)
    moved = styles(jnp.asarray(value, jnp.float32)) - styles(jnp.asarray(centre, jnp.float32))
    found = np.concatenate(
        [row @ jacobian for row, jacobian in zip(code, style_jacobians(gen, params), strict=True)]
    )
    np.testing.assert_allclose(np.sort(found), np.sort(moved), atol=1e-4)


def test_a_search_in_natural_units_ends_at_the_answer() -> None:
    found = run(SEARCH, targets(1))
    np.testing.assert_allclose(found.latents["w+"][0], solve_linear(targets(1)[0], "w+"), atol=5e-3)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: Variable("w", codec="preconditioned"),
            r"space of codec 'preconditioned' 'w'; allowed: w\+",
        ),
        (lambda: Variable("w+", codec="preconditioned", freeze=(0, 1)), "frozen rows"),
    ],
)
def test_variables_that_have_no_natural_units(made: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made()
    assert Stage((NATURAL,), MSE, steps=1).variables == (NATURAL,)
