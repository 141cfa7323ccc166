"""Methods by name on the renderer: they find its hidden factors, or change one and keep others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery.by_generator import kernels
from jaxinv.edits.discovery.held_out import held_out_slope
from jaxinv.edits.discovery.methods import METHODS, discover
from jaxinv.edits.discovery.samples import draw_codes
from jaxinv.edits.editing import edit
from jaxinv.edits.students import Student, apply_student, load_student, save_student
from jaxinv.edits.walk_paths import mix_channels
from jaxinv.edits.walks import Walk
from jaxinv.edits.ways import load_way, save_way
from jaxinv.io import checkpoints
from jaxinv.models.rendering import render
from tests.edits.renderer import (
    DIM,
    FACTORS,
    GAINS,
    GEOMETRY,
    codes,
    directions,
    likeness,
    pictures,
    renderer,
    shown,
)
from tests.tiny import chain, style

PAIR = renderer()
SEEN = ("background", "brightness", "hue")
MANY = codes(4000, 99)
SPREAD = {name: values.std() for name, values in shown(pictures(PAIR, MANY)).items()}


def tables(samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    """What pictures of the samples show."""
    w, _ = draw_codes(*PAIR, "w", samples, seed)
    return shown(pictures(PAIR, w))


def found_by(method: str, samples: int = 2000, **more: Any) -> Walk | Direction:
    """What a method finds of the background, brightness and hue kept."""
    given = tables(samples)
    kept = {name: given[name] for name in SEEN[1:]}
    (one,) = discover(
        method, *PAIR, scores=given["background"], keep=kept, samples=samples, name="bg", **more
    )
    return one


def changes(way: Any, amount: float) -> dict[str, np.ndarray]:
    """Changes [32] of what pictures of fresh codes show, in deviations."""
    w = codes(32, 7)
    latents = {"w": w}
    ends = [render(*PAIR, one) for one in (latents, edit(*PAIR, latents, [(way, amount)]))]
    before, after = (shown(np.asarray(one)) for one in ends)
    return {name: (after[name] - before[name]) / SPREAD[name] for name in SEEN}


def gain_over_drift(way: Any, amount: float) -> float:
    """Mean change of the background over the larger root mean square change of the others."""
    moved = changes(way, amount)
    drift = max(float(np.sqrt(np.mean(moved[name] ** 2))) for name in SEEN[1:])
    return float(np.sign(amount) * moved["background"].mean()) / max(drift, 1e-9)


# --- effects ----------------------------------------------------------------------------------


def slope_of(codes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    found = np.linalg.lstsq(codes - codes.mean(0), scores - scores.mean(), rcond=None)[0]
    return found / np.linalg.norm(found)


def test_the_effect_on_scores_of_noise_is_none() -> None:
    stated, on_the_samples = [], []
    for seed in range(16):
        draws = np.random.default_rng(seed)
        x, noise = draws.standard_normal((150, 32)), draws.standard_normal(150)
        effect = held_out_slope(x, noise, slope_of)
        assert effect is not None
        stated.append(effect)
        on_the_samples.append(np.polyfit(x @ slope_of(x, noise), noise, 1)[0])
    error = 150**-0.5  # of one slope
    assert abs(np.mean(stated)) < 3 * error / 16**0.5
    assert np.mean(on_the_samples) > 0.3, "what would have been said before"


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_effect_on_scores_of_a_line_is_its_slope(noise: float) -> None:
    draws = np.random.default_rng(1)
    x, truth = draws.standard_normal((1000, 16)), np.eye(16)[3] * 0.5
    effect = held_out_slope(x, x @ truth + noise * draws.standard_normal(1000), slope_of)
    # With noise the direction is off by 8 degrees: its cosine, and a standard error of 0.03.
    assert effect == pytest.approx(0.5 if not noise else 0.48, abs=1e-6 if not noise else 0.1)


def test_too_few_or_too_equal_scores_state_no_effect() -> None:
    assert held_out_slope(np.eye(5), np.arange(5.0), slope_of) is None
    x = np.random.default_rng(0).standard_normal((12, 3))
    rare = np.arange(12) == 0  # the fold with the one leaves equal scores: it says nothing
    assert held_out_slope(x, rare, slope_of) is not None
    assert held_out_slope(x, np.arange(12) % 2, slope_of) is not None


def test_discover_states_next_to_nothing_of_noise() -> None:
    stated = []
    for seed in range(8):
        noise = np.random.default_rng(seed).standard_normal(60)
        (found,) = discover("regression", *PAIR, scores=noise, samples=60, seed=seed, name="x")
        stated.append(found.effects["x"])
    assert abs(np.mean(stated)) < 3 / (60 * 8) ** 0.5  # on the samples: sqrt(8 / 60) = 0.37


# --- scored, others kept ----------------------------------------------------------------------


@pytest.mark.slow
def test_an_intervention_crosses_a_plane_and_keeps_the_others() -> None:
    one = found_by("style-intervention")
    assert isinstance(one, Walk)
    assert (one.kind, one.space, one.name) == ("intervention", "s", "bg")
    for amount in (1.0, -1.0):
        assert gain_over_drift(one, amount) > 10  # 32 was found; random directions: up to 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "kind", "steps", "least"),
    [
        # 36, 15 and 33 were found, the smaller of both ways; of four random directions up to 6.
        ("hijack-gan", "proxy", 800, 10.0),
        ("styleflow", "flow", 500, 10.0),
        ("rig", "rig", 1000, 10.0),
    ],
)
def test_walks_of_nets_change_one_attribute_and_keep_the_others(
    method: str, kind: str, steps: int, least: float, tmp_path: Path
) -> None:
    one = found_by(method, steps=steps)
    assert isinstance(one, Walk)
    assert one.kind == kind
    again = load_way(save_way(tmp_path / "a.safetensors", one))
    for amount in (0.8, -0.8):
        assert gain_over_drift(again, amount) > least


@pytest.mark.slow
def test_a_regressor_leads_to_the_factor_that_shows() -> None:
    one = found_by("regressor", samples=1000, steps=300)
    assert isinstance(one, Direction)
    likes = likeness(PAIR, one.vector)
    assert FACTORS[likes.argmax()] == "background"
    assert likes.max() > 0.8  # 0.90 was found: others keep what random batches gave them


@pytest.mark.slow
def test_effects_of_walks_are_measured_on_fresh_pictures() -> None:
    def look(name: str) -> Any:
        return lambda stack: shown(stack / 127.5 - 1)[name]

    (one,) = discover(
        "hijack-gan", *PAIR, scores=look("background"), keep={"brightness": look("brightness")},
        samples=400, steps=300, name="bg",
    )  # fmt: skip
    assert set(one.effects) == {"bg", "brightness"}
    assert one.effects["bg"] > 0.1
    assert abs(one.effects["brightness"]) < 0.5 * one.effects["bg"]


# --- the generator alone ----------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["pca", "sparse", "incremental"])
def test_the_first_component_of_styles_is_the_factor_that_varies_most(estimator: str) -> None:
    found = discover("ganspace", *PAIR, space="s", count=2, samples=1500, estimator=estimator)
    vector = np.abs(np.concatenate(found[0].vector))
    # The next gains are only an eighth and a fifth less, so that sparse ones mix two of the three.
    ranks = np.argsort(-GAINS)[: 1 if estimator != "sparse" else 3]
    assert np.linalg.norm(vector[ranks]) > 0.9 * np.linalg.norm(vector)


def test_independent_components_come_by_name() -> None:
    found = discover("ganspace", *PAIR, count=3, samples=400, estimator="ica")
    assert [one.name for one in found] == ["ganspace-00", "ganspace-01", "ganspace-02"]


@pytest.mark.slow
def test_components_of_features_are_of_what_the_cut_draws() -> None:
    found = discover("ganspace", *PAIR, count=3, samples=600, cut="mask")
    span = np.linalg.qr(np.stack([one.vector for one in found]).T)[0]
    inside = dict(zip(FACTORS, np.linalg.norm(directions(PAIR) @ span, axis=1), strict=True))
    # The mask knows geometry only; least squares over 600 samples leave colours some noise.
    assert min(inside["x"], inside["y"], inside["radius"]) > 0.85
    assert max(inside[name] for name in set(FACTORS) - set(GEOMETRY)) < 0.3
    assert all("mask" in one.unit for one in found)


@pytest.mark.slow
def test_changes_of_weights_move_pictures_more_than_random_ones() -> None:
    layer = "synthesis/colours"
    assert kernels(PAIR[1]) == ["synthesis/colours", "synthesis/geometry"]
    assert [n.split("/")[1][:3] for n in kernels(style()[1])] == sorted(
        [n.split("/")[1][:3] for n in kernels(style()[1])], key=["b4_", "b8_", "b16"].index
    )
    found = discover("weights", *PAIR, count=3, layer=layer)
    latents = {"w": codes(16, 5)}
    before = render(*PAIR, latents)

    def moved(change: np.ndarray) -> float:
        one = Direction("a", "weights", {"synthesis": {"colours": change}})
        return float(np.mean((render(*PAIR, edit(*PAIR, latents, [(one, 1.0)])) - before) ** 2))

    ours = [one.vector["synthesis"]["colours"] for one in found]
    draws = np.random.default_rng(0).standard_normal((5, *ours[0].shape))
    length = np.linalg.norm(ours[0])
    assert length == pytest.approx(0.1 * np.linalg.norm(PAIR[1]["synthesis"]["colours"]), rel=1e-3)
    others = [moved(length * one / np.linalg.norm(one)) for one in draws]
    assert moved(ours[0]) > 2 * np.mean(others)
    assert {one.name for one in found} == {"weights-00", "weights-01", "weights-02"}
    assert {one.space for one in found} == {"weights"}


@pytest.mark.slow
def test_regions_have_the_channels_that_draw_there() -> None:
    found = discover("editing-in-style", *PAIR, count=2, cut="mask", name="part")
    drawn = {one.name: {FACTORS[i] for i in np.flatnonzero(one.arrays["query"])} for one in found}
    (inside,) = [name for name, held in drawn.items() if "brightness" in held]
    (outside,) = [name for name, held in drawn.items() if "background" in held]
    assert inside != outside
    assert "hue" in drawn[inside]
    assert "of pictures, centred" in found[0].source
    (region,) = [one for one in found if one.name == outside]
    ends = [{"w": codes(1, seed)[0]} for seed in (3, 4)]
    mixed = mix_channels(*PAIR, (ends[0], ends[1]), region)
    before, after = (np.asarray(PAIR[0].synthesize(PAIR[1], one)) for one in (ends[0], mixed))
    apart = np.abs(after - before)
    assert apart[0, 0].mean() > 5 * apart[8, 8].mean()  # a corner, and the middle of the ellipse
    with pytest.raises(ValueError, match="is of kind 'circle'; allowed: 'channels'"):
        mix_channels(*PAIR, (ends[0], ends[1]), Walk("a", "circle", "w", {"vector": np.ones(DIM)}))


# --- edits ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_learned_steps_of_a_shift_move_the_place() -> None:
    (one,) = discover("steerability-steps", *PAIR, edit="shift-x", steps=400)
    assert one.kind == "steps"
    w = codes(32, 8)
    moved = {n: edit(*PAIR, {"w": w}, [(one, n)])["w"] for n in (3, -3)}
    places = {n: ((end - w) @ directions(PAIR)[0]).mean() for n, end in moved.items()}
    rest = {n: np.abs((end - w) @ directions(PAIR)[5:].T).mean() for n, end in moved.items()}
    assert places[3] > 0.2 > -0.2 > places[-3]
    assert max(rest.values()) < 0.5 * min(abs(place) for place in places.values())


@pytest.mark.slow
def test_the_recursion_of_a_first_layer_comes_as_a_walk() -> None:
    gen, params = chain()
    layer = {**params["synthesis"]["layer0"], "bias": np.arange(128, dtype=np.float32)}
    params = {**params, "synthesis": {**params["synthesis"], "layer0": layer}}
    (line,) = discover("first-layer", gen, params, edit="shift-x")
    (walk,) = discover("first-layer-steps", gen, params, edit="shift-x")
    assert (walk.kind, walk.space) == ("recursion", "z")
    np.testing.assert_allclose(walk.arrays["shift"], line.vector, rtol=1e-5)
    z = np.random.default_rng(0).uniform(-1, 1, (1, 8)).astype(np.float32)
    moved = edit(gen, params, {"z": z}, [(walk, 1.0)])["z"]
    np.testing.assert_allclose(
        moved, walk.arrays["scale"] * z + walk.arrays["shift"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.slow
def test_a_student_makes_an_edit_of_pictures(tmp_path: Path) -> None:
    line = Direction("bg", "w", directions(PAIR)[FACTORS.index("background")])
    (one,) = discover("distillation", *PAIR, move=(line, 1.5), samples=400, steps=250)
    again = load_student(save_student(tmp_path / "a.safetensors", one))
    assert (again.side, again.unit, again.generator_name) == (16, "1.5 of 'bg'", "renderer")
    w = codes(32, 5)
    before, after = pictures(PAIR, w), pictures(PAIR, w + 1.5 * line.vector)
    made = apply_student(again, before)
    assert np.abs(made - after).mean() < 0.4 * np.abs(before - after).mean()
    large = np.repeat(np.repeat(before, 2, 1), 2, 2)
    assert apply_student(again, large).shape == (32, 32, 32, 3)


def test_files_that_hold_no_student_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    first = {"kernel": np.zeros((4, 5, 5, 5), np.float32), "bias": np.zeros(4, np.float32)}
    last = {"kernel": np.zeros((3, 4, 5, 5), np.float32), "bias": np.zeros(3, np.float32)}
    good = {"conv0": first, "conv1": last}
    images = np.linspace(-1, 1, 300).reshape(1, 10, 10, 3)
    still = load_student(save_student(path, Student("a", good, 5)))
    np.testing.assert_allclose(apply_student(still, images), images, atol=1e-6)
    facts = {"kind": "student", "name": "a", "side": "5"}
    wrong = {**last, "bias": np.zeros(2, np.float32)}
    for tree, metadata, said in (
        (good, {"kind": "walk"}, "holds 'walk'; allowed: 'student'"),
        (good, facts | {"side": "-1"}, "no usable student"),
        (good, facts | {"side": "x"}, "no usable student"),
        (good, facts | {"side": "99999"}, "side 99999"),
        ({"conv0": first}, facts, "no usable student"),
        ({"conv0": first, "conv1": wrong}, facts, "no usable student"),
        ({"conv0": np.zeros(3), "conv1": last}, facts, "no usable student"),
        ({"conv1": first, "conv2": last}, facts, "no usable student"),
    ):
        checkpoints.save(path, tree, metadata)
        with pytest.raises(ValueError, match=said):
            load_student(path)
    checkpoints.save(path, good, facts)
    with pytest.raises(ValueError, match="holds 'student'; allowed: 'direction', 'walk'"):
        load_way(path)
    with pytest.raises(ValueError, match="allowed: square ones"):
        apply_student(still, images[:, :5])


# --- what is refused --------------------------------------------------------------------------


def test_methods_are_refused_what_they_do_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "jit", lambda *_, **__: pytest.fail("compiles"))
    scores, line = np.arange(20.0), Direction("a", "w", np.ones(DIM))
    scored: dict[str, Any] = {"scores": scores, "samples": 20, "name": "a"}
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("sefa", {"keep": {"b": scores}}, r"keep 'b' for method 'sefa'; .* \(regressor, hijack"),
        ("interfacegan", {**scored, "keep": {"b": scores}}, "keep 'b' for method 'interfacegan'"),
        ("rig", {**scored, "keep": {"a": scores}}, "'a' is to change and to be kept"),
        ("rig", {**scored, "keep": {"b": scores[1:]}}, "19 scores for 20 samples"),
        ("rig", {**scored, "keep": {"b": np.ones(20)}}, "all 20 scores of 'b' are 1"),
        ("rig", {}, "scores None for method 'rig'"),
        ("sefa", {"cut": "mask"}, "cut 'mask' for method 'sefa'"),
        ("ganspace", {"cut": "b4"}, "unknown cut of generator 'renderer' 'b4'; allowed: mask"),
        ("ganspace", {"estimator": "pcs"}, "unknown estimator 'pcs'; allowed: pca"),
        ("sefa", {"estimator": "ica"}, "estimator 'ica' for method 'sefa'"),
        ("weights", {"layer": "synthesis"}, "unknown layer 'synthesis'; allowed: synthesis/col"),
        ("jacobian", {"layer": "a"}, "layer 'a' for method 'jacobian'"),
        ("jacobian", {"rows": (1,)}, "rows .* for method 'jacobian'"),
        ("distillation", {}, "move None for method 'distillation'; allowed: a direction and an"),
        ("distillation", {"move": line}, "move is a Direction; allowed: a tuple"),
        ("distillation", {"move": (line, "x")}, "amount of a move must be a finite number"),
        ("sefa", {"move": (line, 1.0)}, "for method 'sefa'; allowed: none"),
        ("steerability-steps", {}, "unknown edit of method 'steerability-steps'"),
        ("editing-in-style", {"space": "w"}, "unknown space of method"),
    )
    for method, given, said in cases:
        with pytest.raises(ValueError, match=said):
            discover(method, *PAIR, **given)
    with pytest.raises(ValueError, match="looks in s; generator 'chain' has z"):
        discover("editing-in-style", *chain())


def test_every_method_says_what_it_takes() -> None:
    assert {len(one.reference) > 5 for one in METHODS.values()} == {True}
    assert {taken for one in METHODS.values() for taken in one.takes} == {
        "keep", "rows", "cut", "estimator", "layer",
    }  # fmt: skip
