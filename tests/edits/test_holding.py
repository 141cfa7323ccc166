"""Scores that stay while a picture is edited: what is reached, and what is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jaxinv.edits.directions import Direction
from jaxinv.edits.editing import AmountWarning, edit
from jaxinv.edits.holding import ROUNDS, settle
from jaxinv.edits.walks import Walk
from jaxinv.metrics.attributes import attribute_scores
from jaxinv.models.rendering import render
from tests.edits.renderer import FACTORS, GAINS, codes, directions, factors, renderer, shown

PAIR = renderer()
GEN, PARAMS = PAIR
TRUE = directions(PAIR) / GAINS[:, None]  # one unit of each factor
FREE = (-np.inf, np.inf)


def way(name: str, **mixed: float) -> Direction:
    """A direction in w that moves several factors at once."""
    return Direction(name, "w", sum(v * TRUE[FACTORS.index(k)] for k, v in mixed.items()))


def score(name: str) -> Any:
    return lambda pictures: 100 * shown(pictures / 127.5 - 1.0)[name]


def drawn(latents: Any) -> np.ndarray:
    return np.clip(np.rint(127.5 * (render(GEN, PARAMS, latents) + 1)), 0, 255).astype(np.uint8)


HUE = way("hue", hue=1.0, background=0.6, brightness=-0.4)  # an entangled direction
GROUND, LIGHT = way("ground", background=1.0, brightness=0.2), way("light", brightness=1.0)


@pytest.mark.parametrize("amount", [-1.0, 0.0, 1.5])
def test_held_scores_stay_on_every_picture_and_the_edit_remains(amount: float) -> None:
    latents = {"w": 0.5 * codes(6, seed=3)}
    before = drawn(latents)
    hold = [(GROUND, score("background")), (LIGHT, score("brightness"))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = edit(GEN, PARAMS, latents, [(HUE, amount)], hold=hold)
    free = edit(GEN, PARAMS, latents, [(HUE, amount)])
    for _, measure in hold:
        drift = np.abs(measure(drawn(free)) - measure(before))
        left = np.abs(measure(drawn(held)) - measure(before))
        assert left.max() <= 1.5  # 3 % of a unit, about 30, and the rounding of pixels
        assert not amount or drift.min() > 4 * left.max()
    hue = FACTORS.index("hue")
    moved, wanted = (factors(PAIR, x["w"])[:, hue] for x in (held, free))
    np.testing.assert_allclose(moved, wanted, atol=1e-4)  # corrections have nothing of it
    again = edit(GEN, PARAMS, latents, [(HUE, amount)], hold=hold)
    np.testing.assert_array_equal(again["w"], held["w"])


def test_pictures_are_held_each_by_itself() -> None:
    latents = {"w": 0.5 * codes(3, seed=3)}
    hold = [(GROUND, score("background"))]
    together = edit(GEN, PARAMS, latents, [(HUE, 1.0)], hold=hold)["w"]
    alone = edit(GEN, PARAMS, {"w": latents["w"][1:2]}, [(HUE, 1.0)], hold=hold)["w"]
    np.testing.assert_array_equal(alone[0], together[1])


def test_a_direction_holds_the_attribute_that_it_is_about() -> None:
    light = replace(LIGHT, effects={"luma": 8.0, "hue": 0.0})
    latents = {"w": 0.5 * codes(2, seed=4)}
    held = edit(GEN, PARAMS, latents, [(HUE, 1.0)], hold=[light])
    free = edit(GEN, PARAMS, latents, [(HUE, 1.0)])
    start = attribute_scores("luma", drawn(latents))
    assert np.abs(attribute_scores("luma", drawn(held)) - start).max() <= 0.03 * 8.0
    assert np.abs(attribute_scores("luma", drawn(free)) - start).min() > 1.0


def test_edits_of_late_spaces_are_held_in_early_ones() -> None:
    channel = tuple(np.zeros(n) for n in GEN.spec.styles)
    channel[1][:] = (1.0, 0.0, 0.5)
    latents = {"w": 0.5 * codes(2, seed=4)}
    late = Direction("s", "s", channel)
    held = edit(GEN, PARAMS, latents, [(late, 1.0)], hold=[(GROUND, score("background"))])
    assert set(held) == {"s"}
    apart = score("background")(drawn(held)) - score("background")(drawn(latents))
    assert np.abs(apart).max() <= 1.5


def test_rows_limit_corrections_too() -> None:
    latents = {"w": 0.5 * codes(2, seed=4)}
    hold = [(GROUND, score("background"))]
    held = edit(GEN, PARAMS, latents, [(HUE, 1.0)], hold=hold, rows=[1])["w+"]
    np.testing.assert_array_equal(held[:, 0], latents["w"])
    assert np.abs(held[:, 1] - latents["w"]).min(1).max() > 0


def test_what_usable_amounts_cannot_hold_is_warned_of() -> None:
    near = replace(GROUND, usable=(-0.05, 0.05))
    with pytest.warns(AmountWarning, match=r"'ground' could not be held: .* became"):
        moved = edit(GEN, PARAMS, {"w": codes(1)}, [(HUE, 1.0)], hold=[(near, score("background"))])
    free = edit(GEN, PARAMS, {"w": codes(1)}, [(HUE, 1.0)])
    assert np.linalg.norm(moved["w"] - free["w"]) <= 0.0501 * np.linalg.norm(GROUND.vector)


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        ([GROUND], "'ground' has no measured effects"),
        ([replace(GROUND, effects={"redness": 1.0})], "is about 'redness'.*allowed.*luma"),
        ([replace(GROUND, effects={"age": 1.0})], "faces framed as FFHQ; generator 'renderer'"),
        ([replace(GROUND, effects={"luma": 1.0})] * 2, "'luma' is held twice"),
        ([replace(GROUND, effects={"lab_b": 1.0})], "'blue' changes 'lab_b', which is held"),
        ([(GROUND, "luma")], "score of 'ground' is 'luma'"),
        (["ground"], "hold has 'ground'"),
        ([(1.0, score("hue"))], "hold has 1.0"),
        (GROUND, "hold is"),
        ([(GROUND, lambda pictures: np.full(1, np.nan))], "'ground' cannot be held.*nan"),
        ([(GROUND, lambda pictures: "high")], "score of 'ground' is 'high'"),
        ([(GROUND, lambda pictures: np.zeros(3))], "allowed: one number a picture"),
        ([(replace(GROUND, vector=np.ones(3)), score("hue"))], r"shape \(3,\)"),
    ],
)
def test_what_cannot_be_held_is_refused(hold: Any, said: str) -> None:
    blue = replace(HUE, name="blue", effects={"lab_b": 2.0})
    with pytest.raises(ValueError, match=said):
        edit(GEN, PARAMS, {"w": codes(1)}, [(blue, 1.0)], hold=hold)


def test_a_walk_that_is_about_nothing_holds_nothing() -> None:
    walk = Walk("turn", "circle", "w", {"vector": np.ones(GEN.spec.w_dim, np.float32)})
    with pytest.raises(ValueError, match="has no measured effects"):
        edit(GEN, PARAMS, {"w": codes(1)}, [(HUE, 1.0)], hold=[walk])


# The search alone


def settled(apart: Any, count: int, *, bounds: Any = FREE, units: float = 0.0) -> Any:
    asked = []

    def counted(c: np.ndarray) -> np.ndarray:
        asked.append(c)
        return np.asarray(apart(c), float)

    low, high = (np.full(count, edge) for edge in bounds)
    found, near = settle(counted, low, high, np.full(count, units))
    return found, near, len({c.tobytes() for c in asked})


def test_linear_scores_are_reached_in_two_steps() -> None:
    slopes = np.array([[2.0, 0.3], [-40.0, 90.0]])
    wanted = np.array([0.7, -0.4])
    found, near, asked = settled(lambda c: slopes @ (c - wanted), 2, units=0.0)
    assert np.all(np.abs(slopes @ (found - wanted)) <= near)
    np.testing.assert_allclose(near, 0.03 * np.array([2.0, 90.0]))
    assert asked <= 5  # the start, two slopes, two steps


@pytest.mark.parametrize("goal", [-1.8, -0.3, 0.2, 2.5])
def test_curved_scores_are_reached(goal: float) -> None:
    found, near, asked = settled(lambda c: np.sinh(c) - np.sinh(goal), 1)
    assert abs(np.sinh(found[0]) - np.sinh(goal)) <= near[0]
    assert asked <= 2 + 2 * ROUNDS


def test_the_nearest_is_kept_where_none_is_reached() -> None:
    def apart(c: np.ndarray) -> np.ndarray:
        return np.array([c[0] - 1.0, 0.3 * np.tanh(c[1]) - 0.6])  # the second ends at -0.3

    found, near, _ = settled(apart, 2, bounds=(-3, 3), units=1.0)
    left = np.abs(apart(found))
    assert left[0] <= 0.05
    assert near[1] < left[1] < 0.35
    assert np.all(np.abs(found) <= 3)


def test_bounds_flat_scores_and_gaps_are_survived() -> None:
    assert settled(lambda c: c - 5, 1, bounds=(-1, 1))[0] == 1.0
    assert settled(lambda c: c + 5, 1, bounds=(-1, 0.2))[0] == -1.0
    assert settled(lambda c: [3.0], 1)[0] == 0.0
    found, near, _ = settled(lambda c: c - 0.6 if c[0] <= 0.65 else c + np.nan, 1)
    assert abs(found[0] - 0.6) <= near[0]
    assert settled(lambda c: np.zeros(1), 1)[2] == 1  # nothing to do
