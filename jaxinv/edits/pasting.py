"""Pictures put back: an edited face into its photograph, an edit behind a mask."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from jaxinv.io.image_ops import quad_side, shrink
from jaxinv.specs.checks import check_array

BORDER = 0.12  # width of the border in which a picture fades, in its sides
SOFTNESS = 0.015  # standard deviation of the blur of masks, in sides


def paste(
    photo: np.ndarray,
    picture: np.ndarray,
    quad: np.ndarray,
    *,
    border: float = BORDER,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Put a square picture back where it was cut out: uint8 [h, w, 3] of the photo's size.

    Args:
        photo: uint8 [h, w, 3], upright.
        picture: uint8 [n, n, 3].
        quad: [4, 2], where its corners lie in the photo (see `Photo.transform`): x, y in pixel
            edges, top-left, bottom-left, bottom-right, top-right.
        border: width of the border in which the picture fades into the photo, in its sides.
        mask: [n, n] in [0, 1]; the photo stays where it is 0.

    Raises:
        ValueError: other shapes and types, or a quad that spans no area.
    """
    for what, given in (("photo", photo), ("picture", picture)):
        found = check_array(what, given, "fu")
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[-1] != 3:
            raise ValueError(
                f"{what} is {found.dtype} {list(found.shape)}; allowed: uint8 [h, w, 3]"
            )
    corners = check_array("quad", quad, "iuf").astype(np.float64)
    if corners.shape != (4, 2):
        raise ValueError(f"quad has shape {list(corners.shape)}; allowed: [4, 2]")
    if not 0 <= border <= 0.5:
        raise ValueError(f"border {border}; allowed: 0 to 0.5")
    along = np.stack([corners[3] - corners[0], corners[1] - corners[0]], axis=1)
    if abs(np.linalg.det(along)) < 1:
        raise ValueError("the quad spans no area; allowed: corners of a square")
    height, width = photo.shape[:2]
    low = np.clip(np.floor(corners.min(0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners.max(0)), 0, (width, height)).astype(int)
    if (low >= high).any():
        return photo.copy()
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
    u, v = np.tensordot(np.linalg.inv(along), np.stack([x - corners[0, 0], y - corners[0, 1]]), 1)
    shown = _sampled(picture, u, v, quad_side(corners))
    weight = fade(u, border) * fade(v, border)
    if mask is not None:
        weight = weight * _sampled(np.asarray(mask)[..., None] * 255.0, u, v, np.inf)[..., 0] / 255
    part = photo[low[1] : high[1], low[0] : high[0]].astype(np.float64)
    out = photo.copy()
    blend = part + weight[..., None] * (shown - part)
    out[low[1] : high[1], low[0] : high[0]] = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
    return out


def fade(x: np.ndarray, border: float) -> np.ndarray:
    """1 within [0, 1], smoothly down to 0 at its ends over `border`; 0 outside."""
    inside = np.minimum(x, 1 - x)
    t = np.clip(inside / border, 0, 1) if border else (inside >= 0).astype(np.float64)
    return t * t * (3 - 2 * t)


def _sampled(picture: np.ndarray, u: np.ndarray, v: np.ndarray, side: float) -> np.ndarray:
    """The picture at shares u, v of its sides; made smaller first where it will be `side` px."""
    n = len(picture)
    pixels = picture.astype(np.float32)
    small = max(1, round(side)) if np.isfinite(side) else n
    if small < n:
        pixels = shrink(pixels, small, small)
    size = len(pixels)
    points = np.stack([v * size - 0.5, u * size - 0.5])
    layers = [
        map_coordinates(pixels[..., c], points, order=1, mode="nearest")
        for c in range(pixels.shape[-1])
    ]
    return np.stack(layers, axis=-1).astype(np.float64)


def behind_mask(edited: np.ndarray, before: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The edited picture where the mask [n, n] is 1, the one before it where it is 0: uint8.

    Both are uint8 [n, n, 3]. The mask's edge is blurred, so that no seam shows.
    """
    if edited.shape != before.shape or np.shape(mask) != edited.shape[:2]:
        raise ValueError(
            f"pictures {list(edited.shape)} and {list(before.shape)} with a mask "
            f"{list(np.shape(mask))}; allowed: one size"
        )
    soft = soft_mask(mask)[..., None]
    return np.rint(before + soft * (edited.astype(np.float64) - before)).astype(np.uint8)


def soft_mask(mask: np.ndarray) -> np.ndarray:
    """The mask [n, n] in [0, 1] with a blurred edge."""
    found = check_array("mask", mask, "biuf").astype(np.float64)
    return np.clip(gaussian_filter(found, SOFTNESS * len(found), mode="nearest"), 0, 1)
