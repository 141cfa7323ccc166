"""How far two arrays of features are apart: pure functions of a pair, the render comes first.

Features are [h, w, c], or a vector [c]. Distances per position average over channels and give
[h, w], or a scalar for vectors, so that masks can weigh them; the others say what they reduce.
Gradients are finite everywhere, also where the two are equal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.nn.banded_matmul import correlate
from jaxinv.specs.checks import check_whole

if TYPE_CHECKING:
    from jaxinv.types import Array

WINDOW, SIGMA = 11, 1.5
CELL = 8  # side of the cells of edge directions
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2; sum 1.0001


def l1(a: Array, b: Array) -> Array:
    """Mean absolute difference over channels, per position."""
    return jnp.mean(jnp.abs(a - b), axis=-1)


def l2(a: Array, b: Array) -> Array:
    """Mean squared difference over channels, per position."""
    return jnp.mean(jnp.square(a - b), axis=-1)


def logcosh(a: Array, b: Array) -> Array:
    """Mean of log(cosh(a - b)) over channels, per position: d^2 / 2 near 0, |d| - log 2 far off."""
    d = jnp.abs(a - b)
    return jnp.mean(d + jax.nn.softplus(-2.0 * d) - math.log(2.0), axis=-1)


def charbonnier(a: Array, b: Array, eps: float = 1e-3) -> Array:
    """Mean of sqrt(d^2 + eps^2) over channels, per position (Charbonnier et al. 1994)."""
    return jnp.mean(jnp.sqrt(jnp.square(a - b) + eps * eps), axis=-1)


def cosine(a: Array, b: Array) -> Array:
    """1 - cosine of the angle between the channels, per position; 1 where either vanishes."""
    scale = jnp.sum(a * a, axis=-1) * jnp.sum(b * b, axis=-1)
    return 1.0 - jnp.sum(a * b, axis=-1) * jax.lax.rsqrt(scale + 1e-20)


def bce(a: Array, b: Array, eps: float = 1e-6) -> Array:
    """Binary cross-entropy of a under b, both in [0, 1]; mean over channels, per position.

    a is kept `eps` away from 0 and 1. Images on [-1, 1] are mapped by (x + 1) / 2 first.
    """
    p = jnp.clip(a, eps, 1.0 - eps)
    return -jnp.mean(b * jnp.log(p) + (1.0 - b) * jnp.log1p(-p), axis=-1)


def norm(a: Array, b: Array) -> Array:
    """Frobenius norm of the difference, a scalar: the root of the sum over everything."""
    return jnp.sqrt(jnp.sum(jnp.square(a - b)) + 1e-20)


def floor(distance: Array, eps: float) -> Array:
    """max(distance, eps): nothing is gained below eps (Menon et al. 2020, PULSE)."""
    return jnp.maximum(distance, eps)


def gram(features: Array) -> Array:
    """Products of channels, averaged over positions: [h, w, c] -> [c, c].

    The matrix of Gatys et al. 2016, equation 3, divided by the number of positions.
    """
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat / len(flat)


def style(a: Array, b: Array) -> Array:
    """Squared difference of the Gram matrices over 4 c^2, a scalar (Gatys et al. 2016, eq. 4).

    Equation 4 divides by the squared number of positions too; `gram` has done so. The two may have
    different sizes.
    """
    return jnp.sum(jnp.square(gram(a) - gram(b))) / (4 * a.shape[-1] ** 2)


def appearance(a: Array, b: Array) -> Array:
    """Squared distance of the means over positions, a scalar (Saha et al. 2021, LOHO)."""
    return jnp.sum(jnp.square(jnp.mean(a, axis=(0, 1)) - jnp.mean(b, axis=(0, 1))))


def saliency(attention: Array, shape: tuple[int, int]) -> Array:
    """How much attention every position is paid, by head: [heads, pixels, keys] -> [heads, h, w].

    The sum over all pixels by their number, those that do not see it left out, enlarged to `shape`
    by the nearest (Daras et al. 2020, YLG, as its code has it). A map without heads is of one.
    """
    attention = attention.reshape(-1, *attention.shape[-2:])
    paid = jnp.sum(attention, axis=1) / jnp.maximum(jnp.count_nonzero(attention, axis=1), 1)
    times = math.isqrt(shape[0] * shape[1] // paid.shape[-1])
    few = paid.reshape(-1, shape[0] // times, shape[1] // times)
    return jnp.repeat(jnp.repeat(few, times, axis=1), times, axis=2)


def _window() -> np.ndarray:
    weights = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    return weights / weights.sum()


def _local(x: Array) -> Array:
    """Gaussian-weighted means of [h, w, c] where the whole window fits."""
    return correlate(correlate(x, 0, _window()), 1, _window())


def similarity(a: Array, b: Array) -> tuple[Array, Array]:
    """(SSIM, its contrast and structure part alone) of images [h, w, c] in [-1, 1], per position.

    Each is [h - 10, w - 10, c]: a Gaussian window of 11 px with sigma 1.5, population covariances
    (Wang et al. 2004, equation 13). Black is 0, as in 8-bit images. Raises `ValueError` for sides
    below 11 px.
    """
    if min(a.shape[:2]) < WINDOW:
        raise ValueError(f"ssim of {a.shape[0]}x{a.shape[1]} px; allowed: at least {WINDOW} px")
    a, b, (c1, c2) = a + 1, b + 1, ((0.01 * 2) ** 2, (0.03 * 2) ** 2)
    mean_a, mean_b = _local(a), _local(b)
    var_a, var_b = _local(a * a) - mean_a**2, _local(b * b) - mean_b**2
    covariance = _local(a * b) - mean_a * mean_b
    contrast = (2 * covariance + c2) / (var_a + var_b + c2)
    return contrast * (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1), contrast


def smallest(scales: int) -> int:
    """Side of the smallest image that `ms_ssim` takes; `ValueError` for none, or more than 5."""
    check_whole("scales of ms_ssim", scales, 1)
    if scales > len(WEIGHTS):
        raise ValueError(f"scales of ms_ssim must be at most {len(WEIGHTS)}, got {scales}")
    return (WINDOW - 1) * 2 ** (scales - 1) + 1


def _halved(x: Array) -> Array:
    """Means of 2 x 2; an odd last row or column is repeated."""
    x = jnp.pad(x, [(0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)], mode="edge")
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, x.shape[2]).mean((1, 3))


def ms_ssim(a: Array, b: Array, scales: int = 5) -> Array:
    """1 - multi-scale SSIM of images [h, w, c] in [-1, 1], a scalar.

    Means over positions, a product over scales (negative ones count as 0), a mean over channels
    (Wang et al. 2003, equation 7). With fewer than 5 scales, the first weights are scaled to sum 1.
    Raises `ValueError` for smaller images than 161 px at 5 scales, 81 at 4, 41 at 3, 21 at 2, 11.
    """
    least = smallest(scales)
    if min(a.shape[:2]) < least:
        raise ValueError(
            f"ms_ssim at {scales} scales of {a.shape[0]}x{a.shape[1]} px; "
            f"allowed: at least {least} px, or fewer scales"
        )
    total = 1.0 if scales == len(WEIGHTS) else sum(WEIGHTS[:scales])
    product = jnp.ones(a.shape[-1], a.dtype)
    for scale, weight in enumerate(WEIGHTS[:scales]):
        whole, contrast = similarity(a, b)
        last = scale == scales - 1
        term = jnp.mean(whole if last else contrast, axis=(0, 1))
        product = product * _power(term, weight / total)
        a, b = (a, b) if last else (_halved(a), _halved(b))
    return 1.0 - jnp.mean(product)


def _power(x: Array, exponent: float) -> Array:
    """max(x, 0) ** exponent, with gradient 0 where x is not positive."""
    return jnp.where(x > 0, jnp.where(x > 0, x, 1.0) ** exponent, 0.0)


def orientations(image: Array, cell: int = CELL, bins: int = 8) -> Array:
    """How much every cell of an image has of edges in every direction: [h / cell, w / cell, bins].

    A gradient of the grey image counts in bin k with its length times cos^4 of the angle to the
    bin's direction, k pi / bins; the sign does not matter. The bins of a cell are divided by their
    norm. A smooth form of the histograms of Dalal & Triggs 2005, for the edges of Zhu et al. 2016.
    Raises `ValueError` unless cells fill the image.
    """
    if image.shape[0] % cell or image.shape[1] % cell:
        sides = f"{image.shape[0]}x{image.shape[1]}"
        raise ValueError(f"cell {cell} of {sides} px; allowed: what divides both sides")
    grey = jnp.pad(jnp.mean(image, axis=-1), 1, mode="edge")
    y, x = (grey[2:, 1:-1] - grey[:-2, 1:-1]) / 2, (grey[1:-1, 2:] - grey[1:-1, :-2]) / 2
    angles = np.arange(bins) * np.pi / bins
    along = x[..., None] * np.cos(angles) + y[..., None] * np.sin(angles)
    length = jnp.sqrt(x * x + y * y + 1e-8)[..., None]
    rows, columns = image.shape[0] // cell, image.shape[1] // cell
    votes = (along**4 / length**3).reshape(rows, cell, columns, cell, bins).mean((1, 3))
    return votes * jax.lax.rsqrt(jnp.sum(votes * votes, axis=-1, keepdims=True) + 1e-4)


def hog(a: Array, b: Array, cell: int = CELL, bins: int = 8) -> Array:
    """Mean squared difference of the edge directions of two images, per cell."""
    return l2(orientations(a, cell, bins), orientations(b, cell, bins))
