"""Natural units: there and back, how a loss curves in them, and a search without a warm-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.curvature import preconditioner
from jaxinv.inversion.initialization import start
from jaxinv.inversion.statistics import with_statistics
from jaxinv.latents.codecs import CURVATURE, to_std_units
from jaxinv.latents.spaces import decode, encode
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import term_value
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs import SolverSpec, Stage, Term, Variable
from tests.engine import MSE, one, preset, run, targets
from tests.tiny import LINEAR, linear, solve_linear

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
    assert any(line.startswith("measuring the curvature of linear, once") for line in said)
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
    found = preconditioner(alone + together)
    ridge = np.asarray(found["shared_directions"][0]) * np.asarray(1 / found["step_scale"]) ** 2
    cosine = np.sum(ridge * direction) / np.linalg.norm(ridge)
    assert abs(cosine) > 0.95
    assert float(found["step_excess"][0]) < -0.3
    assert np.all(np.asarray(found["step_excess"]) <= 0)


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
