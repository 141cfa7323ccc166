"""What curves of losses say about the searches that made them: numbers in, numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PER_DECADE = 10
PEAK = 2.0  # pixels lie in [-1, 1]


def log_spaced_counts(evaluations: int) -> list[int]:
    """Numbers of evaluations that are written down: about ten per decade, and the last."""
    count = int(PER_DECADE * np.log10(evaluations)) + 1
    marks = {round(10 ** (k / PER_DECADE)) for k in range(count)}
    return sorted({mark for mark in marks if mark <= evaluations} | {evaluations})


def selected_index(losses: np.ndarray, steps: Sequence[int], keeps: Sequence[str]) -> np.ndarray:
    """Index of the point that is held after every evaluation [..., T]; -1 while there is none.

    losses [..., T] of all stages in a row, stage i with steps[i] evaluations, of which it keeps the
    "best" or the "last". Every stage begins anew: its loss is not that of the stage before.
    """
    parts, first = [], 0
    for count, keep in zip(steps, keeps, strict=True):
        part = losses[..., first : first + count]
        finite = np.isfinite(part)
        lowest = np.minimum.accumulate(np.where(finite, part, np.inf), axis=-1)
        before = np.concatenate([np.full_like(lowest[..., :1], np.inf), lowest[..., :-1]], axis=-1)
        fresh = finite if keep == "last" else finite & (lowest < before)
        index = np.where(fresh, np.arange(first, first + count), -1)
        parts.append(np.maximum.accumulate(index, axis=-1))
        first += count
    return np.concatenate(parts, axis=-1)


def at_selected(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values [..., T] at the points that `selected_index` names; NaN where there is none."""
    found = np.take_along_axis(values, np.maximum(index, 0), axis=-1)
    return np.where(index < 0, np.nan, found)


def psnr_of(mse: np.ndarray) -> np.ndarray:
    """PSNR in dB of the mean squared error of images in [-1, 1], neither clipped nor rounded."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / np.asarray(mse, np.float64))


def evaluations_to(
    scores: np.ndarray, target: np.ndarray | float, spent: np.ndarray | None = None
) -> np.ndarray:
    """Evaluations [...] after which scores [..., T] first reach `target`; infinite if never.

    `spent` [..., T]: how many were made up to every score, if it is not one for each.
    """
    counts = np.arange(1, scores.shape[-1] + 1) if spent is None else spent
    met = scores >= np.asarray(target)[..., None]
    return np.min(np.where(met, counts, np.inf), axis=-1)


def ratios(evaluations: np.ndarray) -> np.ndarray:
    """Performance ratios [S, P] of costs [S, P] of S solvers on P problems.

    A cost over the least that any solver paid for that problem; infinite where the solver failed.
    Dolan & More 2002, Benchmarking optimization software with performance profiles, section 2.
    """
    least = evaluations.min(axis=0)
    solved = np.isfinite(evaluations)
    return np.where(solved, evaluations / np.where(np.isfinite(least), least, 1.0), np.inf)


def profile(values: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Share of values [..., P] that are at most each limit [N], as [..., N].

    Of performance ratios this is the performance profile; of evaluations, the success rate.
    """
    return np.mean(values[..., None, :] <= limits[:, None], axis=-1)


def median(values: np.ndarray) -> float:
    """The median, where more than half may be infinite; NaN of nothing."""
    ordered = np.sort(np.ravel(values))
    if not ordered.size:
        return float("nan")
    low, high = ordered[(ordered.size - 1) // 2], ordered[ordered.size // 2]
    return float(low) if low == high else float((low + high) / 2)


def over_seeds(curves: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles over seeds [len(shares), T] of curves [B, R, T] averaged over the images."""
    return np.quantile(curves.mean(axis=0), shares, axis=0)
