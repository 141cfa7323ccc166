"""Learned starts: exact where pictures are linear, each picture for itself, learned once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders.ridge_regression import (
    RIDGE,
    learned_init,
    predict_w,
    regress,
)
from jaxinv.inversion import gradient_samples
from jaxinv.inversion.batch import as_pictures
from jaxinv.inversion.compatibility import check_weights
from jaxinv.inversion.restarts import make_lanes
from jaxinv.inversion.statistics import with_statistics
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs import InitSpec, Variable
from tests.engine import one, preset, run
from tests.tiny import draw, linear, solve_linear

pytestmark = pytest.mark.usefixtures("quick_compilation")
LEARNED = InitSpec("learned")
SEARCH = preset(one(Variable("w", init=LEARNED), steps=1))


@pytest.fixture(autouse=True)
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache folder, and few samples."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(gradient_samples, "SAMPLES", 48)


def taught(**others: Any) -> dict[str, Any]:
    gen, params = linear()
    return with_statistics(gen, params, SEARCH, {}, **others)


def test_the_start_of_a_linear_generator_is_the_answer() -> None:
    gen, _ = linear()
    pictures = draw(linear(), 3, 4)
    found = predict_w(gen, taught(), {}, jnp.asarray(pictures))
    exact = np.stack([solve_linear(picture, "w") for picture in pictures])
    np.testing.assert_allclose(found, exact, atol=1e-3)


def test_a_picture_is_guessed_alike_in_any_company() -> None:
    gen, _ = linear()
    params, pictures = taught(), jnp.asarray(draw(linear(), 3, 4))
    together = predict_w(gen, params, {}, pictures)
    alone = jnp.concatenate([predict_w(gen, params, {}, pictures[i : i + 1]) for i in range(4)])
    np.testing.assert_array_equal(together, alone)


def test_starts_are_learned_once_and_kept() -> None:
    said: list[str] = []
    first = taught(report=said.append)
    count = len(said)
    assert count
    again = taught(report=said.append)
    assert len(said) == count
    for name, value in first[STATISTICS][RIDGE].items():
        np.testing.assert_array_equal(again[STATISTICS][RIDGE][name], value)
    gen, params = linear()
    assert RIDGE not in params[STATISTICS], "what was given is left as it was"
    assert with_statistics(gen, first, SEARCH, {}) is first


def test_other_presets_are_left_alone() -> None:
    gen, params = linear()
    assert with_statistics(gen, params, preset(one()), {}) is params
    assert learned_init(gen, params, preset(one()), {}, jnp.zeros((1, 16, 16, 3))) == {}
    with pytest.raises(ValueError, match=r"needs params\['statistics'\]"):
        check_weights(gen, preset(one(Variable("w", init=LEARNED))), {}, {})


@pytest.mark.parametrize("space", ["w", "w+"])
def test_a_search_begins_at_its_start_and_other_restarts_nearby(space: str) -> None:
    pictures = draw(linear(), 3, 2)
    made = preset(one(Variable(space, init=LEARNED), steps=1))
    found = run(made, pictures, restarts=2, keep_all_restarts=True)
    assert found.all_restarts is not None
    exact = np.stack([solve_linear(picture, "w") for picture in pictures])
    reached = found.all_restarts.latents[space]
    for row in range(1 if space == "w" else 3):
        first = reached[:, 0] if space == "w" else reached[:, 0, row]
        np.testing.assert_allclose(first, exact, atol=1e-3)
    assert np.all(np.abs(reached[:, 1] - reached[:, 0]).max(axis=-1) > 0.05)


def test_what_a_mask_hides_says_nothing_of_the_start() -> None:
    pictures = draw(linear(), 3, 1)
    masks = np.ones(pictures.shape[:3])
    masks[:, 4:8, 4:8] = 0
    hidden = np.where(masks[..., None] > 0, pictures, 0.9)
    batch = make_lanes(hidden.astype(np.float32), masks, 0, 1, num_images=1)
    guessed = as_pictures(SEARCH, batch)
    np.testing.assert_array_equal(guessed, as_pictures(SEARCH, batch._replace(images=pictures)))
    # Nor is it a hole: it has the colours around it.
    seen = np.asarray(pictures)[masks > 0]
    inside = np.asarray(guessed)[masks == 0]
    assert np.all((inside >= seen.min(0)) & (inside <= seen.max(0)))


def test_ridges_are_chosen_by_what_they_predict() -> None:
    draws = np.random.default_rng(0)
    seen = draws.standard_normal((60, 40))
    codes = np.stack([seen @ draws.standard_normal(40), draws.standard_normal(60)], axis=1)
    found = regress({"a": seen}, codes)
    fitted = found["centre"] + (seen - found["mean"]) @ found["matrix"]
    np.testing.assert_allclose(fitted[:, 0], codes[:, 0], atol=1e-3)
    # Chance has nothing to say: the guess stays at the mean.
    assert np.std(fitted[:, 1]) < 0.2 * np.std(codes[:, 1])


@pytest.mark.parametrize("space", ["z", "noise"])
def test_only_codes_of_w_have_a_learned_start(space: str) -> None:
    with pytest.raises(ValueError, match=f"start of '{space}'"):
        Variable(space, init=LEARNED)
