"""Rules that choose one of several restarts: which one each keeps, and what is kept with it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.restarts import RESTART_RULES, Batch, choose_restarts
from jaxinv.inversion.stages import DIVERGED, LOSS, OK, BestSoFar
from jaxinv.specs import vocabulary

LOSSES = np.array([[3.0, 1.0, 2.0], [5.0, 4.0, 9.0]])  # of three restarts of two images
# The restart that each rule keeps of every image. A new rule is one line here.
KEPT = {"lowest-loss": [1, 1]}


def chosen(rule: str, losses: np.ndarray = LOSSES) -> dict:
    """What a rule keeps; every lane's w is its loss, and the last lane diverged."""
    count, restarts = losses.shape
    flat = losses.ravel()
    keys = jax.random.split(jax.random.key(0), flat.size)
    images = jnp.zeros((flat.size, 8, 8, 3))
    lanes = Batch(images, None, keys, jnp.arange(flat.size) % restarts, restarts, count, 8)
    status = np.where(np.arange(flat.size) == flat.size - 1, DIVERGED, OK)
    end: Any = ({}, flat, np.ones(flat.size, int), status, ())
    curves = {LOSS: flat[:, None]}
    return choose_restarts(
        lanes, {"w": flat[:, None]}, [BestSoFar(*end)], curves, keep_all_restarts=True, rule=rule
    )


def test_every_rule_is_tested() -> None:
    assert set(KEPT) == set(RESTART_RULES) == set(vocabulary.RESTART_RULES)


@pytest.mark.parametrize("rule", RESTART_RULES)
def test_a_rule_keeps_one_restart_with_all_that_belongs_to_it(rule: str) -> None:
    found = chosen(rule)
    np.testing.assert_array_equal(found["best"], KEPT[rule])
    kept = LOSSES[np.arange(len(LOSSES)), KEPT[rule]]
    np.testing.assert_array_equal(found["loss"], kept)
    np.testing.assert_array_equal(found["latents"]["w"], kept[:, None])
    np.testing.assert_array_equal(found["diverged"], [False, KEPT[rule][1] == 2])
    np.testing.assert_array_equal(found["all_restarts"].loss, LOSSES)


@pytest.mark.parametrize("rule", RESTART_RULES)
def test_of_one_restart_every_rule_keeps_it(rule: str) -> None:
    np.testing.assert_array_equal(chosen(rule, LOSSES[:, :1])["best"], [0, 0])
