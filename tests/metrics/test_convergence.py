"""The figures of a comparison against cases that are computed by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from jaxinv.metrics.convergence import (
    at_selected,
    evaluations_to,
    log_spaced_counts,
    median,
    over_seeds,
    profile,
    psnr_of,
    ratios,
    selected_index,
)

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("evaluations", "expected"),
    [
        (1, [1]),
        (2, [1, 2]),
        (7, [1, 2, 3, 4, 5, 6, 7]),
        (20, [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20]),
    ],
)
def test_checkpoints_are_spread_by_ratio(evaluations: int, expected: list[int]) -> None:
    assert log_spaced_counts(evaluations) == expected


def test_checkpoints_of_long_searches_are_few_and_end_at_the_end() -> None:
    marks = log_spaced_counts(5000)
    assert (marks[0], marks[-1]) == (1, 5000)
    steps = [after / before for before, after in pairwise(marks[9:])]
    assert 1.2 < min(steps[:-1]) <= max(steps) < 1.35
    assert min(steps) > 1


@pytest.mark.parametrize(
    ("losses", "keep", "expected"),
    [
        ([3, 2, 4, 1, 1], "best", [0, 1, 1, 3, 3]),
        ([3, 2, 4, 1, 1], "last", [0, 1, 2, 3, 4]),
        ([NAN, INF, 4, 5, NAN], "best", [-1, -1, 2, 2, 2]),
        ([3, 2, NAN, NAN, NAN], "last", [0, 1, 1, 1, 1]),
    ],
)
def test_the_point_that_is_held(losses: list[float], keep: str, expected: list[int]) -> None:
    np.testing.assert_array_equal(selected_index(np.asarray(losses, float), [5], [keep]), expected)


def test_every_stage_begins_anew() -> None:
    index = selected_index(np.asarray([[3.0, 1.0, 9.0, 8.0, 8.5]]), [2, 3], ["best", "best"])
    np.testing.assert_array_equal(index, [[0, 1, 2, 3, 3]])
    values = at_selected(np.asarray([[10.0, 11.0, 12.0, 13.0, 14.0]]), index)
    np.testing.assert_array_equal(values, [[10, 11, 12, 13, 13]])
    np.testing.assert_array_equal(
        at_selected(np.asarray([5.0, 6.0]), np.asarray([-1, 1])), [NAN, 6]
    )


def test_psnr_is_of_images_from_minus_1_to_1() -> None:
    np.testing.assert_allclose(psnr_of(np.asarray([4.0, 0.04, 0.0, NAN])), [0, 20, INF, NAN])


def test_evaluations_to_a_target() -> None:
    scores = np.asarray([[10.0, 20.0, 30.0], [NAN, 5.0, 19.9]])
    np.testing.assert_array_equal(evaluations_to(scores, 20.0), [2, INF])
    np.testing.assert_array_equal(evaluations_to(scores, np.asarray([30.1, 5.0])), [INF, 2])


def test_performance_profiles() -> None:
    # Three solvers on four problems; the last problem is solved by none.
    costs = np.asarray([[10, 40, 30, INF], [20, 20, INF, INF], [40, INF, 60, INF]])
    relative = ratios(costs)
    expected = [[1, 2, 1, INF], [2, 1, INF, INF], [4, INF, 2, INF]]
    np.testing.assert_array_equal(relative, expected)
    shares = profile(relative, np.asarray([1, 1.9, 2, 4, 100]))
    expected = [[0.5, 0.5, 0.75, 0.75, 0.75], [0.25, 0.25, 0.5, 0.5, 0.5], [0, 0, 0.25, 0.5, 0.5]]
    np.testing.assert_array_equal(shares, expected)


def test_the_middle_of_numbers_that_may_be_infinite() -> None:
    found = [median(np.asarray(values, float)) for values in ([1, 3], [[1, 9], [2, INF]], [1, INF])]
    assert found == [2, 5.5, INF]
    assert median(np.asarray([INF, INF])) == INF
    assert math.isnan(median(np.zeros(0)))


def test_bands_are_over_seeds_of_means_over_images() -> None:
    curves = np.asarray(
        [[[0.0, 1.0], [2.0, 1.0], [8.0, 1.0]], [[2.0, 3.0], [4.0, 3.0], [0.0, 3.0]]]
    )
    np.testing.assert_allclose(over_seeds(curves, (0, 0.5, 1)), [[1, 2], [3, 2], [4, 2]])
