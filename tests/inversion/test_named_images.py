"""Terms that compare with other pictures: closed forms, gradient orthogonalisation, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.inversion.objective import Objective, component
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.losses.terms import target_features
from jaxinv.models.features import backbones
from jaxinv.models.rendering import render
from jaxinv.specs import MaskSpec, OperatorSpec, Preset, SolverSpec, Stage, Term, Variable
from tests.engine import SIDE, one, preset, run, targets
from tests.methods import NARROW, nets
from tests.tiny import linear, style

pytestmark = pytest.mark.usefixtures("quick_compilation", "narrow")
ADAM = SolverSpec("adam", 0.05)
LEFT = MaskSpec("left", "operator", OperatorSpec("half", side="right"))
OTHER = Term("mse", mask="not left", target="other")
BOTH_HALVES = (Term("mse", mask="left"), OTHER)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The feature nets with a few channels each."""
    for name, net in NARROW.items():
        monkeypatch.setitem(backbones.NETS, name, net)


def loss_of(stage: Stage, pictures: dict[str, np.ndarray], masks: dict[str, np.ndarray]) -> Any:
    """The objective of a stage on the linear generator, as a function of its codes."""
    gen, params = linear()
    key = jax.random.key(0)
    seen = target_features(stage.terms, nets(), {n: jnp.asarray(a) for n, a in pictures.items()})
    named = {name: jnp.asarray(mask)[..., None] for name, mask in masks.items()}
    lane = Lane(seen, None, key, jnp.zeros((), jnp.int32), {}, named)
    problem, weights = Problem(gen, stage, SIDE, 1), NetworkParams(params, nets())
    objective = Objective(problem, weights, lane, jnp.zeros(()))
    return lambda codes: objective(codes, key)


