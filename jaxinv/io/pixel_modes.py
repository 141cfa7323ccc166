"""Modes and colour profiles of pictures -> RGB pixels."""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms

from jaxinv.io.files import BadFile


def rgb_pixels(image: Image.Image, bits: int, notes: list[str]) -> tuple[np.ndarray, Any]:
    """Colours [h, w, 3] of any mode and alpha [h, w] in [0, 1], or None for opaque."""
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image), 2.0**bits - 1), None
    if image.mode == "I":
        return _grey(np.asarray(image), 65535.0), None
    if image.mode == "F":
        values = np.asarray(image)
        full = 1.0 if values.max() <= 1 else 255.0
        notes.append(f"float pixels are taken to range over 0..{full:.0f}")
        return _grey(values, full), None
    alpha, base = None, image
    if image.has_transparency_data:
        base = image.convert("RGBA")
        alpha = np.asarray(base.getchannel("A"), np.float32) / 255
    if base.mode not in ("L", "RGB", "CMYK"):
        base = base.convert("RGB")
    if image.mode in ("1", "L", "LA", "La"):
        base = base.convert("L")
    profile = image.info.get("icc_profile")
    srgb = _to_srgb(base, profile, notes) if profile else base.convert("RGB")
    return np.asarray(srgb), None if alpha is None or alpha.min() >= 1 else alpha


def _grey(values: np.ndarray, full: float) -> np.ndarray:
    """Grey values 0..full as float32 [h, w, 3] in [-1, 1]."""
    if not np.isfinite(values).all():
        raise BadFile("non-finite pixels")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > full:
        raise BadFile(f"pixels range over {low:g}..{high:g}, must lie in 0..{full:g}")
    pixels = np.empty((*values.shape, 3), np.float32)
    for row in range(len(values)):  # one by one: it may be large
        pixels[row] = (values[row].astype(np.float64) * (2 / full) - 1)[:, None]
    return pixels


def _to_srgb(image: Image.Image, data: bytes, notes: list[str]) -> Image.Image:
    """Colours of an image with an ICC profile in sRGB; a profile that is no use is a note."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if not ImageCms.getProfileDescription(profile).startswith("sRGB"):
            if image.mode == "L" and cast("Any", profile).profile.xcolor_space.strip() == "RGB":
                image = image.convert("RGB")
            target = ImageCms.createProfile("sRGB")
            turned: Any = ImageCms.profileToProfile(image, profile, target, outputMode="RGB")
            image = turned or image
    except Exception as error:
        notes.append(f"colour profile could not be used ({type(error).__name__}): sRGB is assumed")
    return image.convert("RGB")
