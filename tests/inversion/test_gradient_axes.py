"""Gradient axes: what they are, when they are measured, and a search that lives in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.inversion import gradient_samples
from jaxinv.inversion.compatibility import check_weights
from jaxinv.inversion.curvature import gradient_axes
from jaxinv.inversion.gradient_samples import rounded
from jaxinv.inversion.problem import NetworkParams
from jaxinv.inversion.statistics import with_statistics
from jaxinv.latents.codecs import GRADIENT_AXES
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs import Preset, SolverSpec, Term, Variable
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
    monkeypatch.setattr(gradient_samples, "SAMPLES", 32)


def measured(made: Preset = SEARCH, **others: Any) -> dict[str, Any]:
    gen, params = linear()
    return with_statistics(gen, params, made, {}, **others)


def test_axes_are_eigenvectors_of_the_gradients_strongest_first() -> None:
    gen, params = linear()
    weights = NetworkParams(params, {})
    pulls = gradient_samples.measure(gen, weights, MSE, (), [].append).gradients
    turns = np.asarray(gradient_axes(gen, params, pulls))
    assert turns.shape == (LINEAR.rows, LINEAR.w_dim, LINEAR.w_dim)
    for row, turn in enumerate(turns):
        np.testing.assert_allclose(turn.T @ turn, np.eye(LINEAR.w_dim), atol=1e-5)
        strengths = np.mean(np.square(pulls[:, row] @ turn), axis=0)
        assert strengths[0] > 3 * strengths[-1]


def test_gradients_are_those_of_the_loss_in_whitened_codes() -> None:
    """For a linear generator and squares: H (code - answer), so all lie in the range of H."""
    gen, params = linear()
    found = gradient_samples.measure(gen, NetworkParams(params, {}), MSE, (), [].append)
    known = params[STATISTICS]
    assert found.gradients.shape == (gradient_samples.SAMPLES, LINEAR.rows, LINEAR.w_dim)
    pictures = found.features["pixels"].reshape(len(found.codes), -1)
    for code, picture in zip(found.codes, pictures, strict=True):
        w = known["mean"] + (code * known["scales"]) @ known["axes"].T
        drawn = gen.synthesize(params, {"w": np.asarray(w, np.float32)}, LINEAR.resolution)
        np.testing.assert_allclose(picture, np.ravel(drawn), atol=1e-5)


@pytest.mark.parametrize(("weight", "same"), [(1.0, True), (1.7, True), (0.6, True), (9.0, False)])
def test_weights_are_rounded_to_powers(weight: float, same: bool) -> None:
    one_, other = (Term("mse", 1.0), Term("l1", 1.0)), (Term("mse", 1.0), Term("l1", weight))
    assert (rounded(one_) == rounded(other)) == same
    assert rounded((Term("mse", 5.0), Term("l1", 5.0))) == rounded(one_), "only ratios count"


def test_axes_are_measured_once_and_kept() -> None:
    said: list[str] = []
    first = measured(report=said.append)
    assert said[0] == "measuring gradients of linear: 32, once"
    count = len(said)
    again = measured(report=said.append)
    assert len(said) == count
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
