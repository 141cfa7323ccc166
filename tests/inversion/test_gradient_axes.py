"""Gradient axes: what they are, when they are measured, and a search that lives in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.inversion import gradient_axes as axes
from jaxinv.inversion.compatibility import check_weights
from jaxinv.inversion.gradient_axes import WHITE, gradient_axes, gradients
from jaxinv.inversion.problem import NetworkParams, Problem
from jaxinv.inversion.statistics import with_statistics
from jaxinv.latents.codecs import GRADIENT_AXES
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from tests.engine import MSE, one, preset, run, targets
from tests.tiny import LINEAR, linear, solve_linear

pytestmark = pytest.mark.usefixtures("quick_compilation")
SEARCH = preset(
    one(
        Variable("w+", codec="gradient-axes"),
        steps=60,
        solver=SolverSpec("lbfgs", options=(("history", 3),)),
        terms=(*MSE, Term("gaussian", 0.0, variable="w+")),
    )
)


@pytest.fixture(autouse=True)
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache folder, and a small measurement."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(axes, "SAMPLES", 32)


def measured(made: Preset = SEARCH, **others: Any) -> dict[str, Any]:
    gen, params = linear()
    return with_statistics(gen, params, made, {}, **others)


def test_axes_are_eigenvectors_of_the_gradients_strongest_first() -> None:
    gen, params = linear()
    stage = Stage((WHITE,), MSE, steps=1)
    turns = np.asarray(gradient_axes(gen, params, {}, MSE))
    assert turns.shape == (LINEAR.rows, LINEAR.w_dim, LINEAR.w_dim)
    keys = jax.random.split(jax.random.key(axes.SEED), axes.SAMPLES)
    problem = Problem(gen, stage, LINEAR.resolution, 1)
    pulls = np.concatenate(
        [gradients(problem, NetworkParams(params, {}), keys[i : i + 16]) for i in (0, 16)]
    )
    for row, turn in enumerate(turns):
        np.testing.assert_allclose(turn.T @ turn, np.eye(LINEAR.w_dim), atol=1e-5)
        strengths = np.mean(np.square(pulls[:, row] @ turn), axis=0)
        assert np.all(np.diff(strengths) < 0.1 * strengths[0])
        assert strengths[0] > 3 * strengths[-1]


def test_axes_are_measured_once_and_kept() -> None:
    said: list[str] = []
    first = measured(report=said.append)
    assert said == ["measuring the gradient axes of linear, once (a minute or two on a CPU)"]
    again = measured(report=said.append)
    assert len(said) == 1
    np.testing.assert_array_equal(
        again[STATISTICS][GRADIENT_AXES], first[STATISTICS][GRADIENT_AXES]
    )
    assert GRADIENT_AXES not in linear()[1][STATISTICS], "what was given is left as it was"
    gen, _ = linear()
    assert with_statistics(gen, first, SEARCH, {}) is first


def test_presets_without_such_codes_are_left_alone() -> None:
    _, params = linear()
    assert measured(preset(one())) is params


def test_statistics_are_asked_for() -> None:
    with pytest.raises(ValueError, match=r"needs params\['statistics'\]"):
        check_weights(linear()[0], SEARCH, {}, {})


def test_a_search_in_gradient_axes_ends_at_the_answer() -> None:
    found = run(SEARCH, targets(1))
    exact = solve_linear(targets(1)[0], "w+")
    np.testing.assert_allclose(found.latents["w+"][0], exact, atol=2e-3)
