"""Random latents: priors, classes and truncation; generators that have no W space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.latents.sampling import average, one_hot, sample_latents, truncate
from jaxinv.models.loading import build
from jaxinv.models.rendering import render
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs import InitSpec, SolverSpec, Variable
from tests.engine import one, preset
from tests.tiny import STYLE, Pair, chain, grown, mobile, style

CLASSES = replace(
    STYLE,
    labels=3,
    facts=(("label", "embed"), ("label_width", 8), ("mapping_layers", 2)),
)


def test_draws_are_repeatable_and_differ_by_seed() -> None:
    first, again = (sample_latents(*style(), 3, seed=1)["w"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, sample_latents(*style(), 3, seed=2)["w"])
    np.testing.assert_allclose(sample_latents(*style(), 2, seed=1)["w"], first[:2], rtol=1e-5)


def test_a_uniform_prior_stays_within_one() -> None:
    z = np.asarray(sample_latents(*chain(), 200)["z"])
    assert np.abs(z).max() <= 1
    np.testing.assert_allclose(z.var(), 1 / 3, rtol=0.1)


def test_truncation_scales_the_distance_from_the_mean() -> None:
    mean = average(style()[1])
    whole = np.asarray(sample_latents(*style(), 4)["w"])
    half = np.asarray(sample_latents(*style(), 4, psi=0.5)["w"])
    np.testing.assert_allclose(half - mean, 0.5 * (whole - mean), atol=1e-5)
    plus = np.tile(whole[0], (6, 1))
    cut = truncate(style()[1], jnp.asarray(plus), 0.0, 2)
    np.testing.assert_allclose(cut[:2], np.tile(mean, (2, 1)), atol=1e-6)
    np.testing.assert_array_equal(cut[2:], plus[2:])


def test_the_average_of_training_comes_before_the_measured_mean() -> None:
    params = {"mapping": {"average": jnp.ones(3)}, STATISTICS: {"mean": jnp.zeros(3)}}
    np.testing.assert_array_equal(average(params), 1)


def test_a_generator_that_keeps_the_average_of_training_is_sampled_and_drawn() -> None:
    gen, params = style()
    kept = {**params["mapping"], "average": jnp.full(gen.spec.w_dim, 0.5)}
    latents = sample_latents(gen, {**params, "mapping": kept}, 1, psi=0.5)
    assert np.isfinite(render(gen, {**params, "mapping": kept}, latents)).all()
    kept["average"] = jnp.ones(gen.spec.w_dim + 1)
    with pytest.raises(ValueError, match="mapping/average"):
        sample_latents(gen, {**params, "mapping": kept}, 1)


@pytest.mark.parametrize("join", ["embed", "concat"])
def test_classes_decide_what_is_drawn(join: str) -> None:
    facts = (("label", join), ("label_width", 8), ("mapping_layers", 2))
    pair = mobile(replace(CLASSES, facts=facts))
    first, other = (np.asarray(sample_latents(*pair, 2, label=k)["w"]) for k in (0, 2))
    assert np.abs(first - other).max() > 0.1


def test_what_cannot_be_sampled_is_refused() -> None:
    conditional = build(CLASSES)
    for label in (None, 3, -1):
        with pytest.raises(ValueError, match="allowed: 0 to 2"):
            one_hot(conditional, label)
    with pytest.raises(ValueError, match="has no classes"):
        one_hot(style()[0], 0)
    with pytest.raises(ValueError, match="no W space to truncate"):
        sample_latents(*chain(), 1, psi=0.5)
    with pytest.raises(ValueError, match="count"):
        sample_latents(*style(), 0)
    with pytest.raises(ValueError, match="needs a label"):
        conditional.map(mobile(CLASSES)[1], jnp.zeros(8))


# --- generators without W -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [chain, grown])
def test_pictures_are_drawn_from_z_alone(make: Callable[[], Pair]) -> None:
    gen, params = make()
    assert gen.spec.spaces == ("z",)
    pictures = render(gen, params, sample_latents(gen, params, 2))
    assert pictures.shape == (2, 16, 16, 3)
    assert np.array_equal(pictures[..., 0], pictures[..., 2]) == (make is chain)  # grey
    assert 0.01 < pictures.std() < 2
    for part in (gen.map, gen.affine):
        with pytest.raises(ValueError, match="allowed: z"):
            part(params, jnp.zeros(8))


@pytest.mark.parametrize("make", [chain, grown])
def test_a_picture_is_found_again_in_z(make: Callable[[], Pair]) -> None:
    gen, params = make()
    z = sample_latents(gen, params, 1, seed=3)
    image = render(gen, params, z)
    solver = SolverSpec("lbfgs", options=(("history", 5), ("warmup", 5)))
    made = preset(one(Variable("z", init=InitSpec("prior")), steps=80, solver=solver))
    found = invert(gen, params, image, preset=made, nets={}, restarts=4)
    assert found.loss[0] < 1e-3 * image.var()
    again = render(gen, params, jax.tree.map(jnp.asarray, found.latents))
    np.testing.assert_allclose(again, image, atol=0.1)
