"""Distances of sets: closed forms, a second implementation, sets that are too small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.neighbors import NearestNeighbors

from jaxinv.metrics import distributions as sets
from jaxinv.metrics.neighbours import neighbourhoods, radii, realism


def rotation(width: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0]


def exact(values: np.ndarray, turn: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Rows whose mean and covariance (N - 1) are exactly `mean` and turn diag(values) turn^T."""
    width = len(values)
    rows = np.random.default_rng(5).normal(size=(width + 7, width))
    white = np.linalg.qr(rows - rows.mean(0))[0] * np.sqrt(len(rows) - 1)
    return white * np.sqrt(values) @ turn.T + mean


def draws(seed: int, count: int = 90, width: int = 6) -> np.ndarray:
    mix = np.random.default_rng(seed)
    return mix.normal(size=(count, width)) @ mix.normal(size=(width, width)) + mix.normal(
        size=width
    )


@pytest.mark.parametrize("width", [1, 2, 16, 64])
def test_frechet_distance_of_commuting_gaussians(width: int) -> None:
    values = np.random.default_rng(width).gamma(1.0, 3.0, (2, width))
    means = np.random.default_rng(1).normal(size=(2, width))
    turn = rotation(width, 2)
    known = np.square(np.sqrt(values[0]) - np.sqrt(values[1])).sum()
    known += np.square(means[0] - means[1]).sum()
    a, b = (exact(v, turn, m) for v, m in zip(values, means, strict=True))
    assert sets.frechet_distance(a, b) == pytest.approx(known, rel=1e-8)
    given = [sets.moments_of(m, turn * v @ turn.T) for v, m in zip(values, means, strict=True)]
    assert sets.frechet(*given) == pytest.approx(known, rel=1e-8)
    np.testing.assert_allclose(given[0].covariance, np.atleast_2d(np.cov(a.T)), atol=1e-10)


@pytest.mark.parametrize(("n", "m", "width"), [(90, 70, 6), (400, 300, 40), (65, 65, 64)])
@pytest.mark.parametrize("ddof", [0, 1])
def test_frechet_distance_equals_that_with_matrix_roots(
    n: int, m: int, width: int, ddof: int
) -> None:
    a, b = draws(1, n, width), draws(2, m, width)
    x, y = (np.cov(one.T, ddof=ddof) for one in (a, b))
    root = np.real(np.asarray(sqrtm(x @ y)))
    known = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(x + y - 2 * root)
    assert sets.frechet_distance(a, b, ddof=ddof) == pytest.approx(known, rel=1e-6)


def test_frechet_distance_of_few_samples_needs_no_root() -> None:
    a, b = draws(1, 20, 50), draws(2, 30, 50)
    x, y = ((one - one.mean(0)) / np.sqrt(len(one) - 1) for one in (a, b))
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()  # the nuclear norm
    known = np.square(a.mean(0) - b.mean(0)).sum() + np.square(x).sum() + np.square(y).sum()
    found = sets.frechet_distance(a, b, full_rank=False)
    assert found == pytest.approx(known - 2 * shared, rel=1e-12)
    with pytest.raises(ValueError, match=r"20 samples; allowed: at least 51 \(a covariance of 50"):
        sets.frechet_distance(a, b)


def test_frechet_distance_keeps_its_invariances() -> None:
    a, b, turn = draws(1), draws(2), rotation(6, 3)
    known = sets.frechet_distance(a, b)
    assert sets.frechet_distance(a, a) <= 1e-6 * np.trace(np.cov(a.T))
    assert sets.frechet_distance(b, a) == pytest.approx(known, rel=1e-10)
    assert sets.frechet_distance(a @ turn + 7, b @ turn + 7) == pytest.approx(known, rel=1e-9)
    assert sets.frechet_distance(3 * a, 3 * b) == pytest.approx(9 * known, rel=1e-9)
    assert sets.frechet_distance(a, a + 2) == pytest.approx(6 * 4, rel=1e-9)
    assert sets.frechet_distance(a.astype(np.float32), b) == pytest.approx(known, rel=1e-5)


