"""Reference-based scores of 8-bit images, one number per image; means are left to the caller.

They run on the host in float64: scores of finished pictures are not worth a compile, and published
tables are computed on the rounded 8-bit files.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8
from numpy.lib.stride_tricks import sliding_window_view

from jaxinv.losses.distances import WEIGHTS
from jaxinv.specs.checks import check_array, check_choice, told

Stack = UInt8[np.ndarray, "b h w 3"]
Scores = Float64[np.ndarray, " b"]

_PEAK = 255.0
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
_HALF = _PEAK / 2
COMBINED = ("product", "mean")  # of the scales of MS-SSIM
MS_SSIM_LEAST, MS_SSIM_WHOLE = 32, 176  # px: least side; least at which every window has 11 px


def psnr(a: Stack, b: Stack) -> Scores:
    """Return the peak signal-to-noise ratio of each pair of images, in decibels, peak 255.

    The mean squared error is taken over all pixels and channels of one image. Identical images have
    no noise and score `inf`; since JSON has no such number, write it as `null` there.

    Args:
        a: uint8 [b, h, w, 3].
        b: uint8, same shape; the score is symmetric.

    Raises:
        ValueError: the stacks are not uint8 [b, h, w, 3] of one shape.

    Reference: Xia et al., "GAN Inversion: A Survey" (2022), equation 6.
    """
    x, y = check_pair(a, b)
    error = np.array([np.mean(np.square(p.astype(float) - q)) for p, q in zip(x, y, strict=True)])
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(_PEAK**2 / error)


def ssim(a: Stack, b: Stack) -> Scores:
    """Return the mean structural similarity of each pair of images, at most 1 (identical).

    11 x 11 Gaussian window with sigma 1.5, population covariances, K1 = 0.01, K2 = 0.03, only
    windows that lie inside the image, mean over positions and colours; no downsampling first.

    Args:
        a: uint8 [b, h, w, 3] with h, w >= 11.
        b: uint8, same shape; the score is symmetric.

    Raises:
        ValueError: the stacks are not uint8 [b, h, w, 3] of one shape, or a side is
            below 11 pixels.

    Reference: Wang et al., "Image Quality Assessment: From Error Visibility to Structural
    Similarity" (2004), equations 13 and 17.
    """
    x, y = check_pair(a, b)
    if min(x.shape[1:3]) < _WINDOW:
        raise ValueError(f"ssim: sides {x.shape[1:3]} are below the {_WINDOW} px window")
    return np.array(
        [_similarities(p.astype(float), q.astype(float))[0] for p, q in zip(x, y, strict=True)]
    )


def ms_ssim(a: Stack, b: Stack, *, combined: str = "product") -> Scores:
    """Return the structural similarity over five scales of each pair, in [0, 1]; 1 is identical.

    Contrast and structure at the first four scales, all of SSIM at the last, each raised to its
    weight .0448, .2856, .3001, .2363, .1333 and multiplied; negative ones count as 0. Scales are
    means of 2 x 2 px (an odd last row is left out). Where a scale is below 11 px, the window and
    its sigma shrink with it, as in the code of Karras et al. 2018.

    Args:
        a: uint8 [b, h, w, 3] with h, w >= 32; from 176 px no window shrinks.
        b: uint8, same shape; the score is symmetric.
        combined: "product" of the five, or their weighted "mean", as PyIQA publishes it.

    Raises:
        ValueError: the stacks are not uint8 [b, h, w, 3] of one shape, or smaller.

    Reference: Wang et al., "Multi-scale structural similarity for image quality assessment" (2003),
    equation 7.
    """
    check_choice("way of combining scales", combined, COMBINED)
    x, y = check_pair(a, b)
    if min(x.shape[1:3]) < MS_SSIM_LEAST:
        raise ValueError(f"ms_ssim: sides {x.shape[1:3]}; allowed: at least {MS_SSIM_LEAST} px")
    found = np.array(
        [_of_scales(p.astype(float), q.astype(float)) for p, q in zip(x, y, strict=True)]
    ).reshape(-1, len(WEIGHTS))
    if combined == "mean":
        return found @ np.array(WEIGHTS) / sum(WEIGHTS)
    return np.prod(np.maximum(found, 0.0) ** np.array(WEIGHTS), axis=1)


def mse(a: Stack, b: Stack) -> Scores:
    """Return the mean squared error of each pair of uint8 [b, h, w, 3], of pixels in [-1, 1].

    Tables of inversion report it so; it is 4 times that of pixels in [0, 1].
    """
    x, y = check_pair(a, b)
    apart = ((p.astype(float) - q) / _HALF for p, q in zip(x, y, strict=True))
    return np.array([np.mean(np.square(one)) for one in apart])


def l1(a: Stack, b: Stack) -> Scores:
    """Return the mean absolute error of each pair of uint8 [b, h, w, 3], of pixels in [-1, 1]."""
    x, y = check_pair(a, b)
    apart = ((p.astype(float) - q) / _HALF for p, q in zip(x, y, strict=True))
    return np.array([np.mean(np.abs(one)) for one in apart])


def _of_scales(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Contrast and structure at all scales but the last, SSIM at the last."""
    found = []
    for _ in WEIGHTS[:-1]:
        found.append(_similarities(x, y)[1])
        x, y = _half(x), _half(y)
    return [*found, _similarities(x, y)[0]]


def _half(image: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in image.shape[:2])
    cut = image[: 2 * height, : 2 * width]
    return cut.reshape(height, 2, width, 2, -1).mean(axis=(1, 3))


def _similarities(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean SSIM of two pictures [h, w, c], and of its contrast and structure alone."""
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    structure, spread = 2 * covariance + _C2, var_x + var_y + _C2
    similarity = (2 * mean_x * mean_y + _C1) * structure
    whole = similarity / ((mean_x**2 + mean_y**2 + _C1) * spread)
    return float(np.mean(whole)), float(np.mean(structure / spread))


def _blur(image: np.ndarray) -> np.ndarray:
    """Gaussian-weighted local means of [h, w, c], where the whole window fits."""
    window = min(_WINDOW, *image.shape[:2])
    offsets = np.arange(window) - (window - 1) / 2
    kernel = np.exp(-0.5 * (offsets / (_SIGMA * window / _WINDOW)) ** 2)
    kernel /= kernel.sum()
    image = sliding_window_view(image, window, axis=0) @ kernel
    return sliding_window_view(image, window, axis=1) @ kernel


def check_stack(name: str, images: object) -> np.ndarray:
    """The images; `ValueError` unless they are uint8 [b, h, w, 3]."""
    stack = check_array(name, images, "biuf")
    if stack.dtype != np.uint8 or stack.ndim != 4 or stack.shape[-1] != 3:
        found = f"{told(stack)}; allowed: to_uint8 of pixels in [-1, 1]"
        raise ValueError(f"{name}: expected uint8 [b, h, w, 3], found {found}")
    return stack


def check_pair(a: Stack, b: Stack) -> tuple[np.ndarray, np.ndarray]:
    """Return both stacks; `ValueError` unless they are uint8 [b, h, w, 3] of one shape."""
    x, y = check_stack("a", a), check_stack("b", b)
    if x.shape != y.shape:
        raise ValueError(f"shapes differ: a is {list(x.shape)}, b is {list(y.shape)}")
    return x, y
