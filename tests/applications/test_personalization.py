"""Generators of one person: what is kept of a search, and searches in the anchors' hull."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.applications.personalization import personal_generator
from jaxinv.inversion.invert import invert
from jaxinv.io import checkpoints
from jaxinv.latents.codecs import HULL_MARGIN, from_hull, to_hull
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from jaxinv.models.statistics import ANCHORS, STATISTICS
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from tests.tiny import chain, draw, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
ADAM = SolverSpec("adam", 0.03)
SHARED = Preset(
    "shared",
    (
        Stage((Variable("w+"),), (Term("mse"),), 20, ADAM),
        Stage((Variable("weights", shared=True),), (Term("mse"),), 20, SolverSpec("adam", 0.003)),
    ),
    "",
    "",
)
HULL = Preset("hull", (Stage((Variable("w+", codec="hull"),), (Term("mse"),), 200, ADAM),), "", "")


def anchors(count: int = 5, rows: int = 3, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, rows, width)).astype(np.float32)


def test_shares_of_the_hull_add_up_to_one_and_are_hardly_negative() -> None:
    held = {ANCHORS: jnp.asarray(anchors())}
    u = 20 * jax.random.normal(jax.random.key(0), (3, 5))
    points = np.asarray(from_hull(held, u))
    for row in range(3):
        corners = np.concatenate([anchors()[:, row], np.ones((5, 1))], axis=1)
        shares = np.linalg.lstsq(corners.T, np.append(points[row], 1), rcond=None)[0]
        np.testing.assert_allclose(corners.T @ shares, np.append(points[row], 1), atol=1e-4)
        assert shares.min() >= -HULL_MARGIN - 1e-4
    middle = from_hull(held, jnp.zeros((3, 5)))
    np.testing.assert_allclose(middle, anchors().mean(0), atol=1e-6)


def test_a_point_of_the_hull_comes_back() -> None:
    held = {ANCHORS: jnp.asarray(anchors())}
    for u in (jnp.zeros((3, 5)), jax.random.normal(jax.random.key(1), (3, 5))):
        point = from_hull(held, u)
        again = from_hull(held, to_hull(held, point))
        np.testing.assert_allclose(again, point, atol=0.02 * float(jnp.std(anchors())))


def test_what_is_far_from_the_hull_starts_inside_and_finite() -> None:
    held = {ANCHORS: jnp.asarray(anchors())}
    far = to_hull(held, 100 * jnp.ones((3, 8)))
    assert np.isfinite(far).all()
    same = {ANCHORS: jnp.ones((4, 3, 8))}  # the same picture four times
    np.testing.assert_allclose(from_hull(same, to_hull(same, jnp.zeros((3, 8)))), 1, rtol=1e-5)


def test_the_tuned_generator_draws_the_pictures_at_its_anchors(tmp_path: Path) -> None:
    gen, params = style()
    images = np.clip(draw(style(), 5, 3) + 0.1, -1, 1)
    found = invert(gen, params, images, preset=SHARED)
    own, tuned = personal_generator(gen, params, found.latents, "anna")
    assert own.spec.name == "anna"
    file = tmp_path / "anna.safetensors"
    facts = tuple(fact for fact in own.spec.facts if fact[0] != "discriminator")
    spec = asdict(replace(own.spec, facts=facts))  # these parameters have no discriminator
    metadata = {"kind": "generator", "spec": json.dumps(spec)}
    checkpoints.save(file, tuned, metadata)
    loaded, held = load_generator(str(file))
    expected = render(gen, params, found.latents)
    drawn = render(loaded, held, {"w+": held[STATISTICS][ANCHORS]})
    np.testing.assert_allclose(drawn, expected, atol=2e-4)
    assert np.abs(np.asarray(render(gen, params, {"w+": found.latents["w+"]})) - drawn).max() > 1e-3
    between = invert(loaded, held, images[:1], preset=HULL)
    shares = np.linalg.lstsq(
        np.asarray(held[STATISTICS][ANCHORS]).reshape(3, -1).T, between.latents["w+"].ravel()
    )[0]
    assert shares.argmax() == 0


def test_what_makes_no_personal_generator_is_refused() -> None:
    gen, params = style()
    code = np.zeros((2, gen.spec.rows, gen.spec.w_dim), np.float32)
    own = {"synthesis": {"x": {"add": np.arange(2.0)}}}
    with pytest.raises(ValueError, match="w or w\\+, with weights"):
        personal_generator(gen, params, {"w+": code}, "anna")
    with pytest.raises(ValueError, match="1 picture; allowed: at least 2"):
        personal_generator(gen, params, {"w+": code[:1], "weights": own}, "anna")
    with pytest.raises(ValueError, match="weights of its own"):
        personal_generator(gen, params, {"w+": code, "weights": own}, "anna")
    with pytest.raises(ValueError, match="which generator 'style' lacks"):
        invert(gen, params, draw(style(), 5), preset=HULL)
    with pytest.raises(ValueError, match="allowed: neither"):
        Variable("w+", codec="hull", freeze=(0, 2))
    flat, held = chain()
    with pytest.raises(ValueError, match="'chain' has no W"):
        personal_generator(flat, held, {"z": code[:, 0], "weights": own}, "anna")