def test_segmentation_distance_compares_numbers_of_pixels() -> None:
    draw = np.random.default_rng(0)
    maps = [draw.choice(3, (40, 8, 8), p=p) for p in ([0.2, 0.3, 0.5], [0.4, 0.3, 0.3])]
    counts = [np.stack([(m == c).sum((1, 2)) for c in range(3)], 1) for m in maps]
    assert sets.segmentation_distance(maps[0], maps[1], 3) == sets.frechet_distance(*counts)
    assert sets.segmentation_distance(maps[0], maps[0], 3) < 1e-6 * np.cov(counts[0].T).trace()
    with pytest.raises(ValueError, match="allowed: one size"):
        sets.segmentation_distance(maps[0], maps[1][:, :4], 3)


@pytest.mark.parametrize("seed", [1, 2])
def test_mmd_equals_that_of_scikit_learn(seed: int) -> None:
    a, b = draws(seed, 40), draws(seed + 5, 30)
    kernels: list[tuple[Any, Callable[..., np.ndarray]]] = [
        (None, lambda x, y: polynomial_kernel(x, y, 3)),
        (sets.polynomial(2, 0.1, 2.0), lambda x, y: polynomial_kernel(x, y, 2, gamma=0.1, coef0=2)),
        (sets.gaussian(4.0), lambda x, y: rbf_kernel(x, y, 1 / 32)),
    ]
    for ours, theirs in kernels:
        aa, bb = theirs(a, a), theirs(b, b)
        known = (aa.sum() - aa.trace()) / (40 * 39) + (bb.sum() - bb.trace()) / (30 * 29)
        known -= 2 * theirs(a, b).mean()
        assert sets.mmd(a, b, ours) == pytest.approx(known, rel=1e-10)


def test_kernel_distance_is_unbiased_and_repeats() -> None:
    found = draws(1, 400, 4)
    half = sets.kernel_distance(found[:200], found[200:], subsets=50, size=100)
    apart = sets.kernel_distance(found[:200], found[200:] + 2, subsets=50, size=100)
    assert abs(half.mean) < 2 * half.deviation
    assert apart.mean > 5 * half.deviation
    assert sets.kernel_distance(found, found + 2, subsets=3, size=50, seed=4) == (
        sets.kernel_distance(found, found + 2, subsets=3, size=50, seed=4)
    )
    whole = sets.kernel_distance(found, found + 1, subsets=1, size=400)
    assert whole == (pytest.approx(sets.mmd(found, found + 1)), 0.0)


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_inception_score_of_sure_and_of_blind_answers(classes: int) -> None:
    sure = np.tile(1000.0 * np.eye(classes), (20, 1))
    assert sets.inception_score(sure) == (pytest.approx(classes, rel=1e-12), pytest.approx(0))
    assert sets.inception_score(np.zeros((50, classes)), splits=5) == (pytest.approx(1), 0)
    one_only = np.tile([[1000.0, *[0.0] * (classes - 1)]], (10, 1))
    assert sets.inception_score(one_only, splits=1) == (pytest.approx(1), 0)


def test_neighbourhoods_of_equal_far_and_nested_sets() -> None:
    a = draws(1)
    assert neighbourhoods(a, a + 1e3) == (0.0, 0.0, 0.0, 0.0)
    same = neighbourhoods(a, a, 5)
    assert same[:2] == (1.0, 1.0)
    assert same.coverage == 1.0
    assert same.f_score == 1.0
    assert neighbourhoods(a, a + 1e3).f_score == 0.0
    narrow = neighbourhoods(a, a.mean(0) + 0.1 * (a - a.mean(0)))
    assert narrow.precision > 0.9 > narrow.recall


