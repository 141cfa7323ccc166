"""Named masks and routing: closed forms, where masks come from, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion import masks as masks_module
from jaxinv.inversion.invert import invert
from jaxinv.inversion.masks import face_mask, lpips_map
from jaxinv.inversion.objective import Objective
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.io import face_detection
from jaxinv.io.face_detection import AlignerMissing
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import extract_features, term_value
from jaxinv.models.features import backbones
from jaxinv.models.rendering import render
from jaxinv.specs import (
    InitSpec,
    MaskSpec,
    OperatorSpec,
    Preset,
    SolverSpec,
    Stage,
    Term,
    Variable,
)
from tests.engine import MSE, SIDE, one, preset, run, targets
from tests.methods import NARROW, nets
from tests.tiny import linear, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
LEFT = MaskSpec("left", "operator", OperatorSpec("half", side="right"))
FEATURES = Variable("features", layers=(0.5,), mask="left")
ADAM = SolverSpec("adam", 0.05)


def halves() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the left and of the right half, [S, S]."""
    left = np.zeros((SIDE, SIDE), np.float32)
    left[:, : SIDE // 2] = 1
    return left, 1 - left


def loss_of(stage: Stage, masks: dict[str, np.ndarray], target: np.ndarray) -> Any:
    """The objective of a stage on the linear generator, as a function of its codes."""
    gen, params = linear()
    problem = Problem(gen, stage, SIDE, 1)
    key = jax.random.key(0)
    seen = extract_features(stage.terms, {}, jnp.asarray(target))
    named = {name: jnp.asarray(mask)[..., None] for name, mask in masks.items()}
    lane = Lane(seen, None, key, jnp.zeros((), jnp.int32), {}, named)
    objective = Objective(problem, NetworkParams(params, {}), lane, jnp.zeros(()))
    return lambda codes: objective(codes, key)


# --- terms ----------------------------------------------------------------------------------------


def test_a_masked_term_is_the_mean_over_its_mask() -> None:
    gen, params = linear()
    w = jax.random.normal(jax.random.key(3), (6,))
    drawn = np.asarray(gen.synthesize(params, {"w": w}, SIDE))
    target = targets(1)[0]
    left, right = halves()
    terms = (Term("mse", mask="left"), Term("mse", 2.0, mask="not left"))
    loss, values = loss_of(one(terms=terms), {"left": left}, target)({"w": w})
    squares = np.mean(np.square(drawn - target), axis=-1)
    expected = [np.average(squares, weights=mask) for mask in (left, right)]
    assert list(values) == ["mse-left", "mse-not left"]
    np.testing.assert_allclose(list(values.values()), expected, rtol=1e-5)
    np.testing.assert_allclose(loss, expected[0] + 2 * expected[1], rtol=1e-5)


def test_the_mask_of_the_image_and_a_named_one_are_multiplied() -> None:
    top = np.zeros((1, SIDE, SIDE), np.float32)
    top[:, : SIDE // 2] = 1
    images, (left, _) = targets(1), halves()
    made = preset(one(terms=(Term("mse", mask="left"),), steps=1), masks=(LEFT,))
    found = run(made, images, masks=top)
    gen, params = linear()
    drawn = render(gen, params, found.latents)[0]
    squares = np.mean(np.square(drawn - images[0]), axis=-1)
    np.testing.assert_allclose(found.loss[0], np.average(squares, weights=top[0] * left), rtol=1e-4)


def test_only_what_a_mask_shows_is_fitted() -> None:
    images = targets(2)
    torn = images.copy()
    torn[:, :, SIDE // 2 :] = 0.7
    made = preset(one(terms=(Term("mse", mask="left"),), steps=150), masks=(LEFT,))
    whole, found = (run(made, one_of) for one_of in (images, torn))
    np.testing.assert_allclose(found.latents["w"], whole.latents["w"], atol=1e-5)
    assert np.all(run(preset(one(steps=150)), torn).loss > 10 * found.loss)


# --- routing --------------------------------------------------------------------------------------


def test_a_term_gives_no_gradient_to_what_it_does_not_move() -> None:
    gen, params = linear()
    both = (Variable("w"), Variable("noise"))
    terms = (Term("mse", moves=("w",)), Term("l1", moves=("noise",)))
    routed = loss_of(Stage(both, terms, 5, ADAM), {}, targets(1)[0])
    single = [loss_of(Stage(both, (Term(t.name),), 5, ADAM), {}, targets(1)[0]) for t in terms]
    codes = {"w": jnp.ones(6), "noise": gen.stored_noise(params)}
    (loss, values), moved = jax.value_and_grad(routed, has_aux=True)(codes)
    of_mse, of_l1 = (jax.grad(fn, has_aux=True)(codes)[0] for fn in single)
    np.testing.assert_allclose(moved["w"], of_mse["w"], rtol=1e-5)
    np.testing.assert_allclose(moved["noise"][0], of_l1["noise"][0], rtol=1e-5)
    assert np.abs(of_mse["noise"][0]).max() > 0
    np.testing.assert_allclose(loss, sum(values.values()), rtol=1e-6)


def test_terms_that_move_all_are_one_route() -> None:
    both = (Variable("w"), Variable("noise"))
    plain = loss_of(Stage(both, MSE, 5, ADAM), {}, targets(1)[0])
    named = loss_of(Stage(both, (Term("mse", moves=("w", "noise")),), 5, ADAM), {}, targets(1)[0])
    codes = {"w": jnp.ones(6), "noise": (jnp.ones((16, 16)),)}
    for ours, theirs in zip(
        *(jax.tree.leaves(jax.grad(fn, has_aux=True)(codes)) for fn in (plain, named)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


# --- features -------------------------------------------------------------------------------------


def test_features_change_only_inside_their_mask() -> None:
    gen, params = style()
    images = np.clip(targets(1) + 0.3, -1, 1)
    code = Stage((Variable("w"),), MSE, 3, ADAM)
    made = Preset("p", (code, Stage((FEATURES,), MSE, 8, ADAM)), "", "", masks=(LEFT,))
    found = invert(gen, params, images, preset=made, nets={})
    (added,) = found.latents["features"].values()
    side = added.shape[2]
    assert np.abs(added[:, :, : side // 2]).max() > 0
    np.testing.assert_array_equal(added[:, :, side // 2 :], 0)


# --- where masks come from ------------------------------------------------------------------------


def test_a_mask_of_the_caller_equals_the_same_of_an_operator() -> None:
    images, (left, _) = targets(2), halves()
    given = MaskSpec("left")
    terms = (Term("mse", mask="left"),)
    ours, theirs = (
        run(preset(one(terms=terms), masks=(mask,)), images, **more)
        for mask, more in (
            (LEFT, {}),
            (given, {"named_masks": {"left": np.stack([left, left])}}),
        )
    )
    np.testing.assert_array_equal(ours.latents["w"], theirs.latents["w"])


def test_the_map_of_lpips_averages_to_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.NETS, "alexnet", NARROW["alexnet"])
    a, b = jnp.asarray(targets(2))
    params = nets()["alexnet"]
    found = lpips_map("alexnet", params, a, b)
    seen = [extract_features((Term("lpips", net="alexnet"),), nets(), x) for x in (a, b)]
    inputs = TermInputs({}, {}, a, seen[0], target=seen[1], nets=nets())
    expected = term_value(Term("lpips", net="alexnet"), inputs)
    assert found.shape == a.shape[:2]
    np.testing.assert_allclose(jnp.mean(found), expected, rtol=0.05)
    assert float(jnp.max(lpips_map("alexnet", params, a, a))) == 0


def test_a_mask_after_a_stage_is_where_it_drew_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.NETS, "alexnet", NARROW["alexnet"])
    images, (left, _) = targets(1), halves()
    torn = np.where(left[..., None] > 0, images, -images).astype(np.float32)
    good = MaskSpec("good", "lpips", net="alexnet", below=1e-3, after=1)
    known = replace(LEFT, name="seen")
    first = one(terms=(Term("mse", mask="seen"),), steps=150)
    second = one(Variable("w", init=InitSpec("previous")), terms=(Term("mse", mask="good"),))
    made = preset(first, second, masks=(known, good))
    found = run(made, torn, nets=nets())
    # What was drawn exactly counts alone in the second stage: the torn half is not in it.
    whole = preset(first, one(Variable("w", init=InitSpec("previous"))), masks=(known,))
    assert found.loss[0] < 0.02 * run(whole, torn).loss[0]


def test_no_face_is_an_empty_mask_and_a_face_its_hull(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.stack([100 + 20 * np.cos(np.arange(68)), 90 + 30 * np.sin(np.arange(68))], axis=-1)
    points[27], points[8] = (100, 80), (100, 120)
    monkeypatch.setattr(masks_module, "landmarks_from_dlib", lambda image: [points])
    mask = face_mask(np.zeros((200, 200, 3), np.float32))
    assert mask[90, 100] == 1
    assert mask[90, 125] == mask[150, 100] == mask[0, 0] == 0
    small = face_mask(np.zeros((64, 64, 3), np.float32))  # enlarged to 128 px for the search
    assert small.shape == (64, 64)
    assert small[45, 50] == 1
    monkeypatch.setattr(masks_module, "landmarks_from_dlib", lambda image: [])
    assert not face_mask(np.zeros((200, 200, 3), np.float32)).any()


# --- refusals -------------------------------------------------------------------------------------


def with_masks(*stages: Stage, masks: tuple[MaskSpec, ...] = (LEFT,), **others: Any) -> Preset:
    return preset(*stages, masks=masks, **others)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Term("gaussian", variable="w", mask="left"), "'gaussian' takes no mask"),
        (lambda: Term("gaussian", variable="w", moves=("w",)), "'gaussian' takes no moves"),
        (lambda: Variable("w", mask="left"), "mask of 'w'; allowed: features"),
        (lambda: MaskSpec("not left"), "allowed: some text without 'not '"),
        (lambda: MaskSpec("m", "parser"), "allowed: given, operator, face, lpips"),
        (lambda: MaskSpec("m", "operator"), "operator of mask 'm' 'none'; allowed: box"),
        (lambda: MaskSpec("m", "operator", OperatorSpec("gray")), "'gray'; allowed: box"),
        (lambda: MaskSpec("m", below=0.5), "below of mask 'm' from 'given'; allowed with: lpips"),
        (lambda: MaskSpec("m", "lpips", net="vgg16", below=0.1), "after of mask 'm' must be"),
        (lambda: one(terms=(Term("mse", moves=("z",)),)), "moves 'z'; allowed: w"),
        (
            lambda: one(Variable("w"), Variable("noise"), terms=(Term("mse", moves=("w",)),)),
            "no term moves noise; moved: w",
        ),
        (
            lambda: one(terms=(Term("mse", moves=("w",)),), solver=SolverSpec("lbfgs")),
            "moves with solver 'lbfgs'; allowed with: adam",
        ),
        (lambda: preset(one(terms=(Term("mse", mask="left"),))), "'left'; allowed: "),
        (lambda: with_masks(one(), masks=(LEFT, LEFT)), "is there twice"),
        (lambda: with_masks(one(), masks=(replace(LEFT, within="face"),)), "'face'; allowed: "),
        (lambda: with_masks(one(), operator=OperatorSpec("gray")), "without an operator"),
        (
            lambda: with_masks(
                one(terms=(Term("mse", mask="m"),)),
                masks=(MaskSpec("m", "lpips", net="vgg16", below=0.1, after=1),),
            ),
            "stage 1, 'm'; allowed: ",
        ),
        (
            lambda: with_masks(
                one(), masks=(MaskSpec("m", "lpips", net="vgg16", below=0.1, after=2),)
            ),
            "after 2; allowed: 1 to 1",
        ),
    ],
)
def test_masks_and_routes_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, "needs named masks left"),
        ({"right": np.ones((2, SIDE, SIDE))}, "'right'; allowed: left"),
        ({"left": np.ones((2, 8, 8))}, r"shape \(2, 8, 8\); allowed: \(2, 16, 16\)"),
        ({"left": np.full((2, SIDE, SIDE), 2.0)}, r"outside \[0, 1\]"),
        ({"left": np.full((2, SIDE, SIDE), np.nan)}, r"outside \[0, 1\]"),
    ],
)
def test_masks_of_the_caller_that_do_not_fit_are_refused(masks: Any, message: str) -> None:
    made = with_masks(one(terms=(Term("mse", mask="left"),)), masks=(MaskSpec("left"),))
    with pytest.raises(ValueError, match=message):
        run(made, targets(2), named_masks=masks)


def test_faces_without_landmarks_say_what_to_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise AlignerMissing("no landmark model: run `jaxinv pull landmarks`")

    monkeypatch.setattr(masks_module, "face_finder", missing)
    made = with_masks(one(terms=(Term("mse", mask="f"),)), masks=(MaskSpec("f", "face"),))
    with pytest.raises(ValueError, match=r"needs landmarks of faces: .*pull landmarks"):
        run(made, targets(1))


def test_a_mask_of_a_face_needs_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_detection, "_dlib", lambda path: (None, None, None))
    monkeypatch.setattr(face_detection, "identity_path", lambda: pytest.fail("not asked for"))
    made = preset(masks=(MaskSpec("f", "face"),))
    assert masks_module.check_named_masks(made, None, (1, SIDE, SIDE)) == {}
