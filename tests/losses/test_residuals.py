"""Losses that are sums of squares: their vectors, and the solver that lowers them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.objective import Objective
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.losses.base import TermInputs, Told
from jaxinv.losses.terms import (
    TERMS,
    are_squares,
    evaluate,
    extract_features,
    locality_terms,
    residuals,
)
from jaxinv.models.statistics import STATISTICS, P
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.specs import Schedule, SolverSpec, Term, Variable, View
from jaxinv.specs.term_kinds import TERMS as KINDS
from jaxinv.specs.vocabulary import ALIGNER, CRITIC, DISCRIMINATOR, OUTPUT
from jaxinv.types import Array
from tests.engine import one, preset, run
from tests.judged import critical, picture, seer
from tests.offline import random_net
from tests.tiny import LINEAR, draw, linear

SIDE = 40
MSE = Term("mse")
UPPER = View(crop=(0, 0, 0.5, 1))
IMAGES = (
    Term("mse", 2.0),
    Term("mse", view=View(16)),
    Term("mse", 0.1, reduction="sum"),
    Term("mse", reduction="sum", view=UPPER),
    Term("lpips", 0.5, net="alexnet", schedule=Schedule("cosine")),
    Term("features", net="alexnet", layers=("conv1", "relu3")),
)
PENALTIES = (
    Term("checkerboard", 10.0),
    Term("high_pass_anchor", 10.0, cutoff=8),
    Term("noise_autocorrelation"),
    Term("gaussian", variable="w+", margin=0.3, row_range=(0.3, 1.0)),
    Term("gaussian", variable="noise"),
    Term("row_spread", 3.0, variable="w+"),
    Term("anchor", variable="w+"),
    Term("anchor", variable="noise", reduction="sum"),
    Term("mahalanobis", variable="w+"),
    Term("norm_from", variable="w+", power=2),
    Term("residual_energy"),
    Term("drift"),
    Term("encoder_cycle"),
)
OTHERS = (
    Term("l1"),
    Term("mse", floor=0.1),
    Term("features", net="alexnet", layers=("conv1",), distance="cosine"),
    Term("features", net="alexnet", layers=("conv1",), distance="style"),
    Term("logcosh"),
    Term("charbonnier", view=UPPER),
    Term("bce"),
    Term("hog"),
    Term("ms_ssim", scales=2),
    Term("attention"),
    Term("realism"),
    Term("sparsity", variable="w+"),
    Term("drift", power=1),
    Term("norm_from", variable="w+"),
    Term("delta_norm"),
    Term("geocross", variable="w+"),
    Term("locality"),
    Term("embedding", net="attribute"),
    Term("embedding_at_gap", net="attribute"),
    Term("attribute", net="attribute"),
    Term("aside", distance="l1"),
    Term("redrawn", distance="cosine"),
    Term("identity", net="attribute"),
    Term("latent", variable="w+"),
    Term("code_realism", variable="w+"),
    Term("style_alignment", variable="w+"),
)
EVERY = (*IMAGES, *PENALTIES, *OTHERS)


def name_of(term: Term) -> str:
    return f"{term.label}-{term.distance}-{term.reduction}-{term.power}"


@lru_cache
def nets() -> dict[str, Any]:
    params = jax.tree.map(jnp.asarray, random_net("alexnet"))
    mean = jax.tree_util.Partial(lambda image: jnp.mean(image, (0, 1)))
    looks = jax.tree_util.Partial(lambda image: {OUTPUT: image[:4, :6, 0]})
    score = jax.tree_util.Partial(lambda code: jnp.sum(code, axis=-1))
    eyes: dict[str, Any] = {"alexnet": {**params, BACKWARD_KERNELS: precompute_backward(params)}}
    apart = jax.tree_util.Partial(lambda latents: jnp.sum(jnp.square(latents["w+"])))
    return {**eyes, "attribute": mean, "encoder": looks, CRITIC: score, ALIGNER: apart}


def sample(image: Array, seen: Any) -> TermInputs:
    """A lane with everything that a penalty may ask for."""
    rows, mean = picture(5)[:4, :6, 0], jnp.linspace(-1.0, 1.0, 6)
    held = {"mean": mean, "axes": jnp.eye(6)[::-1], "scales": 1.5 + mean}
    params = {STATISTICS: {"mean": mean, P: held}, "synthesis": {"a": {"kernel": rows}}}
    maps = (picture(6, 8)[..., 0], picture(7, 16)[..., 0])
    codes = {"w+": rows, "noise": maps}
    latents = {
        **codes,
        "features": {"a": picture(8, 4), "b": picture(9, 8)},
        "weights": {"synthesis": {"a": {"kernel": {"times": rows}}}},
    }
    start = jax.tree.map(lambda x: 0.5 * x, codes)
    told = Told(jnp.asarray(0.2), jnp.asarray(0.4), image, 0.5 * image)
    told = told._replace(redrawn={"a": image}, layers={"a": image[::-1]})
    told = told._replace(identity=jax.tree.map(lambda x: 0.5 * x, seen))
    found = TermInputs(codes, latents, image, seen, params, start, pivot=0.5 * image[::-1])
    return found._replace(known=start, told=told)


def test_every_term_has_functions_and_a_line_here() -> None:
    squares = {name for name, functions in TERMS.items() if functions.residuals is not None}
    clouds = {name for name, kind in KINDS.items() if kind.cloud}  # tests/losses/test_clouds.py
    assert set(TERMS) == set(KINDS) == {term.name for term in EVERY} | clouds
    assert {term.name for term in (*IMAGES, *PENALTIES)} == squares


@pytest.mark.parametrize("term", EVERY, ids=name_of)
def test_every_term_is_a_finite_scalar_with_a_gradient(term: Term) -> None:
    side = 16 if term.needs_discriminator else SIDE
    gen, own = seer() if term.kind.attention else critical()
    eyes, judge = {**nets(), DISCRIMINATOR: own}, gen.discriminator
    looks = (term, *locality_terms((term,)))

    @jax.jit
    def measure(image: Array, target: Array) -> Any:
        def value(latents: Any, image: Array) -> Array:
            seen, aim = (extract_features(looks, eyes, x, judge) for x in (image, target))
            given = sample(image, seen)._replace(latents=latents, discriminator=judge)
            codes = {name: latents[name] for name in given.codes}
            given = given._replace(codes=codes, elsewhere_features=(seen, aim))
            return evaluate((term,), eyes, given, (aim, None), jnp.zeros(()))[0]

        return jax.value_and_grad(value, (0, 1))(sample(image, {}).latents, image)

    value, slopes = measure(picture(0, side), picture(1, side))
    assert value.shape == ()
    assert value > 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))
    assert any(np.any(x != 0) for x in jax.tree.leaves(slopes))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "terms",
    [*((term,) for term in (*IMAGES, *PENALTIES)), IMAGES, PENALTIES],
    ids=lambda terms: "all" if len(terms) > 1 else name_of(terms[0]),
)
def test_the_squared_norm_is_the_loss(terms: tuple[Term, ...], masked: bool) -> None:
    mask = picture(3, SIDE)[..., :1] ** 2 if masked else None

    @jax.jit
    def measure(image: Array, target: Array, eyes: Any, progress: Array) -> Any:
        given = sample(image, extract_features(terms, eyes, image))
        aim = extract_features(terms, eyes, target), mask
        vector = residuals(terms, eyes, given, aim, progress)
        return jnp.vdot(vector, vector), evaluate(terms, eyes, given, aim, progress)[0]

    assert are_squares(terms)
    for progress in (0.0, 0.4):
        given = picture(0, SIDE), picture(1, SIDE), nets(), jnp.asarray(progress)
        square, loss = measure(*given)
        assert loss > (0.1 if len(terms) > 1 else 0)
        np.testing.assert_allclose(square, loss, rtol=1e-5)


@pytest.mark.parametrize("term", OTHERS, ids=name_of)
def test_what_is_no_square_says_nothing(term: Term) -> None:
    assert not are_squares((MSE, term))


@pytest.mark.parametrize("others", [(), (Term("l1"),)])
def test_the_objective_offers_what_it_has(others: tuple[Term, ...]) -> None:
    gen, params = linear()
    problem = Problem(gen, one(Variable("w+"), terms=(MSE, *others)), 16, 1)
    target = jnp.asarray(draw(linear(), 1, 1)[0])
    weights, key = NetworkParams(params, {}), jax.random.key(0)
    seen = extract_features(problem.stage.terms, {}, target)
    lane = Lane(seen, None, key, jnp.zeros((), jnp.int32), {})
    fn: Any = Objective(problem, weights, lane, jnp.zeros(()))
    assert hasattr(fn, "residuals") == (not others)
    if others:
        return
    codes = {"w+": picture(1)[:3, :6, 0]}
    vector, told = fn.residuals(codes, key)
    loss, values = fn(codes, key)
    np.testing.assert_allclose(jnp.vdot(vector, vector), loss, rtol=1e-5)
    np.testing.assert_allclose(told["mse"], values["mse"], rtol=1e-6)


def test_levenberg_marquardt_solves_the_linear_generator() -> None:
    images = draw(linear(), 1, 2)
    stage = one(Variable("w+"), steps=60, solver=SolverSpec("lm"))
    found = run(preset(stage), images)
    assert np.all(found.loss < 1e-9)
    anchored = replace(stage, terms=(MSE, Term("anchor", variable="w+")), steps=80)
    held = run(preset(anchored), images).latents["w+"]
    np.testing.assert_allclose(held, ridge(images), atol=1e-3)


def ridge(images: np.ndarray) -> np.ndarray:
    """The exact answer for mse + the mean square of the way from the mean of W."""
    params = linear()[1]
    basis = np.asarray(params["synthesis"]["basis"], np.float64)
    rows, dim = LINEAR.rows, LINEAR.w_dim
    matrix = basis.reshape(rows, -1, dim).transpose(1, 0, 2).reshape(-1, rows * dim)
    start = np.tile(np.asarray(params[STATISTICS]["mean"], np.float64), rows)
    base = linear()[0].synthesize(params, {"w+": jnp.asarray(start.reshape(rows, dim))})
    rest = (images - np.asarray(base)).reshape(len(images), -1)
    count = matrix.shape[0]
    normal = matrix.T @ matrix / count + np.eye(rows * dim) / (rows * dim)
    moved = np.linalg.solve(normal, matrix.T @ rest.T / count).T
    return (start + moved).reshape(-1, rows, dim)


def test_features_of_the_discriminator_are_squares_too() -> None:
    gen, params = critical()
    terms = (Term("features", net=DISCRIMINATOR, last_layers=2),)
    eyes = {DISCRIMINATOR: params}

    @jax.jit
    def measure(image: Array, target: Array) -> Any:
        seen, aim = (extract_features(terms, eyes, x, gen.discriminator) for x in (image, target))
        given = TermInputs({}, {}, image, seen, discriminator=gen.discriminator)
        vector = residuals(terms, eyes, given, (aim, None), jnp.zeros(()))
        return jnp.vdot(vector, vector), evaluate(terms, eyes, given, (aim, None), jnp.zeros(()))[0]

    square, loss = measure(picture(0, 16), picture(1, 16))
    np.testing.assert_allclose(square, loss, rtol=1e-5)
