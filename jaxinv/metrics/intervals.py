"""Means with the interval in which they lie: resampled, so that no shape is taken for granted."""

from __future__ import annotations

import math

import numpy as np

from jaxinv.reports.columns import Estimate
from jaxinv.specs.checks import check_array, check_seed, is_number, told

CONFIDENCE = 0.95
RESAMPLES = 9999


def estimate(
    values: np.ndarray, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The mean of `values` [n] with its bias-corrected and accelerated bootstrap interval.

    For a paired comparison, pass the differences. Efron 1987, Better Bootstrap Confidence
    Intervals.

    Raises `ValueError` for another shape, values that are not finite, a confidence outside (0, 1).
    """
    from scipy.stats import bootstrap

    check_seed(seed)
    found = check_array("values", values, "iuf").astype(np.float64)
    if found.ndim != 1 or not found.size:
        raise ValueError(f"values are {told(found)}; allowed: [n] with n >= 1")
    if not (is_number(confidence) and 0 < confidence < 1):
        raise ValueError(f"confidence {told(confidence)}; allowed: above 0 and below 1")
    mean, count = float(found.mean()), len(found)
    if count == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    if np.ptp(found) <= 1e-12 * np.abs(found).max():  # no spread to correct by
        return Estimate(mean, mean, mean, count)
    interval = bootstrap(
        (found,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
        batch=1000,
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), count)
