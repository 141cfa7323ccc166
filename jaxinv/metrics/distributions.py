"""Distances between two sets of pictures, from the features or class scores of a net, in float64.

The Frechet distance is the FID only on the features of the Inception net of 2015 (`table` says so);
on those of another net it bears that net's name. All of them depend on how many samples there are:
compare equal numbers only.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

from jaxinv.metrics.feature_sets import check_rows, check_two_sets
from jaxinv.specs.checks import check_above, check_array, check_seed, check_whole, told

if TYPE_CHECKING:
    from collections.abc import Callable

    Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]

SPLITS = 10  # of the Inception Score
SUBSETS, SUBSET = 100, 1000  # of the KID
SYMMETRY = 1e-6  # of a covariance, and how far below 0 its eigenvalues may be, over the largest


class Moments(NamedTuple):
    """Mean [d] and a root [r, d] of a covariance, which is root^T root."""

    mean: np.ndarray
    root: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """The covariance [d, d]."""
        return self.root.T @ self.root


class Spread(NamedTuple):
    """A mean over parts, and the standard deviation over them (divided by their number)."""

    mean: float
    deviation: float


def moments(features: np.ndarray, *, ddof: int = 1, full_rank: bool = True) -> Moments:
    """Mean and covariance of features [n, d], finite numbers.

    Args:
        features: one row per picture.
        ddof: the covariance is divided by n - ddof: 1 in most code; 0 in that of StyleGAN2 and 3.
        full_rank: refuse fewer than d + 1 rows, of which the covariance is singular.

    Raises:
        ValueError: another shape, too few rows (the number needed is named), not finite.
    """
    if ddof not in (0, 1):
        raise ValueError(f"ddof is {told(ddof)}; allowed: 0, 1")
    rows = check_rows("features", features)
    count, width = rows.shape
    least = width + 1 if full_rank else 2
    check_rows("features", rows, least, why=f"a covariance of {width} features")
    mean = rows.mean(axis=0)
    centred = (rows - mean) / math.sqrt(count - ddof)
    root = np.asarray(np.linalg.qr(centred, mode="r")) if count > width else centred
    return Moments(mean, root)


def moments_of(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    """Moments from a mean [d] and a covariance [d, d], as files of statistics hold them.

    Raises `ValueError` for other shapes, and for what is not symmetric or has negative eigenvalues.
    """
    mu = check_array("mean", mean, "iuf").astype(np.float64)
    sigma = check_array("covariance", covariance, "iuf").astype(np.float64)
    if mu.ndim != 1 or not mu.size or sigma.shape != (mu.size, mu.size):
        raise ValueError(
            f"mean and covariance are {told(mu)} and {told(sigma)}; allowed: [d] and [d, d]"
        )
    scale = np.abs(sigma).max()
    values, vectors = np.linalg.eigh((sigma + sigma.T) / 2)
    if np.abs(sigma - sigma.T).max() > SYMMETRY * scale or values[0] < -SYMMETRY * scale:
        raise ValueError(
            f"covariance has eigenvalues from {values[0]:g}, asymmetry "
            f"{np.abs(sigma - sigma.T).max():g}; allowed: a symmetric matrix without negative ones"
        )
    return Moments(mu, np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)


def frechet(a: Moments, b: Moments) -> float:
    """The Frechet distance of two Gaussians: |m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)), at least 0.

    The trace of the last root is the sum of the singular values of root_a root_b^T, which needs
    neither a matrix root nor full rank. Heusel et al. 2017 (TTUR), equation 6; survey, equation 2.

    Raises `ValueError` where the widths differ.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"a has {a.mean.size} features, b {b.mean.size}; allowed: as many in both")
    shared = np.linalg.svd(a.root @ b.root.T, compute_uv=False).sum()
    traces = np.square(a.root).sum() + np.square(b.root).sum()
    return max(float(np.square(a.mean - b.mean).sum() + traces - 2 * shared), 0.0)


def frechet_distance(
    a: np.ndarray, b: np.ndarray, *, ddof: int = 1, full_rank: bool = True
) -> float:
    """The Frechet distance of the features [n, d] and [m, d] of two sets of pictures.

    Arguments and errors are those of `moments`. It falls like 1/n for samples of one distribution.
    """
    x, y = check_two_sets(a, b)
    return frechet(*(moments(one, ddof=ddof, full_rank=full_rank) for one in (x, y)))


def segmentation_distance(a: np.ndarray, b: np.ndarray, classes: int) -> float:
    """The Frechet Segmentation Distance of label maps [n, h, w] and [m, h, w] of two sets.

    The features of a picture are its numbers of pixels of every class (Bau et al. 2019, Seeing What
    a GAN Cannot Generate, section 3.1; survey, equation 3). They add up to h w, so that the
    covariance never has full rank; there must be more than `classes` pictures in both sets.

    Raises:
        ValueError: other shapes, labels that are no whole numbers below `classes`, too few.
    """
    check_whole("classes", classes, 1)
    x, y = class_pixels(a, classes), class_pixels(b, classes)
    if x.sum(1)[0] != y.sum(1)[0]:
        raise ValueError(f"maps have {x.sum(1)[0]} and {y.sum(1)[0]} pixels; allowed: one size")
    return frechet_distance(x, y)


