"""InterFaceGAN: the normal of a plane between high and low scores (Shen et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.edits.discovery.scores import check_scores
from jaxinv.specs.checks import check_array, check_choice, check_number

if TYPE_CHECKING:
    from collections.abc import Callable


class Selection(NamedTuple):
    """Rows of samples: for training and for validation, high scores first; `rest` are all others.

    `middle` is the score, halfway between the extremes, from which the rest counts as high.
    """

    train_high: np.ndarray
    train_low: np.ndarray
    validation_high: np.ndarray
    validation_low: np.ndarray
    rest: np.ndarray
    middle: float


class Boundary(NamedTuple):
    """A unit normal shaped as one code, and the shares of samples that the plane tells right.

    `validation` are held-out extremes, `rest` the samples between them (NaN where there are none).
    """

    normal: np.ndarray
    validation: float
    rest: float


def select(
    scores: np.ndarray, chosen: float = 0.02, split: float = 0.7, *, shuffler: Any = None
) -> Selection:
    """The `chosen` highest and lowest of `scores` [n]: a share up to 1, or a number of samples.

    At most half of the samples count for each side; each side is shuffled by `shuffler` (a numpy
    generator, seed 0 if left out) and the share `split` of it trains. Shen et al. 2020, section
    4.1. Raises `ValueError` for scores without extremes and where a side would be empty.
    """
    scores = check_scores(scores)
    check_number("chosen", chosen)
    check_number("split", split)
    count = min(int(len(scores) * chosen if chosen <= 1 else chosen), len(scores) // 2)
    train = int(count * split)
    if not 0 < train < count:
        least = "at least 2 samples on each side, some of them for validation"
        raise ValueError(
            f"chosen {chosen} of {len(scores)} samples and split {split} train on {train} of "
            f"{count}; allowed: {least}"
        )
    mixer = np.random.default_rng(0) if shuffler is None else shuffler
    order = np.argsort(scores, kind="stable")[::-1]
    high, low = order[:count].copy(), order[-count:].copy()
    mixer.shuffle(high)
    mixer.shuffle(low)
    middle = float(scores[order[0]] + scores[order[-1]]) / 2
    rest = order[count : len(order) - count]
    return Selection(high[:train], low[:train], high[train:], low[train:], rest, middle)


def discriminant(codes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The unit normal, shaped as one code, that tells the upper from the lower half of scores best.

    Of codes [n, ...] and scores [n]: linear discriminant analysis (Fisher 1936), the inverse of the
    covariance within the halves, shrunk as by Ledoit & Wolf 2004, times the difference of their
    means. Raises `ValueError` as `boundary` does.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    flat, scores = paired(codes, scores)
    order = np.argsort(scores, kind="stable")
    upper = np.zeros(len(scores), bool)
    upper[order[len(order) // 2 :]] = True
    model: Any = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model.fit(flat, upper)
    return unit(model.coef_)[0].reshape(np.shape(codes)[1:])


def _svm() -> Any:
    from sklearn.svm import SVC

    return SVC(kernel="linear")


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


CLASSIFIERS: dict[str, Callable[[], Any]] = {"svm": _svm, "logistic": _logistic}


def boundary(
    codes: np.ndarray,
    scores: np.ndarray,
    selection: Selection | None = None,
    *,
    classifier: str = "svm",
) -> Boundary:
    """The plane between the codes [n, ...] of high and of low `scores` [n]; no intercept is kept.

    `classifier` is "svm" (linear, C = 1) or "logistic". Shen et al. 2020, section 3.2, equation 2.
    Raises `ValueError` for shapes that do not fit, constant or NaN scores, unknown classifiers.
    """
    check_choice("classifier", classifier, tuple(CLASSIFIERS))
    flat, scores = paired(codes, scores)
    rows = select(scores) if selection is None else selection
    train = np.concatenate([rows.train_high, rows.train_low])
    side = np.repeat([1, 0], [len(rows.train_high), len(rows.train_low)])
    model = CLASSIFIERS[classifier]().fit(flat[train], side)

    def right(chosen: np.ndarray, truth: np.ndarray) -> float:
        return float(np.mean(model.predict(flat[chosen]) == truth)) if len(chosen) else np.nan

    held = np.concatenate([rows.validation_high, rows.validation_low])
    truth = np.repeat([1, 0], [len(rows.validation_high), len(rows.validation_low)])
    normal = unit(model.coef_[0]).reshape(np.shape(codes)[1:])
    return Boundary(normal, right(held, truth), right(rows.rest, scores[rows.rest] >= rows.middle))


def regression(codes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The unit direction [...] of least squares from codes [n, ...] to `scores` [n].

    It is exact where the score is a linear function. Raises `ValueError` as `boundary` does.
    """
    flat, scores = paired(codes, scores)
    slope = np.linalg.lstsq(flat - flat.mean(0), scores - scores.mean(), rcond=None)[0]
    return unit(slope).reshape(np.shape(codes)[1:])


def paired(codes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes as float64 [n, d] and scores as float64 [n]; `ValueError` unless they are as many."""
    given, scores = check_array("codes", codes), check_scores(scores)
    if given.ndim < 2 or len(given) != len(scores):
        raise ValueError(
            f"codes {list(given.shape)} and {len(scores)} scores; allowed: codes [n, ...] and a "
            f"score for each"
        )
    return given.reshape(len(given), -1).astype(np.float64), scores


def unit(rows: np.ndarray) -> np.ndarray:
    """Vectors [..., d] divided by their lengths; `ValueError` for one of length 0."""
    rows = np.asarray(rows, np.float64)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not length.all():
        raise ValueError("a direction has length 0; allowed: directions that move something")
    return rows / length
