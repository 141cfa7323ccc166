"""The engine: exact answers, independence of lanes, restarts, stages, stops, statuses, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion import bind as bind_module
from jaxinv.inversion import stages
from jaxinv.inversion.arguments import upsampled
from jaxinv.inversion.invert import invert
from jaxinv.inversion.presets import find_preset, with_steps
from jaxinv.inversion.result import Progress
from jaxinv.models.rendering import render
from jaxinv.models.statistics import STATISTICS
from jaxinv.nn.resample import area_reduce
from jaxinv.presets import PRESETS
from jaxinv.specs import Hook, InitSpec, Jitter, Schedule, SolverSpec, Stop, Term, Variable, View
from tests.engine import MSE, SIDE, one, preset, run, targets
from tests.tiny import GRAIN, draw, linear, mobile, solve_linear

# `test_independence.py` runs what users run.
pytestmark = pytest.mark.usefixtures("quick_compilation")
LBFGS = SolverSpec("lbfgs", options=(("history", 3),))
STORED, PREVIOUS = InitSpec("stored"), InitSpec("previous")


def mean_w() -> np.ndarray:
    return np.asarray(linear()[1][STATISTICS]["mean"])


# --- exact answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(("space", "codec"), [("w", "identity"), ("w+", "whiten")])
def test_the_linear_generator_is_solved_exactly(space: str, codec: str) -> None:
    made = preset(one(Variable(space, codec=codec), steps=60, solver=LBFGS))
    found = run(made, targets(2))
    assert set(found.latents) == {space}
    assert found.losses.shape == (2, 1, 60)
    assert (found.status, found.preset) == (("ok", "ok"), made)
    for index, image in enumerate(targets(2)):
        exact = solve_linear(image, space)
        np.testing.assert_allclose(found.latents[space][index], exact, atol=2e-3)
        again = render(*linear(), {space: found.latents[space][index][None]})[0]
        np.testing.assert_allclose(np.mean((again - image) ** 2), found.loss[index], rtol=1e-3)


def test_a_picture_of_the_generator_is_found_again() -> None:
    image = draw(mobile(), 1)
    solver = SolverSpec("lbfgs", options=(("history", 3), ("warmup", 5)))
    made = preset(one(Variable("w+", codec="whiten"), steps=60, solver=solver))
    found = invert(*mobile(), image, preset=made, nets={})
    assert found.loss[0] < 1e-3 * image.var()
    again = render(*mobile(), found.latents)
    np.testing.assert_allclose(np.mean((again - image) ** 2), found.loss[0], rtol=1e-3)


def test_images_are_compared_at_their_own_size() -> None:
    small = np.asarray(area_reduce(jnp.asarray(targets(1)[0]), 8))[None]
    found = run(preset(), small)
    drawn = render(*linear(), found.latents, size=8)
    np.testing.assert_allclose(np.mean((drawn - small) ** 2), found.loss[0], rtol=1e-4)


# --- stages ---------------------------------------------------------------------------------------

THREE = preset(
    one(),
    one(Variable("w+", init=PREVIOUS), steps=20, solver=LBFGS),
    one(Variable("noise", init=PREVIOUS)),
)


def test_small_images_are_enlarged_for_presets_that_ask_for_it() -> None:
    """A pattern of period 2 is none of the small image's business; of the enlarged one's it is."""
    images = np.asarray(area_reduce(jnp.asarray(targets(1)[0]), SIDE // 2))[None]
    made = preset(one(terms=(Term("mse"),), steps=2))
    large = replace(made, enlarge=SIDE)
    plain, asked = run(made, images), run(large, images)
    grown, _ = upsampled(images, None, SIDE)
    same = run(made, grown)
    np.testing.assert_array_equal(asked.losses, same.losses)
    assert asked.losses[0, 0, 0] != plain.losses[0, 0, 0]
    for other in (targets(1), grown):  # large enough
        np.testing.assert_array_equal(run(large, other).losses, run(made, other).losses)
    half = np.zeros((1, SIDE // 2, SIDE // 2), np.float32)
    half[:, : SIDE // 4] = 1
    seen = run(large, images, masks=half).losses
    masks = half.repeat(2, 1).repeat(2, 2)
    np.testing.assert_array_equal(seen, run(made, grown, masks=masks).losses)


def test_stages_continue_where_the_last_one_ended() -> None:
    seen: list[Progress] = []
    found = run(THREE, targets(1), report=seen.append)
    two = run(preset(*THREE.stages[:2]), targets(1))
    (curve,) = found.losses[0]
    # The second stage begins at the best point of the first, the third at that of the second.
    lowest = [np.min(curve[:10]), np.min(curve[10:30]), np.min(curve[30:])]
    np.testing.assert_allclose(curve[[10, 30]], lowest[:2], rtol=1e-5)
    assert lowest[2] < 0.9 * lowest[1] < 0.9 * lowest[0]
    np.testing.assert_array_equal(found.latents["w+"], two.latents["w+"])
    assert set(found.latents) == {"w+", "noise"}
    assert set(two.latents) == {"w+"}
    assert np.abs(found.latents["noise"][0] - linear()[0].stored_noise(linear()[1])[0]).max() > 0.1
    assert found.evaluations == [40]
    steps = [(step.stage, step.stages, step.step, step.steps) for step in seen]
    assert steps == [(1, 3, 10, 10), (2, 3, 10, 20), (2, 3, 20, 20), (3, 3, 10, 10)]


def test_noise_of_an_earlier_stage_is_drawn_in_later_ones() -> None:
    first = one(Variable("w"), Variable("noise", init=STORED))
    found = run(preset(first, THREE.stages[1]), targets(1))
    (curve,) = found.losses[0]
    np.testing.assert_allclose(curve[10], np.min(curve[:10]), rtol=1e-5)
    (grain,) = found.latents["noise"]
    np.testing.assert_array_equal(grain, run(preset(first), targets(1)).latents["noise"][0])
    assert np.abs(grain[0] - linear()[0].stored_noise(linear()[1])[0]).max() > 0.1
    drawn = render(*linear(), found.latents)
    np.testing.assert_allclose(np.mean((drawn - targets(1)) ** 2), found.loss[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(None, (10, 20, 10)), (40, (10, 20, 10)), (3, (1, 1, 1)), (7, (2, 3, 2)), (81, (20, 41, 20))],
)
def test_steps_are_shared_out(steps: int | None, expected: tuple[int, ...]) -> None:
    assert tuple(stage.steps for stage in with_steps(THREE, steps).stages) == expected


@pytest.mark.parametrize("total", [3, 4, 7, 40, 41, 1000])
def test_shared_steps_add_up(total: int) -> None:
    uneven = preset(*(one(steps=steps) for steps in (1, 998, 1)))
    made = with_steps(uneven, total)
    assert made.steps == total
    assert made.stages[0].steps >= 1
    with pytest.raises(ValueError, match=r"at least 3 \(one per stage\), got 2"):
        with_steps(uneven, 2)


def test_an_override_of_the_steps_reaches_the_engine() -> None:
    found = run(preset(one(steps=500)), targets(1), steps=10)
    assert found.losses.shape == (1, 1, 10)
    assert found.preset.steps == 10


# --- stops, and which point is kept ---------------------------------------------------------------


def test_a_lane_stops_where_its_term_is_low_enough() -> None:
    whole = run(preset(one(steps=25)), targets(2))
    below = float(whole.losses[0, 0, 12])
    found = run(preset(one(steps=25, stop=Stop("mse", below))), targets(2))
    for index in range(2):
        curve = whole.losses[index, 0]
        end = int(np.argmax(curve < below)) + 1 if np.any(curve < below) else 25
        np.testing.assert_allclose(found.losses[index, 0, :end], curve[:end], rtol=1e-5)
        assert np.all(np.isnan(found.losses[index, 0, end:]))
        assert found.evaluations[index] == end
        assert found.loss[index] == np.nanmin(found.losses[index])
    assert found.status == ("ok", "ok")
    assert found.evaluations[0] == 14


def test_a_stage_ends_when_no_lane_is_running() -> None:
    seen: list[Progress] = []
    made = preset(one(steps=40, stop=Stop("mse", 1e9)))
    found = run(made, targets(1), report=seen.append)
    assert [step.step for step in seen] == [10]
    assert found.evaluations == [1]
    assert found.losses.shape == (1, 1, 40)


# Rates that no other test has: what was traced before is not traced again.
@pytest.mark.parametrize("solver", [SolverSpec("adam", 0.0371), SolverSpec("lbfgs", 0.0371)])
def test_a_stage_is_traced_once_however_many_steps_it_takes(
    solver: SolverSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    written = stages.Objective
    monkeypatch.setattr(stages, "Objective", lambda *given: calls.append(None) or written(*given))
    counts: list[int] = []
    for chunks in (1, 3):
        run(preset(one(solver=solver, steps=chunks * stages.CHUNK)), targets(1))
        counts.append(len(calls))
        calls.clear()
    assert counts[0] > 0
    assert counts[1] == 0


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_or_the_last_point_is_kept(keep: str) -> None:
    wild = SolverSpec("sgd", 40.0)  # overshoots more and more
    found = run(preset(one(solver=wild, steps=6, keep=keep)), targets(1))
    (curve,) = found.losses[0]
    expected = {"best": np.min(curve), "last": curve[-1]}[keep]
    assert curve[-1] > np.min(curve)
    assert found.loss[0] == expected
    drawn = render(*linear(), found.latents)
    np.testing.assert_allclose(np.mean((drawn - targets(1)) ** 2), expected, rtol=1e-4)


def test_a_lane_that_leaves_the_numbers_keeps_its_best_point() -> None:
    explosive = SolverSpec("sgd", 1e12)
    found = run(preset(one(solver=explosive, steps=20)), targets(2))
    assert found.status == ("diverged", "diverged")
    for index in range(2):
        (curve,) = found.losses[index]
        end = found.evaluations[index]
        assert 2 <= end < 20
        assert not np.isfinite(curve[end - 1])
        assert np.all(np.isnan(curve[end:]))
        assert found.loss[index] == np.min(curve[: end - 1]) == curve[0]
        np.testing.assert_allclose(found.latents["w"][index], mean_w(), rtol=1e-5)


def test_a_lane_that_diverged_once_is_reported_at_the_end() -> None:
    explosive = one(solver=SolverSpec("sgd", 1e12), steps=20)
    found = run(preset(explosive, THREE.stages[1]), targets(1))
    assert found.status == ("diverged",)
    assert np.isfinite(found.loss[0])


def test_single_terms_and_every_restart_are_kept_when_asked_for() -> None:
    terms = (*MSE, Term("gaussian", 0.1, variable="w"))
    made = preset(one(terms=terms, steps=12), one(terms=terms, steps=3))
    found = run(
        made,
        targets(3),
        restarts=2,
        batch=2,
        record_terms=("mse", "gaussian-w"),
        keep_all_restarts=True,
    )
    plain = run(made, targets(3), restarts=2, batch=2)
    assert (plain.terms, plain.all_restarts) == ({}, None)
    np.testing.assert_array_equal(plain.losses, found.losses)
    total = found.terms["mse"] + 0.1 * found.terms["gaussian-w"]
    np.testing.assert_allclose(total, found.losses, rtol=1e-5)
    assert found.all_restarts is not None
    assert found.all_restarts.latents["w"].shape == (3, 2, 6)
    for image, best in enumerate(found.best):
        kept = found.all_restarts.latents["w"][image]
        np.testing.assert_array_equal(kept[best], found.latents["w"][image])
        drawn = render(*linear(), {"w": kept})
        np.testing.assert_allclose(
            np.mean((drawn - targets(3)[image]) ** 2, (1, 2, 3)),
            [np.min(found.terms["mse"][image, r, 12:]) for r in range(2)],
            rtol=1e-3,
        )
    np.testing.assert_array_equal(found.all_restarts.loss, found.losses[..., 12:].min(axis=-1))
    np.testing.assert_array_equal(found.all_restarts.evaluations, np.full((3, 2), 15))
    assert not found.all_restarts.diverged.any()
    with pytest.raises(ValueError, match=r"stage 1: 'l1'; allowed: mse, gaussian-w"):
        run(made, targets(1), record_terms=("l1",))


# --- jitter, hooks, masks -------------------------------------------------------------------------


def test_jitter_shakes_w_by_its_schedule() -> None:
    still = SolverSpec("sgd", 1e-12)  # w stays: only the jitter moves the loss
    fading = Jitter(0.05, Schedule("quadratic_decay", until=0.5))
    made = preset(one(Variable("w"), solver=still, steps=400, jitter=fading))
    # Sought is what is drawn without jitter, so that nothing else is left of the loss.
    tree = {name: np.asarray(leaf) for name, leaf in linear()[1]["synthesis"].items()}
    slope = tree["basis"].sum(0)
    calm = tree["base"] + slope @ mean_w() + GRAIN * tree["noise"][..., None]
    curve = run(made, calm[None].astype(np.float32)).losses[0, 0]
    assert np.max(curve[200:]) < 1e-6 * np.max(curve)
    assert len(np.unique(curve[:150])) > 145
    # E |G(w + e) - G(w)|^2 = std^2 sum of squares of the basis, averaged over pixels.
    std = 0.05 * float(linear()[1][STATISTICS]["std"])
    factors = np.maximum(0, 1 - np.arange(400) / 200) ** 2
    expected = np.sum((std * factors) ** 2) * np.mean(np.sum(slope**2, axis=-1))
    np.testing.assert_allclose(np.sum(curve), expected, rtol=0.3)


def test_the_jitter_is_not_part_of_the_result() -> None:
    still = SolverSpec("sgd", 1e-12)
    found = run(preset(one(Variable("w"), solver=still, jitter=Jitter(5.0))), targets(1))
    np.testing.assert_allclose(found.latents["w"][0], mean_w(), atol=1e-5)


def test_standardised_noise_has_mean_0_and_variance_1() -> None:
    noise = Variable("noise", init=STORED)
    stage = one(Variable("w"), noise, hooks=(Hook("standardize", "noise"),), keep="last")
    (grain,) = run(preset(stage), targets(1)).latents["noise"]
    (before,) = linear()[0].stored_noise(linear()[1])
    np.testing.assert_allclose([grain.mean(), grain.var()], [0, 1], atol=1e-5)
    assert abs(before.mean()) + abs(before.var() - 1) > 1e-2
    assert np.abs(grain[0] - before).max() > 0.1


def test_masked_pixels_have_no_say() -> None:
    masks, images = np.zeros((1, SIDE, SIDE)), targets(1)
    masks[:, :, : SIDE // 2] = 1
    hidden = images.copy()
    hidden[:, :, SIDE // 2 :] = 0.9
    made = preset(one(steps=60, solver=LBFGS))
    for given in (images, hidden):
        found = run(made, given, masks=masks)
        exact = solve_linear(given[0], "w", masks[0])
        np.testing.assert_allclose(found.latents["w"][0], exact, atol=2e-3)
        half = np.square(render(*linear(), found.latents) - given)[:, :, : SIDE // 2]
        np.testing.assert_allclose(found.loss, np.mean(half), rtol=1e-4)


def test_frozen_rows_stay_and_tied_rows_move_together() -> None:
    terms = (*MSE, Term("gaussian", 0.1, variable="w+"))
    frozen = run(preset(one(Variable("w+", freeze=(0, 2)), terms=terms)), targets(1))
    moved = np.abs(frozen.latents["w+"][0] - mean_w()).max(axis=1)
    assert moved[2] > 0.1 > 1e-6 > moved[:2].max()
    tied = run(preset(one(Variable("w+", tie=(0, 1, 0)), terms=MSE)), targets(1)).latents["w+"][0]
    np.testing.assert_array_equal(tied[0], tied[2])
    assert np.abs(tied[0] - tied[1]).max() > 0.01


def test_noise_is_fitted_exactly() -> None:
    """With w held, the noise map of the linear generator takes up the grey part of what is left."""
    made = preset(one(), one(Variable("noise", init=STORED), steps=60, solver=LBFGS))
    found = run(made, targets(1))
    w = run(preset(one()), targets(1)).latents["w"][0]
    tree = {name: np.asarray(leaf) for name, leaf in linear()[1]["synthesis"].items()}
    smooth = tree["base"] + tree["basis"].sum(0) @ w
    expected = (targets(1)[0] - smooth).mean(axis=-1) / GRAIN
    np.testing.assert_allclose(found.latents["noise"][0][0], expected, atol=2e-2)


# --- inputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "others", "told"),
    [
        (np.zeros((16, 16, 3)), {}, r"shape \[B, S, S, 3\], got \(16, 16, 3\)"),
        (np.zeros((1, 16, 12, 3)), {}, "must have shape"),
        (np.zeros((1, 16, 16, 1)), {}, "must have shape"),
        (np.zeros((1, 32, 32, 3)), {}, r"images of 32 px; allowed: at most 16 \(linear\)"),
        (np.zeros((0, 16, 16, 3)), {}, "no images to invert"),
        (np.zeros((1, 16, 16, 3), np.uint8), {}, r"floats in \[-1, 1\], got uint8"),
        (np.zeros((1, 16, 16, 3)), {"masks": np.ones((1, 8, 8))}, r"masks have shape \(1, 8, 8\)"),
        (
            np.zeros((1, 16, 16, 3)),
            {"restarts": 0},
            "restarts must be a whole number of at least 1",
        ),
        (np.zeros((1, 16, 16, 3)), {"batch": 0}, "batch must be a whole number of at least 1"),
        (np.zeros((1, 16, 16, 3)), {"width": -1}, "width must be a whole number of at least 1"),
        (np.zeros((1, 16, 16, 3)), {"steps": 0}, "steps must be at least 1"),
        (np.zeros((1, 16, 16, 3)), {"preset": "sharp"}, "unknown preset 'sharp'; allowed: quick"),
    ],
)
def test_what_cannot_be_inverted_is_refused(
    images: np.ndarray, others: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        run(preset(), images, **others)


def test_presets_are_found_by_name() -> None:
    assert find_preset("stylegan2-projector") is PRESETS["stylegan2-projector"]
    assert find_preset(THREE) is THREE


def test_feature_nets_are_loaded_when_they_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(bind_module, "load_features", lambda names: asked.append(names) or {})
    lpips = Term("lpips", net="alexnet", view=View(32))
    with pytest.raises(ValueError, match="needs the nets alexnet; given: none"):
        invert(*mobile(), np.zeros((1, 32, 32, 3)), preset=preset(one(terms=(lpips,))))
    assert asked == [("alexnet",)]