def half() -> np.ndarray:
    left = np.zeros((SIDE, SIDE), np.float32)
    left[:, : SIDE // 2] = 1
    return left


# --- other pictures -------------------------------------------------------------------------------


def test_two_half_pictures_are_fitted_as_one_that_is_composed_of_them() -> None:
    first, second = targets(2)[:1], targets(2)[1:]
    whole = np.where(half()[..., None] > 0, first, second)
    made = preset(one(terms=BOTH_HALVES, steps=150), masks=(LEFT,))
    gen, params = linear()
    found = invert(gen, params, first, preset=made, named_images={"other": second})
    composed = run(preset(one(terms=(Term("mse", 2.0),), steps=150)), whole)
    np.testing.assert_allclose(found.latents["w"], composed.latents["w"], atol=5e-3)
    np.testing.assert_allclose(found.loss, composed.loss, rtol=1e-3)


def test_every_image_has_its_own_other_picture_whatever_the_batch() -> None:
    images, others = targets(3), targets(3)[::-1]
    made = preset(one(terms=BOTH_HALVES, steps=20), masks=(LEFT,))
    gen, params = linear()
    alone = [
        invert(
            gen, params, images[i : i + 1], preset=made, named_images={"other": others[i : i + 1]}
        )
        for i in range(3)
    ]
    together = invert(gen, params, images, preset=made, named_images={"other": others}, batch=2)
    expected = np.concatenate([found.latents["w"] for found in alone])
    np.testing.assert_array_equal(together.latents["w"], expected)


def test_the_start_is_what_the_stage_begins_with() -> None:
    """Held to its start everywhere but on the left, a stage moves what is there alone."""
    gen, params = style()
    images = np.asarray(render(gen, params, {"w": jnp.ones((1, gen.spec.w_dim))}))
    held = Term("mse", 100.0, mask="not left", target="start")
    free = Stage((Variable("w"),), (Term("mse", mask="left"),), 25, ADAM)
    start = {"w": np.zeros((1, gen.spec.w_dim), np.float32)}
    before = np.asarray(render(gen, params, start))
    moved = []
    for terms in (free.terms, (*free.terms, held)):
        made = Preset("p", (replace(free, terms=terms),), "", "", masks=(LEFT,))
        found = invert(gen, params, images, preset=made, starts=start)
        change = np.square(np.asarray(render(gen, params, found.latents)) - before)
        middle = change.shape[2] // 2
        moved.append((change[:, :, :middle].mean(), change[:, :, middle:].mean()))
    assert moved[1][1] < 0.1 * moved[0][1]
    first = invert(
        gen,
        params,
        images,
        preset=Preset("p", (Stage((Variable("w"),), (held,), 1, ADAM),), "", "", masks=(LEFT,)),
        starts=start,
    )
    np.testing.assert_allclose(first.losses[0, 0], 0, atol=1e-9)


def test_gram_matrices_and_means_are_taken_inside_each_picture_s_own_mask() -> None:
    """A region moved to another place has the same style and appearance, and no other has."""
    term = Term("features", net="vgg16", layers=("relu1_1",), distance="style", target="other")
    picture = np.full((SIDE, SIDE, 3), -0.5, np.float32)
    other = np.full_like(picture, 0.8)
    gen, params = linear()
    w = jax.random.normal(jax.random.key(3), (6,))
    drawn = np.asarray(gen.synthesize(params, {"w": w}, SIDE))
    for distance in ("style", "appearance"):
        terms = tuple(
            replace(term, distance=distance, mask="left", target_mask=mask, target=target)
            for target, mask in (("other", "left"), ("drawn", "left"), ("drawn", "right"))
        )
        stage = one(terms=terms)
        masks = {"left": half(), "right": 1 - half()}
        _, values = loss_of(stage, {"": picture, "other": other, "drawn": drawn}, masks)({"w": w})
        apart, same, elsewhere = values.values()
        np.testing.assert_allclose(same, 0, atol=1e-10)
        assert min(elsewhere, apart) > 0


def test_lpips_of_some_layers_is_a_part_of_the_whole() -> None:
    picture = targets(1)[0]
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    parts = tuple(Term("lpips", net="vgg16", layers=(layer,)) for layer in layers)
    _, values = loss_of(one(terms=(*parts, Term("lpips", net="vgg16"))), {"": picture}, {})(
        {"w": jnp.ones(6)}
    )
    *each, whole = values.values()
    np.testing.assert_allclose(sum(each), whole, rtol=1e-5)
    assert min(each) > 0


# --- gradient orthogonalisation -------------------------------------------------------------------


def test_the_component_is_that_of_linear_algebra_row_by_row() -> None:
    rng = np.random.default_rng(0)
    gradient, along = rng.normal(size=(2, 4, 7))
    left = gradient - np.asarray(component(jnp.asarray(gradient), jnp.asarray(along)))
    np.testing.assert_allclose(np.sum(left * along, axis=-1), 0, atol=1e-6)
    np.testing.assert_array_equal(component(jnp.ones((2, 3)), jnp.zeros((2, 3))), 0)


def test_what_is_removed_is_missing_from_one_gradient_and_counts_nowhere_else() -> None:
    picture, other = targets(2)
    kept, removed, third = (
        Term("mse"),
        Term("mse", 3.0, target="other", removed_from="mse"),
        Term("l1"),
    )
    pictures = {"": picture, "other": other}
    codes = {"w": jax.random.normal(jax.random.key(1), (6,))}

    def gradient(*terms: Term) -> tuple[Any, Any, Any]:
        fn = loss_of(one(terms=terms), pictures, {})
        (loss, values), found = jax.value_and_grad(fn, has_aux=True)(codes)
        return loss, values, np.asarray(found["w"])

    loss, values, whole = gradient(kept, removed, third)
    plain, _, first = gradient(kept)
    more, _, second = gradient(third)
    _, _, along = gradient(replace(removed, removed_from=""))
    np.testing.assert_allclose(loss, plain + more, rtol=1e-6)
    assert set(values) == {"mse", "l1", "mse-other"}
    left = whole - second
    np.testing.assert_allclose(left @ along / np.linalg.norm(along), 0, atol=1e-5)
    expected = first - (first @ along) / (along @ along) * along
    np.testing.assert_allclose(left, expected, rtol=1e-4, atol=1e-6)


def test_nothing_is_removed_along_a_gradient_that_vanishes() -> None:
    picture = targets(1)[0]
    gen, params = linear()
    codes = {"w": jnp.ones(6)}
    drawn = np.asarray(gen.synthesize(params, codes, SIDE))
    terms = (Term("mse"), Term("mse", target="other", removed_from="mse"))
    fn = loss_of(one(terms=terms), {"": picture, "other": drawn}, {})
    alone = loss_of(one(terms=terms[:1]), {"": picture}, {})
    both = [jax.grad(f, has_aux=True)(codes)[0]["w"] for f in (fn, alone)]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-6)


