"""Terms of the discriminator that the generator was trained against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.compatibility import check_preset, check_weights
from jaxinv.inversion.invert import invert
from jaxinv.inversion.problem import Problem
from jaxinv.losses import distances
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import term_value
from jaxinv.models.discriminators.base import Discriminator
from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable, View
from jaxinv.specs.vocabulary import DISCRIMINATOR, DISTANCES
from jaxinv.types import Array, Params
from tests.judged import critical, distance, picture, seer
from tests.tiers import mostly_slow
from tests.tiny import CLASSES, STYLE, draw, linear, mobile, style

MSE = Term("mse")
DEEP = tuple(
    Term("features", net=DISCRIMINATOR, last_layers=2, distance=distance) for distance in DISTANCES
)


@pytest.mark.parametrize(
    "term", mostly_slow(DEEP, (DEEP[0], DEEP[-1])), ids=lambda term: term.distance
)
def test_features_of_the_discriminator(term: Term) -> None:
    gen, params = critical()
    a, b = picture(0, 16), picture(1, 16)
    steps = gen.discriminator.steps[-2:]
    ours, theirs = (jax.jit(gen.discriminator.features)(params, x) for x in (a, b))
    by = getattr(distances, term.distance)
    expected = sum(jnp.mean(by(ours[step]["x"], theirs[step]["x"])) for step in steps)
    np.testing.assert_allclose(distance(term, a, b), expected, rtol=1e-5)
    named = replace(term, last_layers=0, layers=steps)
    np.testing.assert_allclose(distance(named, a, b), expected, rtol=1e-5)
    value, slope = jax.jit(jax.value_and_grad(lambda x, y: distance(term, x, y)))(b, b)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("term", DEEP, ids=lambda term: term.distance)
def test_masks_reach_the_features_of_the_discriminator(term: Term) -> None:
    a, b, ones = picture(0, 16), picture(1, 16), jnp.ones((16, 16, 1))
    whole, none = distance(term, a, b, ones), distance(term, a, b, 0 * ones)
    np.testing.assert_allclose(whole, distance(term, a, b), rtol=1e-5)
    assert none < 1e-6
    assert distance(term, a, b, ones.at[:, 8:].set(0.0)) != whole


@pytest.mark.parametrize("critic", [False, True])
def test_realism_is_the_score_of_the_render(critic: bool) -> None:
    gen, params = critical()
    image = picture(0, 16)
    seen = TermInputs({}, {}, 0 * image, {}, params, {}, image, gen.discriminator)
    term = Term("realism", critic=critic)
    measure = jax.jit(lambda params: term_value(term, seen._replace(nets={DISCRIMINATOR: params})))
    found = measure(params)
    score = jax.jit(gen.discriminator.scores)(params, image[None])[0]
    expected = -score if critic else jnp.log1p(jnp.exp(-score))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_attention_is_weighed_by_what_the_target_pays() -> None:
    gen, params = seer()
    a, b = picture(0, 16), picture(1, 16)
    ours, theirs = (gen.discriminator.features(params, x)["attention0"] for x in (a, b))
    maps = np.asarray(theirs["attention"])
    paid = (maps.sum(1) / np.count_nonzero(maps, axis=1)).reshape(2, 4, 4)
    paid = paid.repeat(2, 1).repeat(2, 2)[..., None]
    difference = np.asarray(ours["x"] - theirs["x"])
    parts = [np.sqrt(np.sum((one * difference) ** 2)) for one in paid]
    found = distance(Term("attention"), a, b, pair=seer())
    np.testing.assert_allclose(found, sum(parts), rtol=1e-4)
    second = distance(Term("attention", layers=("attention0",), heads=(1,)), a, b, pair=seer())
    np.testing.assert_allclose(second, parts[1], rtol=1e-4)
    plain = distance(Term("attention", weighted=False), a, b, pair=seer())
    np.testing.assert_allclose(plain, 2 * np.sqrt(np.sum(difference**2)), rtol=1e-4)
    assert distance(Term("attention"), b, b, pair=seer()) < 1e-6
    slope = jax.jit(jax.grad(lambda x: distance(Term("attention"), x, b, pair=seer())))(b)
    assert np.isfinite(slope).all()


def test_who_is_not_looked_at_by_all_is_not_punished_for_it() -> None:
    weights = jnp.asarray([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0]] * 2)
    found = distances.saliency(weights, (2, 2))
    np.testing.assert_allclose(found, [[[0.75, 0.5], [0, 0]]])


def judged(*terms: Term) -> Preset:
    return Preset("p", (Stage((Variable("z"),), (MSE, *terms), steps=2),), "", "")


@pytest.mark.parametrize(
    ("pair", "term", "told"),
    [
        (linear, Term("realism"), "'realism' needs a discriminator, which 'linear' lacks"),
        (linear, DEEP[0], "needs a discriminator, which 'linear' lacks; allowed: generators"),
        (
            critical,
            Term("features", net=DISCRIMINATOR, layers=("b64",)),
            r"unknown step .*'b64'; allowed: image, b16, b8",
        ),
        (
            critical,
            Term("features", net=DISCRIMINATOR, last_layers=4),
            "has last_layers 4; allowed: up to 3",
        ),
        (critical, Term("attention"), "a discriminator with attention.*'style'.*image, b16, b8"),
        (
            seer,
            Term("attention", layers=("block0",)),
            "step with attention .*'block0'; allowed: attention0",
        ),
        (seer, Term("attention", heads=(0, 2)), r"has heads \(0, 2\); allowed: 0 to 1"),
    ],
)
def test_discriminators_that_do_not_suit_are_refused(pair: Any, term: Term, told: str) -> None:
    gen, params = pair()
    with pytest.raises(ValueError, match=told):
        check_weights(gen, judged(term), params, {})


def test_discriminators_that_suit_pass() -> None:
    gen, params = critical()
    check_weights(gen, judged(*DEEP, Term("realism")), params, {})
    gen, params = seer()
    check_weights(gen, judged(Term("attention", heads=(0, 1))), params, {})


@pytest.mark.parametrize(
    ("term", "size", "told"),
    [
        (DEEP[0], 8, "sees 8x8 px of images of 8 px; allowed: at least 16x16"),
        (Term("attention"), 8, "allowed: at least 16x16"),
        (Term("ms_ssim"), 16, "sees 16x16 px of images of 16 px; allowed: at least 161x161"),
        (Term("ms_ssim", scales=6), 16, "at most 5, got 6"),
        (Term("hog", view=View(9)), 16, "sees 9x9 px of images of 16 px; allowed: multiples of 8"),
    ],
)
def test_sizes_that_do_not_suit_are_refused(term: Term, size: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_preset(STYLE, judged(term), size)


def test_realism_sees_the_full_render_whatever_is_compared() -> None:
    gen, _ = style()
    assert Problem(gen, judged(Term("realism")).stages[0], 8, 1).render_size == 16
    assert Problem(gen, judged().stages[0], 8, 1).render_size == 8
    check_preset(STYLE, judged(Term("realism")), 8)


def test_inversion_by_the_discriminator() -> None:
    terms = (DEEP[1], Term("realism", 0.01), Term("ms_ssim", scales=1))
    stage = Stage((Variable("w"),), terms, 40, SolverSpec("adam", 0.05))
    names = tuple(term.label for term in terms)
    found = invert(
        *critical(),
        draw(style(), 5, 1),
        preset=Preset("p", (stage,), "", ""),
        nets={},
        record_terms=names,
    )
    assert found.loss[0] < 0.5 * found.losses[0, 0, 0]
    assert np.isfinite(found.terms["realism"]).all()
    total = sum(term.weight * found.terms[term.label] for term in terms)
    np.testing.assert_allclose(found.losses, total, rtol=1e-4)


def test_classes_reach_a_conditional_discriminator() -> None:
    gen, params = mobile(CLASSES)
    params = {**params, DISCRIMINATOR: {"classes": jnp.arange(10.0)}}

    def judge(params: Params, x: Array, deviation: Array, label: Array | None) -> Array:
        del x, deviation
        if label is None:
            raise ValueError("a conditional discriminator needs labels [n, classes]")
        return label @ params[DISCRIMINATOR]["classes"]

    gen = gen._replace(
        discriminator=Discriminator(("one",), lambda key: {}, lambda p, x, s, t: {"x": x}, judge)
    )
    made = judged(Term("realism", critic=True))
    image = np.zeros((1, 16, 16, 3), np.float32)
    stages = (replace(made.stages[0], variables=(Variable("z", init=InitSpec("prior")),)),)
    found = invert(
        gen,
        params,
        image,
        preset=replace(made, stages=stages),
        nets={},
        labels=[7],
        record_terms=("realism",),
    )
    np.testing.assert_allclose(found.terms["realism"], -7.0)
