"""GANSpace: principal and independent directions of codes or of features, and common factors.

Härkönen et al. 2020, arXiv:2004.02546; factor analysis as in Spearman 1904;
topics (latent Dirichlet allocation) of Blei et al. 2003.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.edits.discovery.boundaries import unit
from jaxinv.specs.checks import check_array, check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable


class Components(NamedTuple):
    """Directions [k, d] of unit length, the standard deviation along each [k], largest first.

    `shares` [k] are of the whole variance; `mean` [d] is that of the samples.
    """

    directions: np.ndarray
    deviations: np.ndarray
    shares: np.ndarray
    mean: np.ndarray


def _pca(solver: str) -> Callable[[np.ndarray, int], Any]:
    def fit(centred: np.ndarray, count: int) -> Any:
        from sklearn.decomposition import PCA

        return PCA(count, svd_solver=solver, random_state=0).fit(centred).components_

    return fit


def _incremental(centred: np.ndarray, count: int) -> Any:
    from sklearn.decomposition import IncrementalPCA

    return IncrementalPCA(count, batch_size=max(100, 2 * count)).fit(centred).components_


def _independent(centred: np.ndarray, count: int) -> Any:
    from sklearn.decomposition import FastICA

    # Columns of the mixing: a step along one changes one source and no other.
    model: Any = FastICA(count, random_state=0, whiten="unit-variance", max_iter=1000)
    model.fit(centred)
    return model.mixing_.T


def _factors(centred: np.ndarray, count: int) -> Any:
    from sklearn.decomposition import FactorAnalysis

    # Loadings: what several coordinates share. The noise of a single one belongs to no factor, so
    # that all of it is taken for noise at first: from noise of 1 the largest becomes a factor.
    noise = np.maximum(centred.var(0), np.finfo(float).tiny)
    model = FactorAnalysis(count, noise_variance_init=noise, svd_method="lapack", random_state=0)
    return model.fit(centred).components_


def _sparse(centred: np.ndarray, count: int) -> Any:
    from sklearn.decomposition import MiniBatchSparsePCA

    return MiniBatchSparsePCA(count, random_state=0).fit(centred).components_


def _topics(centred: np.ndarray, count: int) -> Any:
    from sklearn.decomposition import LatentDirichletAllocation

    # A code as a text: "more of number i" and "less of it" are words, said as often as it is far.
    deviations = np.maximum(centred.std(0), np.finfo(float).tiny)
    words = np.concatenate([np.maximum(sign * centred / deviations, 0) for sign in (1, -1)], 1)
    model = LatentDirichletAllocation(count, learning_method="batch", random_state=0)
    found: Any = model.fit(words).components_
    more, less = np.split(found / found.sum(1, keepdims=True), 2, axis=1)
    return (more - less) * deviations


ESTIMATORS: dict[str, Callable[[np.ndarray, int], Any]] = {
    "pca": _pca("full"),
    "randomized": _pca("randomized"),
    "incremental": _incremental,
    "ica": _independent,
    "factors": _factors,
    "sparse": _sparse,
    "topics": _topics,
}


def principal(codes: np.ndarray, count: int, estimator: str = "pca") -> Components:
    """The `count` directions along which codes [n, ...], taken as [n, d], vary most.

    `estimator` is a name of `ESTIMATORS`. Deviations are of the samples' coordinates, by n.
    Section 3.1 of the paper. Raises `ValueError` for more directions than samples or numbers of a
    code, codes that are constant, and unknown estimators.
    """
    check_choice("estimator", estimator, tuple(ESTIMATORS))
    given: Any = check_array("codes", codes, meant=" [n, ...]")
    check_whole("count", count, 1)
    flat = given.reshape(len(given), -1).astype(np.float64)
    if count > min(flat.shape):
        raise ValueError(
            f"{count} directions of {len(flat)} samples of {flat.shape[1]} numbers; "
            f"allowed: at most {min(flat.shape)}"
        )
    mean = flat.mean(0)
    centred = flat - mean
    whole = np.sum(centred**2) / len(flat)
    if whole == 0:
        raise ValueError("all codes are equal; allowed: samples that differ")
    rows = np.asarray(ESTIMATORS[estimator](centred, int(count)), np.float64)
    empty = int(np.sum(~np.any(rows, axis=1)))
    if empty:
        raise ValueError(f"{count} directions; allowed: at most {count - empty}, the rest is noise")
    directions = unit(rows)
    deviations = (centred @ directions.T).std(0)
    order = np.argsort(-deviations, kind="stable")
    directions, deviations = directions[order], deviations[order]
    return Components(directions, deviations, deviations**2 / whole, mean)


def coordinates(found: Components, codes: np.ndarray) -> np.ndarray:
    """Codes [n, ...] in units of standard deviations along the components, [n, k]."""
    flat = np.asarray(codes, np.float64).reshape(len(codes), -1)
    return (flat - found.mean) @ found.directions.T / found.deviations


def regress_latents(latents: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """What a step of one deviation along each feature direction is in latents: rows [k, d].

    Least squares from coordinates [n, k] of features to the latents [n, d] that drew them, without
    an intercept; the paper's equation 2. Raises `ValueError` for shapes that do not fit.
    """
    a, z = check_array("coordinates", coordinates), check_array("latents", latents)
    if a.ndim != 2 or z.ndim != 2 or len(a) != len(z) or len(a) < a.shape[1]:
        raise ValueError(
            f"coordinates {list(a.shape)} and latents {list(z.shape)}; allowed: [n, k] and [n, d] "
            f"with at least k samples"
        )
    return np.linalg.lstsq(a.astype(np.float64), z.astype(np.float64), rcond=None)[0]
