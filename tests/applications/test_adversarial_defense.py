"""Attacks in closed form on a linear classifier, and what a generator makes of their pictures."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.applications.adversarial_defense import fgsm, pgd, purify
from tests.tiny import LINEAR, draw, linear

pytestmark = pytest.mark.usefixtures("quick_compilation")
SIDE = LINEAR.resolution
WEIGHTS = np.random.default_rng(0).normal(size=(SIDE * SIDE * 3, 2)).astype(np.float32) / 100


def classify(pictures: jax.Array) -> jax.Array:
    """Two classes by a plane."""
    return pictures.reshape(len(pictures), -1) @ WEIGHTS


def pictures(count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Pictures well inside of [-1, 1], and what the classifier says of them."""
    images = np.clip(0.3 * draw(linear(), 1, count), -0.5, 0.5).astype(np.float32)
    return images, np.asarray(classify(jnp.asarray(images))).argmax(1)


def test_fgsm_of_a_plane_is_the_farthest_corner_of_the_cube() -> None:
    images, labels = pictures()
    attacked = fgsm(classify, images, labels, 0.1)
    towards = (WEIGHTS[:, 1] - WEIGHTS[:, 0]).reshape(SIDE, SIDE, 3)
    for image, label, moved in zip(images, labels, attacked, strict=True):
        way = towards if label == 0 else -towards
        np.testing.assert_allclose(moved, image + 0.1 * np.sign(way), atol=1e-6)


def test_pgd_ends_in_the_same_corner_and_within_its_bounds() -> None:
    images, labels = pictures()
    attacked = pgd(classify, images, labels, 0.1, steps=30)
    np.testing.assert_allclose(attacked, fgsm(classify, images, labels, 0.1), atol=1e-6)
    bright = np.ones_like(images)
    moved = pgd(classify, bright, labels, 0.2, steps=3, step=0.2)
    assert moved.max() <= 1
    assert np.abs(moved - bright).max() <= 0.2 + 1e-6
    same = pgd(classify, images, labels, 0.1, steps=1, seed=3)
    np.testing.assert_array_equal(same, pgd(classify, images, labels, 0.1, steps=1, seed=3))


def test_a_generator_forgets_most_of_an_attack() -> None:
    gen, params = linear()
    images = np.clip(draw(linear(), 1, 3), -1, 1).astype(np.float32)
    labels = np.asarray(classify(jnp.asarray(images))).argmax(1)
    attacked = fgsm(classify, images, labels, 0.2)
    options = {"preset": "z", "steps": 60, "restarts": 2, "nets": {}}
    clean, found = (purify(gen, params, few, **options) for few in (images, attacked))
    assert found.images.shape == images.shape
    before = np.mean(np.square(attacked - images))
    after = np.mean(np.square(found.images - clean.images))
    assert after < 0.1 * before  # 6 of 768 directions are within reach
    assert found.residuals.min() > clean.residuals.max()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classify": 3}, "classify"),
        ({"images": np.zeros((2, 4))}, r"allowed: \[B, S, S, 3\]"),
        ({"images": np.full((4, SIDE, SIDE, 3), 200.0)}, r"\[-1, 1\]"),
        ({"labels": [0.5, 1, 0, 1]}, "whole numbers"),
        ({"labels": [0, 1]}, r"\[4\]"),
        ({"eps": 0.0}, "eps"),
    ],
)
def test_what_cannot_be_attacked_is_refused(change: dict[str, object], words: str) -> None:
    images, labels = pictures()
    given: Any = {"classify": classify, "images": images, "labels": labels, "eps": 0.1} | change
    for attack in (fgsm, pgd):
        with pytest.raises(ValueError, match=words):
            attack(**given)
