"""8-bit pictures resized as the published code of feature nets does it: by Pillow, rounded."""

from __future__ import annotations

import numpy as np
from PIL import Image


def clip_crop(picture: np.ndarray, size: int) -> np.ndarray:
    """The centre [size, size, 3] of uint8 [h, w, 3], whose shorter side is brought to the size.

    Bicubic. CLIP takes out its mean and deviation afterwards.
    """
    height, width = picture.shape[:2]
    rows, columns = (int(size * n / min(height, width)) for n in (height, width))
    whole = _resized(picture, (columns, rows), Image.Resampling.BICUBIC)
    top, left = round((rows - size) / 2), round((columns - size) / 2)
    return whole[top : top + size, left : left + size]


def stretched(picture: np.ndarray, size: int) -> np.ndarray:
    """All of uint8 [h, w, 3], bilinear, at [size, size, 3], as face parsing takes it."""
    return _resized(picture, (size, size), Image.Resampling.BILINEAR)


def _resized(picture: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size, how))
