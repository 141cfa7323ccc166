"""Whether single latent numbers stand for single attributes, and whether a plane parts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxinv.metrics.feature_sets import check_labels, check_rows
from jaxinv.specs.checks import check_array, check_seed, told

if TYPE_CHECKING:
    from collections.abc import Callable

    Fit = Callable[[np.ndarray, np.ndarray], object]

TRAINED = 0.7  # share of the samples of DCI
LEAST = 10  # samples in each part
PASSES = 100_000  # of the linear machine


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, all in [0, 1]; the importance [d, k]."""

    disentanglement: float
    completeness: float
    informativeness: float
    importance: np.ndarray


def entanglement(directions: np.ndarray) -> np.ndarray:
    """|cos| of the angles [k, k] between directions [k, d]; 0 where one leaves the other alone."""
    rows = check_rows("directions", directions, 2)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"direction {int(lengths.argmin())} is all zero; allowed: others")
    return np.abs((rows / lengths) @ (rows / lengths).T)


def disentanglement(importance: np.ndarray) -> float:
    """How far each latent number [d, k] serves one attribute alone, weighted by its importance.

    1 less the entropy of a row, to base k. Eastwood and Williams 2018, section 2.
    """
    shares = _importance(importance)
    return float(shares.sum(axis=1) @ _certainty(shares))


def completeness(importance: np.ndarray) -> float:
    """How far each attribute is held by one latent number: 1 less the mean entropy of columns."""
    shares = _importance(importance)
    return float(np.mean(_certainty(shares.T)))


def dci(codes: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness of codes [n, d] about labels [n, k].

    A gradient-boosted tree is fitted to each attribute, 0 or 1, on 70 of 100 samples; importance is
    the trees', informativeness their mean accuracy on the rest. Eastwood and Williams 2018; trees
    as in Wu et al. 2021 (StyleSpace), section 3.

    Raises:
        ValueError: other shapes, fewer than two attributes or one that does not vary, few samples.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    check_seed(seed)
    rows = check_rows("codes", codes, int(LEAST / (1 - TRAINED)) + 1, why="training and test")
    truth = check_labels("labels", labels, 2, (len(rows), np.shape(labels)[-1]))
    order = np.random.default_rng(seed).permutation(len(rows))
    train, test = np.split(order, [int(TRAINED * len(rows))])
    weights, right = [], []
    for column in truth.T:
        if np.ptp(column[train]) == 0:
            raise ValueError(f"an attribute is always {column[0]}; allowed: 0 and 1, both often")
        model = GradientBoostingClassifier(random_state=seed).fit(rows[train], column[train])
        weights.append(model.feature_importances_)
        right.append(np.mean(model.predict(rows[test]) == column[test]))
    importance = np.stack(weights, axis=1)
    return DCI(
        disentanglement(importance), completeness(importance), float(np.mean(right)), importance
    )


def linear_separability(codes: np.ndarray, scores: np.ndarray, *, seed: int = 0) -> float:
    """2^(sum over attributes of H(Y|X)): 1 if a plane parts each attribute, 2 more bits make 4.

    The half of the samples whose label a classifier is surest of is kept; a linear support vector
    machine learns the labels from the codes [n, d]; H is the entropy in bits of the label, given
    the machine's answer. Karras et al. 2019 (StyleGAN), section 4.2; 200,000 samples there.

    Args:
        codes: [n, d].
        scores: logits [n, attributes] of the classifiers; above 0 is yes.
        seed: of the machine.

    Raises:
        ValueError: other shapes, an attribute that is always or never there, too few samples.
    """
    from sklearn.svm import LinearSVC

    check_seed(seed)
    rows = check_rows("codes", codes, 2 * LEAST)
    logits = check_rows("scores", scores, 2 * LEAST)
    if len(logits) != len(rows):
        raise ValueError(f"{len(rows)} codes and {len(logits)} scores; allowed: as many")
    bits = 0.0
    for number, column in enumerate(logits.T):
        sure = np.argsort(-np.abs(column), kind="stable")[: len(column) // 2]
        truth = column[sure] > 0
        if truth.all() or not truth.any():
            raise ValueError(f"attribute {number} is {told(bool(truth[0]))} in all; allowed: both")
        model = LinearSVC(random_state=seed, max_iter=PASSES).fit(rows[sure], truth)
        bits += conditional_entropy(np.asarray(model.predict(rows[sure])), truth)
    return float(2**bits)


def conditional_entropy(known: np.ndarray, asked: np.ndarray) -> float:
    """H(asked | known) in bits of two rows of labels [n], each false or true."""
    x, y = (check_array("labels", one, "biuf").astype(bool) for one in (known, asked))
    if x.shape != y.shape or x.ndim != 1 or not x.size:
        raise ValueError(f"labels are {told(x)} and {told(y)}; allowed: one shape [n]")
    joint = np.bincount(2 * x + y, minlength=4).reshape(2, 2) / len(x)
    return float(_entropy(joint.ravel()) - _entropy(joint.sum(axis=1)))


def _importance(importance: np.ndarray) -> np.ndarray:
    shares = check_rows("importance", importance, 2)
    if shares.shape[1] < 2 or shares.min() < 0 or not shares.any():
        raise ValueError(f"importance is {told(shares)}; allowed: [d, k] not below 0, d, k >= 2")
    return shares / shares.sum()


def _certainty(shares: np.ndarray) -> np.ndarray:
    """1 less the entropy of every row, to the base of their length; 0 for a row of zeros."""
    total = shares.sum(axis=1, keepdims=True)
    even = np.full_like(shares, 1 / shares.shape[1])
    rows = np.where(total > 0, shares / np.where(total > 0, total, 1), even)
    return 1 - np.array([_entropy(row) for row in rows]) / np.log2(shares.shape[1])


def _entropy(shares: np.ndarray) -> float:
    """In bits; 0 log 0 is 0."""
    held = shares[shares > 0]
    return float(-(held @ np.log2(held)))
