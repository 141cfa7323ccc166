"""Scores of edits: exact encoders, edits that commute, angles that wrap, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.metrics.pairwise import paired_cosine_distances, paired_euclidean_distances

from jaxinv.metrics import editing
from jaxinv.metrics.editing import accuracy, edit_consistency, latent_editing_consistency

A, B = np.random.default_rng(0).normal(size=(2, 30, 6))


def test_distances_of_features_equal_those_of_scikit_learn() -> None:
    euclidean, cosine = (editing.feature_distance(A, B, kind) for kind in editing.DISTANCES)
    np.testing.assert_allclose(euclidean, paired_euclidean_distances(A, B), rtol=1e-12)
    np.testing.assert_allclose(cosine, paired_cosine_distances(A, B), rtol=1e-12)
    np.testing.assert_allclose(editing.feature_distance(A, 3 * A, "cosine"), 0, atol=1e-12)


def test_landmarks_that_move_together() -> None:
    points = A.reshape(30, 3, 2)
    moved = editing.landmark_distance(points, points + np.array([3, 4]))
    np.testing.assert_allclose(moved, 5 * np.sqrt(3))


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [([0, 0, 0], [3, 4, 0], 5), ([179, 0, 0], [-179, 0, 0], 2), ([-350, 0, 1], [10, 0, 1], 0)],
)
def test_angles_are_compared_on_the_circle(a: list, b: list, apart: float) -> None:
    assert editing.pose_distance(np.array([a]), np.array([b]))[0] == pytest.approx(apart)


@pytest.mark.parametrize("batch", [None, 7])
def test_accuracy_equals_that_of_scikit_learn(batch: int | None) -> None:
    labels = np.random.default_rng(1).integers(0, 6, 30)
    found = accuracy(A, labels, batch=batch)
    kept = 30 if batch is None else 28
    known = accuracy_score(labels[:kept], A[:kept].argmax(1))
    assert (found.accuracy, found.chance) == (pytest.approx(known), 1 / 6)
    assert accuracy(np.eye(6)[labels], labels, batch=10) == (1.0, 0.0, 1 / 6)


def test_dependency_is_told_in_deviations() -> None:
    spread = np.array([1.0, 2, 4])
    after = A[:, :3] + np.array([2.0, -1, 1])
    found = editing.attribute_dependency(A[:, :3], after, 0, spread)
    np.testing.assert_allclose(found.target, 2)
    np.testing.assert_allclose(found.others, (1 / 2 + 1 / 4) / 2)
    assert found.ratio == pytest.approx(0.1875)
    assert np.isnan(editing.attribute_dependency(A, A, 0, np.ones(6)).ratio)
    np.testing.assert_allclose(editing.drift(A[:, :3], after), [2, 1, 1])


def test_edits_that_commute_are_consistent_and_curved_ones_are_not() -> None:
    attributes = [lambda w: w[:, 0], lambda w: w[:, 1]]
    linear = [lambda w: w + np.eye(6)[0], lambda w: w - 2 * np.eye(6)[1]]
    np.testing.assert_allclose(edit_consistency(A, linear, attributes), 0, atol=1e-15)
    turn = lambda w: np.stack([w[:, 1], w[:, 0]], axis=1)  # noqa: E731
    found = edit_consistency(A[:, :2], [turn, lambda w: w + np.eye(2)[0]], attributes)
    np.testing.assert_allclose(found, [[0, 1], [1, 0]])


@pytest.mark.parametrize("shape", [(200, 12), (200, 3, 4)])
def test_an_exact_encoder_is_consistent(shape: tuple[int, ...]) -> None:
    draws = np.random.default_rng(3)
    codes = draws.normal(size=shape)
    draw = draws.normal(size=(40, 12))
    direction = draws.normal(size=shape[1:])
    pictures = (codes + 3 * direction).reshape(200, 12) @ draw.T
    back = (pictures @ np.linalg.pinv(draw).T).reshape(shape) - 3 * direction
    assert latent_editing_consistency(codes, back) < 1e-12
    assert latent_editing_consistency(codes, codes + 1) == pytest.approx(np.sqrt(12))
    worse = np.where(np.arange(200).reshape(-1, *[1] * (len(shape) - 1)) == 7, 1e6, codes)
    assert latent_editing_consistency(codes, worse) == pytest.approx(0, abs=1e-9)
    assert latent_editing_consistency(codes, worse, batch=4) != pytest.approx(0, abs=1e-9)


def test_the_published_way_trims_means_of_batches() -> None:
    apart = np.arange(12.0)
    codes = np.zeros((12, 1))
    assert latent_editing_consistency(codes, apart[:, None], batch=5) == pytest.approx(
        np.mean([2, 7, 10.5])
    )


ONES = np.ones((4, 2))
DEPENDENCY = editing.attribute_dependency
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "kind": (lambda: editing.feature_distance(A, B, "l2"), "allowed: euclidean, cosine"),
    "length-0": (lambda: editing.feature_distance(0 * A, B, "cosine"), "length 0"),
    "shapes": (lambda: editing.feature_distance(A, B[:9]), "shapes differ"),
    "flat": (lambda: editing.feature_distance(A[0], B[0]), r"allowed: \[n, any\]"),
    "points": (lambda: editing.landmark_distance(A, B), r"allowed: \[n, any, 2\]"),
    "angles": (lambda: editing.pose_distance(A, B), r"allowed: \[n, 3\]"),
    "nan": (lambda: editing.pose_distance(np.full((1, 3), np.nan), np.ones((1, 3))), "finite"),
    "classes": (lambda: accuracy(ONES[:, :1], np.zeros(4)), "at least 2 classes"),
    "label": (lambda: accuracy(ONES, np.array([0, 1, 2, 0])), "labels: 2; allowed: whole"),
    "label-half": (lambda: accuracy(ONES, np.array([0, 1, 0.5, 0])), "labels: 0.5"),
    "label-count": (lambda: accuracy(ONES, np.zeros(3)), r"allowed: \[4\]"),
    "batch": (lambda: accuracy(ONES, np.zeros(4), batch=5), "4 samples; allowed: at least 5"),
    "target": (lambda: DEPENDENCY(ONES, ONES, 2, np.ones(2)), "target is 2; allowed: below 2"),
    "spread": (lambda: DEPENDENCY(ONES, ONES, 0, np.zeros(2)), "all above 0"),
    "alone": (lambda: DEPENDENCY(ONES[:, :1], ONES[:, :1], 0, np.ones(1)), "at least 2"),
    "one-edit": (lambda: edit_consistency(A, [np.copy], [np.copy]), "allowed: as many, at least 2"),
    "scores": (lambda: edit_consistency(A, [np.copy] * 2, [np.copy] * 2), r"allowed: \[n\]"),
    "codes": (lambda: latent_editing_consistency(A, B[:, :3]), "shapes differ"),
    "codes-flat": (lambda: latent_editing_consistency(A[0], B[0]), r"allowed: \[n, any\]"),
    "codes-few": (lambda: latent_editing_consistency(A, B, batch=31), "at least 31"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(case: str) -> None:
    call, says = REFUSED[case]
    with pytest.raises(ValueError, match=says):
        call()