def class_pixels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Numbers of pixels of every class, int [n, classes], in label maps [n, h, w]."""
    maps = check_array("labels", labels, "iuf")
    known = maps.dtype.kind in "iu" and maps.ndim == 3 and maps.size
    if not known or maps.min() < 0 or maps.max() >= classes:
        raise ValueError(f"labels are {told(maps)}; allowed: [n, h, w] of whole 0 to {classes - 1}")
    return np.stack([np.bincount(one.ravel(), minlength=classes) for one in maps])


def polynomial(degree: int = 3, gamma: float | None = None, constant: float = 1.0) -> Kernel:
    """The kernel (gamma x.y + constant)^degree; gamma None is 1/d (Binkowski et al. 2018, KID)."""
    check_whole("degree", degree, 1)
    return lambda x, y: (
        ((1 / x.shape[1] if gamma is None else gamma) * (x @ y.T) + constant) ** degree
    )


def gaussian(sigma: float) -> Kernel:
    """The kernel exp(-|x - y|^2 / (2 sigma^2))."""
    check_above("sigma", sigma, 0)
    return lambda x, y: np.exp(cdist(x, y, "sqeuclidean") / (-2 * sigma**2))


def mmd(a: np.ndarray, b: np.ndarray, kernel: Kernel | None = None) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy of [n, d] and [m, d].

    The default kernel is the cubic one of the KID. It is 0 on average for samples of one
    distribution, and may be negative. Gretton et al. 2012, equation 3.

    Raises `ValueError` for other shapes and for fewer than two rows.
    """
    x, y = check_two_sets(a, b, 2, why="an unbiased estimate")
    kernel = kernel or polynomial()
    within = sum(_off_diagonal(kernel(one, one)) for one in (x, y))
    return float(within - 2 * kernel(x, y).mean())


def _off_diagonal(gram: np.ndarray) -> float:
    count = len(gram)
    return float((gram.sum() - np.trace(gram)) / (count * (count - 1)))


def kernel_distance(
    a: np.ndarray,
    b: np.ndarray,
    *,
    subsets: int = SUBSETS,
    size: int = SUBSET,
    kernel: Kernel | None = None,
    seed: int = 0,
) -> Spread:
    """The Kernel Inception Distance: mean of `mmd` over pairs of random subsets, and its deviation.

    Args:
        a: features [n, d] of one set.
        b: features [m, d] of the other.
        subsets: how many pairs are drawn, 100 in most code.
        size: rows in each, without repetition, 1000 in most code.
        kernel: of two arrays [n, d], [m, d] to [n, m]; None is the cubic one of the KID.
        seed: of the draws.

    Raises:
        ValueError: other shapes, fewer rows than `size` (the number needed is named).
    """
    check_whole("subsets", subsets, 1)
    check_whole("size", size, 2)
    check_seed(seed)
    x, y = check_two_sets(a, b, size, why="a subset")
    draws = np.random.default_rng(seed)
    pairs = (
        [one[draws.choice(len(one), size, replace=False)] for one in (x, y)] for _ in range(subsets)
    )
    values = [mmd(one, other, kernel) for one, other in pairs]
    return Spread(float(np.mean(values)), float(np.std(values)))


def inception_score(logits: np.ndarray, *, splits: int = SPLITS) -> Spread:
    """The Inception Score of logits [n, classes]: mean and deviation over the splits.

    Of each run of about n / splits rows, the exponential of the mean divergence of a picture's
    classes from those of the split (Salimans et al. 2016, section 4; survey, equation 1). The
    published net is used without the bias of its last layer. torch-fidelity permutes the rows
    first; do so where they are in an order.

    Raises:
        ValueError: another shape, fewer than two classes, fewer rows than splits, not finite.
    """
    check_whole("splits", splits, 1)
    rows = check_rows("logits", logits, splits, why="one for each split")
    if rows.shape[1] < 2:
        raise ValueError(f"logits are {told(rows)}; allowed: at least 2 classes")
    logs = log_softmax(rows, axis=1)
    edges = [i * len(rows) // splits for i in range(splits + 1)]
    scores = [_one_split(logs[i:j]) for i, j in itertools.pairwise(edges)]
    return Spread(float(np.mean(scores)), float(np.std(scores)))


def _one_split(logs: np.ndarray) -> float:
    chances = np.exp(logs)
    with np.errstate(divide="ignore"):
        overall = np.log(chances.mean(axis=0))
    terms = chances * np.where(chances > 0, logs - overall, 0.0)
    return float(np.exp(terms.sum(axis=1).mean()))
