"""Mask files: which pixels of a photograph are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxinv.io import images
from jaxinv.io.files import BadFile
from jaxinv.io.image_ops import crop

MAX_BLACK = 0.25  # level up to which the darkest place of a mask is black
MASK_TOLERANCE = 0.02  # part of a pixel that may be missing before the pixel counts as missing
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def resize_mask(mask: np.ndarray, size: int, *, hard: bool = False) -> np.ndarray:
    """A mask [n, n] resized to `size` px; `hard`: what is missing in part has no weight."""
    if len(mask) != size:
        mask = images.resize(np.repeat(mask[..., None], 3, axis=2), size)[..., 0]
    return np.where(mask > 1 - MASK_TOLERANCE, mask, 0).astype(np.float32) if hard else mask


def mask_of(place: Path, file: Path, photo: images.Photo) -> np.ndarray:
    """What is missing of a photo, [n, n]: 1 where its mask file is white, cut as the photo was.

    `place` is that file, or a folder in which it has the photo's stem. Raises `BadFile` for a mask
    of another size than the photo's file.
    """
    place = file_beside(place, file)
    mask = read_mask(place)
    wanted, found = (one.transform["source_size"] for one in (photo, mask) if one.transform)
    if wanted != found:
        raise BadFile(f"mask {place} has {size_text(found)} px; allowed: {size_text(wanted)}")
    quad = np.asarray((photo.transform or {})["quad"]) * (len(mask.pixels) / np.asarray(found))
    grey = np.repeat(np.mean(mask.pixels, axis=-1, keepdims=True), 3, axis=-1)
    black = _black_level((grey[..., 0] + 1) / 2)
    grey = (grey + 1 - 2 * black) / (1 - black) - 1
    cut = crop(grey, quad, len(photo.pixels))[0]
    return np.clip((cut[..., 0] + 1) / 2, 0, 1)


def file_beside(place: Path, file: Path) -> Path:
    """What belongs to a photo's file: `place`, or the file of its stem in the folder `place`."""
    if not place.is_dir():
        return place
    named = [place / (file.stem + suffix) for suffix in (file.suffix, *SUFFIXES)]
    return next((path for path in named if path.is_file()), named[0])


def _black_level(mask: np.ndarray) -> float:
    """The level in [0, 1] up to which a mask is black: that of its dark half, and of its noise.

    It is 0 in a mask that was drawn, and not where one was scanned or coded as JPEG.
    """
    dark = mask[mask <= (mask.min() + mask.max()) / 2]
    middle = np.median(dark)
    noise = np.median(np.abs(dark - middle)) / 0.6745  # the standard deviation of Gaussian noise
    return float(np.clip(middle + 4 * noise, 0, MAX_BLACK))


def read_mask(place: Path) -> images.Photo:
    """A mask file as it is; `BadFile` if it is none. What is transparent is not missing."""
    try:
        return images.read_photo(place, fit="stretch", background=0.0)
    except images.ImageError as error:
        raise BadFile(f"mask {error}") from error


def size_text(size: list[int]) -> str:
    """Width and height as people write them."""
    return "x".join(map(str, size))
