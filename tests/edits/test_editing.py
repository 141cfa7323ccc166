"""Edits of latents in Python: what they change, what they warn of, and what they refuse."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest

from jaxinv.edits.conditions import conditioned
from jaxinv.edits.directions import Direction
from jaxinv.edits.editing import AmountWarning, edit, largest_share
from jaxinv.edits.paths import Path, linear
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.loading import generator_hash
from jaxinv.models.rendering import render
from tests import tiny

GEN, PARAMS = tiny.linear()
DRAWS = np.random.default_rng(3)
AGE = Direction("age", "w", DRAWS.standard_normal(6), usable=(-2, 2))
SMILE = Direction("smile", "w", DRAWS.standard_normal(6))


def test_pictures_of_a_linear_generator_move_by_the_amounts() -> None:
    latents = sample_latents(GEN, PARAMS, 3, seed=1)
    before = render(GEN, PARAMS, latents)
    moved = edit(GEN, PARAMS, latents, [(AGE, 1.5), (SMILE, -2.0)])
    assert moved["w"].shape == latents["w"].shape
    basis = np.asarray(PARAMS["synthesis"]["basis"]).sum(0)
    step = basis @ (1.5 * AGE.vector - 2.0 * SMILE.vector)
    expected = before + step[None]
    np.testing.assert_allclose(render(GEN, PARAMS, moved), expected, atol=1e-4)


def test_rows_and_conditions_of_one_call() -> None:
    latents = sample_latents(GEN, PARAMS, 2, seed=1)
    moved = edit(GEN, PARAMS, latents, [(AGE, 1.0)], rows=[1], conditions=[SMILE])["w+"]
    apart = moved - np.asarray(latents["w"])[:, None]
    np.testing.assert_allclose(apart[:, [0, 2]], 0, atol=1e-6)
    expected = conditioned(AGE, [SMILE]).vector
    np.testing.assert_allclose(apart[:, 1], np.stack([expected] * 2), atol=1e-5)


def test_changes_of_weights_stay_with_their_image() -> None:
    latents = sample_latents(GEN, PARAMS, 2, seed=1)
    change = {"synthesis": {"base": {"add": DRAWS.standard_normal((2, 16, 16, 3))}}}
    moved = edit(GEN, PARAMS, {**latents, "weights": change}, [(linear(AGE), 1.0)])
    np.testing.assert_allclose(
        moved["weights"]["synthesis"]["base"]["add"], change["synthesis"]["base"]["add"], rtol=1e-6
    )
    plain = render(GEN, PARAMS, edit(GEN, PARAMS, latents, [(AGE, 1.0)]))
    tuned = render(GEN, PARAMS, moved)
    np.testing.assert_allclose(tuned - plain, change["synthesis"]["base"]["add"], atol=1e-4)


def test_amounts_beyond_the_usable_range_are_a_warning_that_names_it() -> None:
    latents = sample_latents(GEN, PARAMS, 1)
    with pytest.warns(AmountWarning, match="2.5 of 'age' lies beyond its usable range, -2 to 2"):
        edit(GEN, PARAMS, latents, [(AGE, 2.5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edit(GEN, PARAMS, latents, [(AGE, 2.0), (AGE, -2.0), (SMILE, 9.0)])


@pytest.mark.parametrize(
    ("moves", "said"),
    [
        ([(AGE,)], "a move is a tuple"),
        ([(AGE.vector, 1.0)], "what is moved along is float32"),
        ([(AGE, float("nan"))], "amount of 'age' must be a finite number"),
        ("age", "moves is 'age'"),
        ([(Direction("age", "w", np.ones(7)), 1.0)], r"shape \(7,\) in 'w'"),
        ([(Direction("a", "w", np.ones(6), "1" * 64, "cats"), 1.0)], "'cats'.*'linear'"),
        ([(Direction("a", "embedding", np.ones(6)), 1.0)], "'embedding'; generator 'linear'"),
    ],
)
def test_moves_that_cannot_be_made_are_refused(moves, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        edit(GEN, PARAMS, sample_latents(GEN, PARAMS, 1), moves)


def test_rows_that_there_are_not_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"moves rows \[1, 3\]; generator 'linear' has rows 0 to 2"
    ):
        edit(GEN, PARAMS, sample_latents(GEN, PARAMS, 1), [(AGE, 1.0)], rows=range(1, 4, 2))


def test_directions_of_this_generator_are_taken() -> None:
    own = Direction("age", "w", np.ones(6), generator=generator_hash(PARAMS))
    edit(GEN, PARAMS, sample_latents(GEN, PARAMS, 1), [(own, 1.0)])


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.77, 1.0, 5.0])
def test_the_largest_share_ends_below_the_bound(limit: float) -> None:
    asked = []

    def distance(share: float) -> float:
        asked.append(share)
        return 0.6 * share / limit if limit else float("nan")

    share, far = largest_share(distance, 0.6)
    assert share == pytest.approx(min(limit, 1.0), abs=1 / 64)
    assert far <= 0.6
    assert share <= limit or share == 1.0
    assert len(asked) <= 7


def test_a_path_of_ones_own_is_walked() -> None:
    path = Path("double", "w", lambda code, amount: code * 2.0**amount)
    latents = sample_latents(GEN, PARAMS, 2)
    moved = edit(GEN, PARAMS, latents, [(path, 2.0)])
    np.testing.assert_allclose(moved["w"], 4 * np.asarray(latents["w"]), rtol=1e-6)
    one = jax.tree.map(lambda a: a[0], moved)
    np.testing.assert_allclose(
        path.inverse(GEN, PARAMS, one, 2.0)["w"], np.asarray(latents["w"])[0], rtol=1e-6
    )