@pytest.mark.parametrize("k", [1, 4])
def test_neighbourhoods_equal_those_of_scikit_learn(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jaxinv.metrics.neighbours.BLOCK", 16)
    x, y = draws(1, 80), draws(1, 50) + 0.3
    balls = [NearestNeighbors(n_neighbors=k + 1).fit(s).kneighbors(s)[0][:, -1] for s in (x, y)]
    np.testing.assert_allclose(radii(x, k), balls[0], rtol=1e-12)
    apart = np.linalg.norm(x[:, None] - y, axis=2)
    inside = apart < balls[0][:, None]
    known = (
        inside.any(0).mean(), (apart < balls[1]).any(1).mean(), inside.sum() / (k * 50),
        (apart.min(1) < balls[0]).mean(),
    )  # fmt: skip
    np.testing.assert_allclose(neighbourhoods(x, y, k), known, rtol=1e-12)


def test_realism_is_least_far_away() -> None:
    real = draws(1)
    centre, far = real.mean(0, keepdims=True), real.mean(0, keepdims=True) + 100
    assert realism(real, centre)[0] > realism(real, far)[0]
    assert realism(real, far)[0] < 0.1
    assert realism(real, real[:3], pruned=False).min() == np.inf


A = draws(1, 12, 4)
NAN = np.where(np.arange(4) == 2, np.nan, A)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "one-row": (lambda: sets.frechet_distance(A[:1], A), "1 samples; allowed: at least 5"),
    "no-covariance": (
        lambda: sets.frechet_distance(A[:1], A, full_rank=False),
        "at least 2 \\(a covariance",
    ),
    "few-rows": (lambda: sets.frechet_distance(A, A[:4]), "4 samples; allowed: at least 5"),
    "widths": (lambda: sets.frechet_distance(A, A[:, :3]), "a has 4 features, b 3"),
    "flat": (lambda: sets.moments(A[0]), r"allowed: \[n, d\]"),
    "nan": (lambda: sets.moments(NAN), r"must be finite, got nan at \[0, 2\]"),
    "text": (lambda: sets.moments("a"), "features must be numbers"),  # pyright: ignore[reportArgumentType]
    "ddof": (lambda: sets.moments(A, ddof=2), "ddof is 2; allowed: 0, 1"),
    "asymmetric": (lambda: sets.moments_of(np.zeros(2), np.triu(np.ones((2, 2)))), "symmetric"),
    "negative": (lambda: sets.moments_of(np.zeros(2), np.diag([1.0, -1])), "negative"),
    "mean": (lambda: sets.moments_of(np.zeros(3), np.eye(2)), r"allowed: \[d\] and \[d, d\]"),
    "labels": (lambda: sets.segmentation_distance(np.full((5, 2, 2), 3), A, 3), "whole 0 to 2"),
    "labels-float": (lambda: sets.class_pixels(np.zeros((1, 2, 2)), 3), "labels are float64"),
    "mmd": (lambda: sets.mmd(A[:1], A), "allowed: at least 2"),
    "kid-size": (lambda: sets.kernel_distance(A, A), "12 samples; allowed: at least 1000"),
    "kid-subsets": (lambda: sets.kernel_distance(A, A, subsets=0, size=5), "subsets must be"),
    "kid-seed": (lambda: sets.kernel_distance(A, A, size=5, seed=-1), "seed -1"),
    "sigma": (lambda: sets.gaussian(0.0), "sigma must be above 0"),
    "degree": (lambda: sets.polynomial(0), "degree must be"),
    "is-rows": (lambda: sets.inception_score(A[:9]), "9 samples; allowed: at least 10"),
    "is-classes": (lambda: sets.inception_score(A[:, :1]), "at least 2 classes"),
    "is-splits": (lambda: sets.inception_score(A, splits=0), "splits must be"),
    "k": (lambda: neighbourhoods(A, A, 0), "k must be"),
    "k-large": (lambda: neighbourhoods(A, A[:3]), "3 samples; allowed: at least 4"),
    "realism": (lambda: realism(np.ones((9, 2)), A[:, :2]), "samples that differ"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(case: str) -> None:
    call, says = REFUSED[case]
    with pytest.raises(ValueError, match=says):
        call()
