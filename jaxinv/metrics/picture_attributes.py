"""Attributes of a picture that need no network: brightness, colour, place and form of what is lit.

Each is a function of one picture, float64 [h, w, 3] in 0..255.
"""

from __future__ import annotations

import numpy as np

from jaxinv.metrics.naturalness import LUMA

# sRGB (IEC 61966-2-1) to XYZ of D65, rows X, Y, Z, each divided by the white point's.
_RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_CHEEKS = ((0.27, 0.42), (0.58, 0.73))  # columns of faces framed as FFHQ, left one first
_BLOCK = 16  # px
_BRIDGE = ((0.42, 0.54), (0.47, 0.53))  # rows and columns between their eyes
_WHITE = _RGB_TO_XYZ.sum(1)
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27  # where CIE Lab changes from a line to a root


def luma(picture: np.ndarray) -> np.ndarray:
    """Luma [h, w], 0..255, with the weights of ITU-R BT.601."""
    return picture @ np.asarray(LUMA)


def lab(picture: np.ndarray) -> np.ndarray:
    """CIE L*a*b* [h, w, 3] of sRGB, white D65."""
    coded = picture / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _RGB_TO_XYZ.T / _WHITE
    x, y, z = np.moveaxis(np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def mean_luma(picture: np.ndarray) -> float:
    """Mean luma, 0..255."""
    return float(luma(picture).mean())


def mean_green_red(picture: np.ndarray) -> float:
    """Mean a* of CIE Lab: below 0 green, above 0 red."""
    return float(lab(picture)[..., 1].mean())


def mean_blue_yellow(picture: np.ndarray) -> float:
    """Mean b* of CIE Lab: below 0 blue, above 0 yellow."""
    return float(lab(picture)[..., 2].mean())


def contrast(picture: np.ndarray) -> float:
    """Standard deviation of luma, in levels of 0..255."""
    return float(luma(picture).std())


def centroid_x(picture: np.ndarray) -> float:
    """Where luma has its centre, 0 (left edge) .. 1 (right edge); 0.5 for a black picture."""
    return _moments(luma(picture), 1)[0]


def centroid_y(picture: np.ndarray) -> float:
    """Where luma has its centre, 0 (upper edge) .. 1 (lower edge); 0.5 for a black picture."""
    return _moments(luma(picture), 0)[0]


def scale(picture: np.ndarray) -> float:
    """How far luma is spread: root of the mean variance along both axes, in sides."""
    y = luma(picture)
    return float(np.sqrt((_moments(y, 0)[1] + _moments(y, 1)[1]) / 2))


def aspect(picture: np.ndarray) -> float:
    """Spread of luma along rows over that along columns: above 1 is wide. NaN without spread."""
    y = luma(picture)
    high = _moments(y, 0)[1]
    return float(np.sqrt(_moments(y, 1)[1] / high)) if high > 0 else float("nan")


def sharpness(picture: np.ndarray) -> float:
    """Standard deviation of the Laplacian of luma (four neighbours), in levels of 0..255.

    0 where a side is below 3 px.
    """
    y = luma(picture)
    inner = y[1:-1, 1:-1]
    edges = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:] - 4 * inner
    return float(edges.std()) if edges.size else 0.0


def asymmetry(picture: np.ndarray) -> float:
    """Root mean squared difference of luma from its mirror image, in levels of 0..255."""
    y = luma(picture)
    return float(np.sqrt(np.mean(np.square(y - y[:, ::-1]))))


def checkerboard(picture: np.ndarray) -> float:
    """Amplitude of patterns that alternate from pixel to pixel, in levels of 0..255.

    In rows, columns or both, with one sign over blocks of 16 px, as networks that enlarge leave
    them (Odena et al. 2016, Deconvolution and Checkerboard Artifacts); the root mean square over
    blocks. Noise averages out. 0 where a side is below 16 px.
    """
    y = luma(picture)
    rows, columns = (side // _BLOCK for side in y.shape)
    if not rows * columns:
        return 0.0
    inner = y[: rows * _BLOCK, : columns * _BLOCK]
    blocks = inner.reshape(rows, _BLOCK, columns, _BLOCK)
    sign = (-1.0) ** np.arange(_BLOCK)
    ones = np.ones(_BLOCK)
    pairs = ((sign, ones), (ones, sign), (sign, sign))
    found = [np.einsum("aibj,i,j->ab", blocks, down, across) for down, across in pairs]
    return float(np.sqrt(np.mean(np.sum(np.square(found), 0)))) / _BLOCK**2


def _moments(y: np.ndarray, axis: int) -> tuple[float, float]:
    """Mean and variance of the place along an axis, in sides, weighted by y [h, w]."""
    profile = y.sum(1 - axis)
    places = (np.arange(profile.size) + 0.5) / profile.size
    total = profile.sum()
    weights = profile / total if total > 0 else np.full(profile.size, 1 / profile.size)
    mean = float(places @ weights)
    return mean, float(np.square(places - mean) @ weights)


def hair_luma(picture: np.ndarray) -> float:
    """Mean luma, 0..255, of where faces framed as FFHQ have their hair: above the forehead."""
    return float(_part(luma(picture), (0.06, 0.18), (0.35, 0.65)).mean())


def light_side(picture: np.ndarray) -> float:
    """Log of the right cheek's luma over the left one's, of faces framed as FFHQ."""
    lit = luma(picture) + 1.0
    left, right = (_part(lit, (0.5, 0.66), columns).mean() for columns in _CHEEKS)
    return float(np.log(right / left))


def glasses(picture: np.ndarray) -> float:
    """The strongest line across the bridge of the nose of faces framed as FFHQ, in levels of luma.

    Rims of glasses meet there and bare skin is smooth: of all rows between the eyes, the largest
    mean step of luma over 1/256 of the side, mean of absolute values along the row.
    """
    y = luma(picture)
    reach = max(1, round(len(y) / 256))
    steps = np.abs(y[2 * reach :] - y[: -2 * reach]) / 2
    steps = np.pad(steps, ((reach, reach), (0, 0)))
    return float(_part(steps, *_BRIDGE).mean(1).max())


def _part(
    values: np.ndarray, rows: tuple[float, float], columns: tuple[float, float]
) -> np.ndarray:
    height, width = values.shape
    top, bottom = (round(edge * height) for edge in rows)
    left, right = (round(edge * width) for edge in columns)
    return values[top : max(bottom, top + 1), left : max(right, left + 1)]
