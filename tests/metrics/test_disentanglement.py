"""Latents that are the factors, latents that mix them, and planes that part what they can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from jaxinv.metrics import disentanglement as scores

DRAWS = np.random.default_rng(0)
CODES = DRAWS.normal(size=(300, 4))
TRUTH = (CODES[:, :3] > 0).astype(int)


def test_factors_by_themselves_are_disentangled_and_mixed_ones_are_not() -> None:
    alone = scores.dci(CODES, TRUTH)
    assert min(alone[:3]) > 0.95
    assert alone.importance.shape == (4, 3)
    turn = np.linalg.qr(DRAWS.normal(size=(4, 4)))[0]
    mixed = scores.dci(CODES @ turn, TRUTH)
    assert all(x < y - 0.03 for x, y in zip(mixed[:3], alone[:3], strict=True))
    np.testing.assert_array_equal(scores.dci(CODES, TRUTH).importance, alone.importance)


def test_importance_of_one_and_of_all() -> None:
    assert scores.disentanglement(np.eye(3)) == pytest.approx(1)
    assert scores.completeness(np.eye(3)) == pytest.approx(1)
    assert scores.disentanglement(np.ones((5, 3))) == pytest.approx(0)
    assert scores.completeness(np.ones((5, 3))) == pytest.approx(0)
    given = np.random.default_rng(1).gamma(1.0, size=(5, 3))
    known = (1 - entropy(given, base=3, axis=1)) @ (given.sum(1) / given.sum())
    assert scores.disentanglement(given) == pytest.approx(known)
    assert scores.completeness(given) == pytest.approx(1 - entropy(given, base=5, axis=0).mean())


@pytest.mark.parametrize("seed", range(3))
def test_conditional_entropy_equals_that_of_mutual_information(seed: int) -> None:
    x, y = np.random.default_rng(seed).integers(0, 2, (2, 200))
    y[:100] = x[:100]
    known = entropy(np.bincount(y) / 200, base=2) - mutual_info_score(x, y) / np.log(2)
    assert scores.conditional_entropy(x, y) == pytest.approx(known)
    assert scores.conditional_entropy(x, x) == pytest.approx(0)


def test_planes_part_linear_attributes_and_no_others() -> None:
    linear = scores.linear_separability(CODES, CODES[:, :2] @ [[1.0, 1], [0, 2]])
    assert linear == pytest.approx(1, abs=1e-6)
    parity = CODES[:, :1] * CODES[:, 1:2]
    assert scores.linear_separability(CODES, parity) > 1.8
    assert scores.linear_separability(CODES, np.tile(parity, 2)) > 1.8**2


def test_entanglement_is_the_cosine_of_the_angle() -> None:
    rows = DRAWS.normal(size=(3, 5))
    found = scores.entanglement(rows)
    angle = subspace_angles(rows[:1].T, rows[1:2].T)[0]
    assert found[0, 1] == pytest.approx(np.cos(angle))
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(scores.entanglement(np.diag([1.0, -2, 3])), np.eye(3), atol=1e-15)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "zero": (lambda: scores.entanglement(np.zeros((2, 3))), "direction 0 is all zero"),
    "alone": (lambda: scores.entanglement(np.ones((1, 3))), "1 samples; allowed: at least 2"),
    "negative": (lambda: scores.disentanglement(-np.eye(3)), "not below 0"),
    "empty": (lambda: scores.completeness(np.zeros((3, 3))), "not below 0"),
    "few": (lambda: scores.dci(CODES[:20], TRUTH[:20]), "20 samples; allowed: at least 34"),
    "constant": (lambda: scores.dci(CODES, 0 * TRUTH), "is always 0"),
    "grey": (lambda: scores.dci(CODES, CODES[:, :2]), "allowed: whole numbers below 2"),
    "rows": (lambda: scores.dci(CODES, TRUTH[:9]), r"allowed: \[300, 3\]"),
    "logits": (lambda: scores.linear_separability(CODES, np.ones((300, 1))), "is True in all"),
    "counts": (lambda: scores.linear_separability(CODES, CODES[:200]), "300 codes and 200 scores"),
    "nan": (lambda: scores.linear_separability(CODES * np.nan, CODES), "codes must be finite"),
    "labels": (lambda: scores.conditional_entropy(TRUTH, TRUTH), r"one shape \[n\]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(case: str) -> None:
    call, says = REFUSED[case]
    with pytest.raises(ValueError, match=says):
        call()
