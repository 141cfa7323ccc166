"""StyleSpace: which style channels draw a region or carry an attribute (Wu et al. 2021).

arXiv:2011.12799. Also the disentanglement and completeness of Eastwood & Williams 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.nn.resample import area_reduce
from jaxinv.specs.checks import check_array, check_number, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array


class Channels(NamedTuple):
    """The region [C] that each channel belongs to, -1 for none, and the share of images [C, R]."""

    region: np.ndarray
    shares: np.ndarray


class Disentanglement(NamedTuple):
    """Of codes and factors: weighted means, and by code [codes] and by factor [factors]."""

    disentanglement: float
    completeness: float
    of_codes: np.ndarray
    of_factors: np.ndarray


def gradient_maps(
    draw: Callable[[Array], Array], style: Array, grid: int = 32, *, batch: int = 64
) -> np.ndarray:
    """How strongly each of C channels moves each place of a picture: [C, grid, grid].

    `draw` makes an image [h, w, 3] of a style [C]; the derivative is exact, its magnitude is meant
    over the colours and then over the pixels of a cell. Section 4.1. `batch` channels at a time.
    """
    check_whole("grid", grid, 1)

    def one(channel: Array) -> Array:
        tangent = jax.nn.one_hot(channel, style.size, dtype=style.dtype)
        change = jax.jvp(draw, (style,), (tangent,))[1]
        return area_reduce(jnp.abs(change).mean(-1, keepdims=True), grid)[..., 0]

    mapped = jax.jit(lambda channels: jax.lax.map(one, channels, batch_size=batch))
    return np.asarray(mapped(jnp.arange(style.size)))


def overlaps(maps: np.ndarray, labels: np.ndarray, regions: int) -> np.ndarray:
    """Of maps [C, g, g] and region numbers [g, g]: pixels in common, in either, in the region.

    [C, regions, 3]; of each map as many of the strongest pixels count as the region has. Regions
    are 0 to `regions` - 1. Section 4.1. Raises `ValueError` for shapes that do not fit.
    """
    check_whole("regions", regions, 1)
    maps, labels = check_array("maps", maps), check_array("labels", labels, "iuf")
    if maps.ndim != 3 or maps.shape[1:] != labels.shape:
        raise ValueError(
            f"maps {list(maps.shape)} and labels {list(labels.shape)}; allowed: [C, g, g], [g, g]"
        )
    flat, place = maps.reshape(len(maps), -1), labels.ravel()
    found = np.zeros((len(maps), regions, 3), np.int64)
    for region in range(regions):
        inside = place == region
        share = inside.mean()
        level = np.percentile(flat, (1 - share) * 100, axis=1)[:, None]
        strong = flat > level
        found[:, region, 0] = (strong & inside).sum(1)
        found[:, region, 1] = (strong | inside).sum(1)
        found[:, region, 2] = inside.sum()
    return found


def local_channels(counts: np.ndarray, *, share: float = 0.5, margin: float = 0.25) -> Channels:
    """The region of every channel, from `overlaps` of several images [images, C, R, 3].

    In each image the best region of a channel is the one whose overlap divided by the square of its
    size is largest. The channel is the region's if that holds in more than `share` of the images,
    and in `margin` more of them than for the second. Section 4.1.
    """
    counts = check_array("counts", counts, "iuf", " [images, C, R, 3]")
    if counts.ndim != 4 or counts.shape[-1] != 3:
        raise ValueError(f"counts {list(counts.shape)}; allowed: [images, C, R, 3]")
    size = counts[..., 2].astype(np.float64)
    score = counts[..., 0] / np.maximum(size, 1) ** 2
    best = np.where(score.max(-1) > 0, score.argmax(-1), -1)
    shares = np.stack([(best == region).mean(0) for region in range(counts.shape[2])], -1)
    order = np.sort(shares, -1)[:, ::-1]
    second = order[:, 1] if order.shape[1] > 1 else np.zeros(len(order))
    clear = (order[:, 0] > share) & (order[:, 0] > second + margin)
    return Channels(np.where(clear, shares.argmax(-1), -1), shares)


def attribute_channels(
    examples: np.ndarray, population: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Channels in order of how well they tell examples [n, C] from a population [N, C], and scores.

    The examples are measured in the population's deviations; a channel's score is the magnitude of
    their mean over their deviation. Section 5. Channels that never vary come last, with score 0.
    Raises `ValueError` for shapes that do not fit and for fewer than 2 examples.
    """
    few, many = check_array("examples", examples), check_array("population", population)
    if few.ndim != 2 or many.ndim != 2 or few.shape[1] != many.shape[1] or len(few) < 2:
        raise ValueError(
            f"examples {list(few.shape)}, population {list(many.shape)}; allowed: [n, C] and "
            f"[N, C], at least 2 of each"
        )
    spread = many.std(0)
    alive = spread > 0
    normal = (few - many.mean(0)) / np.where(alive, spread, 1)
    score = np.abs(normal.mean(0)) / np.maximum(normal.std(0), 1e-12) * alive
    return np.argsort(-score, kind="stable"), score


def disentanglement(importance: np.ndarray) -> Disentanglement:
    """One minus the entropy of the rows and columns of an importance matrix [codes, factors].

    Rows weigh by their share of all importance, and so do columns. Eastwood & Williams 2018,
    section 2. Raises `ValueError` for negative entries, or less than 2 codes or factors.
    """
    given = check_array("importance", importance).astype(np.float64)
    if given.ndim != 2 or min(given.shape) < 2 or (given < 0).any() or not given.sum():
        raise ValueError(
            f"importance {list(given.shape)}, least {given.min(initial=0):g}; allowed: [codes, "
            f"factors], at least 2 of each, none negative and not all 0"
        )
    of_codes = 1 - _entropy(given.T, given.shape[1])
    of_factors = 1 - _entropy(given, given.shape[0])
    whole = given.sum()
    weighted = of_codes @ given.sum(1) / whole, of_factors @ given.sum(0) / whole
    return Disentanglement(float(weighted[0]), float(weighted[1]), of_codes, of_factors)


def _entropy(columns: np.ndarray, base: int) -> np.ndarray:
    """Of each column, as shares, with logarithms to `base`."""
    shares = columns + 1e-11
    shares = shares / shares.sum(0)
    return -np.sum(shares * np.log(shares), 0) / np.log(base)


def importances(codes: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """How much each number of codes [n, d] matters for each yes-or-no label [n, k]: [d, k].

    By gradient-boosted trees, one classifier for each label. Section 3.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    codes, labels = check_array("codes", codes), check_array("labels", labels, "biuf")
    columns = [
        GradientBoostingClassifier(random_state=seed).fit(codes, truth).feature_importances_
        for truth in labels.T.astype(bool)
    ]
    return np.maximum(np.stack(columns, 1), 0)  # rounding may leave -1e-19


def channel_direction(channel: int, deviations: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """The direction [C] that moves one channel by `amount` of its standard deviations."""
    deviations = check_array("deviations", deviations)
    check_number("amount", amount)
    check_whole("channel", channel, 0)
    if channel >= len(deviations):
        raise ValueError(f"channel {channel}; allowed: 0 to {len(deviations) - 1}")
    return amount * deviations * (np.arange(len(deviations)) == channel)
