"""Bootstrap intervals: they hold the truth as often as they say, and need no spread."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from jaxinv.metrics.intervals import estimate


def test_a_normal_sample_has_about_the_interval_of_students_t() -> None:
    values = np.random.default_rng(0).normal(3, 2, 200)
    found = estimate(values)
    low, high = t.interval(0.95, 199, values.mean(), values.std(ddof=1) / np.sqrt(200))
    assert found[0] == values.mean()
    assert found[1:3] == (pytest.approx(low, abs=0.03), pytest.approx(high, abs=0.03))
    assert found.count == 200
    assert estimate(values) == found
    wide = estimate(values, confidence=0.99)
    assert wide.low < found.low < found.high < wide.high


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    draws = np.random.default_rng(1).exponential(size=(200, 16))
    found = [estimate(values, resamples=499) for values in draws]
    assert 0.86 < np.mean([one.low <= 1 <= one.high for one in found]) < 0.98


@pytest.mark.parametrize("values", [[2.0] * 5, [0.1, 0.1 + 1e-17], [0.0, 0.0]])
def test_values_without_spread_are_their_own_interval(values: list[float]) -> None:
    assert estimate(np.array(values)) == (values[0], values[0], values[0], len(values))


@pytest.mark.parametrize("values", [[1.0, 2], [0, 0, 0, 0, 1.0], [1e9, 1e9 + 1]])
def test_a_few_values_have_an_interval(values: list[float]) -> None:
    found = estimate(np.array(values))
    assert min(values) <= found.low <= found.mean <= found.high <= max(values)


def test_a_single_value_has_none() -> None:
    found = estimate(np.array([4.0]))
    assert (found.mean, found.count) == (4.0, 1)
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ([], {}, "n >= 1"),
        ([[1.0]], {}, r"values are float64\[1, 1\]"),
        ([1.0, np.nan], {}, "must be finite"),
        ([1.0, 2], {"confidence": 95}, "confidence 95; allowed: above 0 and below 1"),
        ([1.0, 2], {"seed": -1}, "seed -1"),
    ],
)
def test_what_cannot_be_estimated_is_refused(values: list, options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        estimate(np.array(values, float), **options)