# --- whole methods --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local-style-transfer", "image2stylegan++-crossover", "loho"])
def test_methods_of_several_pictures_run_and_lower_their_loss(name: str) -> None:
    from jaxinv.presets import PRESETS

    gen, params = style()
    side = gen.spec.resolution
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (1, side, side, 3)).astype(np.float32)
    mask = np.zeros((1, side, side), np.float32)
    mask[:, : side // 2] = 1
    method = PRESETS[name]
    found = invert(
        gen,
        params,
        images,
        preset=method,
        steps=30,
        nets=nets(),
        named_images=dict.fromkeys(method.targets, images[:, ::-1]),
        named_masks={one.name: mask for one in method.masks},
    )
    assert found.losses.shape == (1, 1, 30)
    assert np.isfinite(found.losses).all()
    assert found.losses[0, 0, :15].min() < found.losses[0, 0, 0]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs named images other"),
        ({"another": targets(1)}, "allowed: other"),
        ({"other": targets(2)}, r"has shape \(2, 16, 16, 3\); allowed: \(1, 16, 16, 3\)"),
        ({"other": targets(1) * 100}, "\\[-1, 1\\]"),
        ({"other": targets(1) * np.nan}, "finite"),
        ([targets(1)], "named_images"),
    ],
)
def test_pictures_must_be_those_that_terms_name(given: Any, words: str) -> None:
    gen, params = linear()
    made = preset(one(terms=BOTH_HALVES), masks=(LEFT,))
    with pytest.raises((ValueError, TypeError), match=words):
        invert(gen, params, targets(1), preset=made, named_images=given)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ((Term("mse"), Term("l1", target="a", removed_from="lpips")), "allowed: mse"),
        ((Term("l1", target="a", removed_from="l1-a"), Term("mse")), "allowed: mse"),
    ],
)
def test_a_term_is_removed_from_one_that_is_counted(terms: tuple[Term, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        one(terms=terms)


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no target_mask"):
        Term("features", net="vgg16", layers=("relu1_1",), target="other", target_mask="left")
    with pytest.raises(ValueError, match="takes no target_mask"):
        Term("features", net="vgg16", layers=("relu1_1",), distance="style", target_mask="left")
    with pytest.raises(ValueError, match="takes no target"):
        Term("gaussian", variable="w", target="other")
    with pytest.raises(ValueError, match="allowed: relu1_2, relu2_2"):
        Term("lpips", net="vgg16", layers=("conv1_1",))
    with pytest.raises(ValueError, match="without an operator"):
        Preset("p", (one(terms=(Term("mse", target="b"),)),), "", "", operator=OperatorSpec("down"))
    removed = (Term("mse"), Term("mse", target="a", removed_from="mse"))
    with pytest.raises(ValueError, match="allowed with: "):
        Stage((Variable("w"),), removed, 5, SolverSpec("lbfgs"))
    with pytest.raises(ValueError, match="moves no code"):
        Stage((Variable("noise"),), removed, 5, ADAM)
