"""Frames of videos and animations, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from jaxinv.io.files import BadFile
from jaxinv.specs.checks import check_place

ANIMATED = (".gif", ".webp", ".png", ".apng")
MOST_PIXELS = 64_000_000  # of a frame
USUAL_RATE = 25.0  # frames per second where a file does not say


def read_rate(path: str | Path) -> float:
    """Frames per second of a video or animation; `BadFile` where it cannot be read."""
    check_place("path", path)
    place = Path(path)
    try:
        if place.suffix.lower() in ANIMATED:
            with Image.open(place) as image:
                image.load()  # of some formats only frames say how long they last
                waits = float(image.info.get("duration", 0))
            return 1000 / waits if waits else USUAL_RATE
        meta: dict[str, Any] = _imageio().immeta(place, plugin="pyav")
        return float(meta.get("fps") or USUAL_RATE)
    except (OSError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise BadFile(f"{place} is no video that can be read: {error}") from error


def iter_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Every frame of a video or animation, uint8 [h, w, 3].

    Animations are read as they are, other files by imageio with PyAV (extra `video`). Raises
    `BadFile` where the file cannot be read, `ValueError` where PyAV is missing.
    """
    check_place("path", path)
    place = Path(path)
    try:
        if place.suffix.lower() in ANIMATED:
            yield from _animated(place)
            return
        for frame in _imageio().imiter(place, plugin="pyav", format="rgb24"):
            yield _checked(place, np.asarray(frame))
    except (OSError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise BadFile(f"{place} is no video that can be read: {error}") from error


def _animated(place: Path) -> Iterator[np.ndarray]:
    with Image.open(place) as image:
        if image.width * image.height > MOST_PIXELS:
            raise BadFile(f"{place} has frames of {image.width}x{image.height} px; allowed: fewer")
        for frame in ImageSequence.Iterator(image):
            yield np.asarray(frame.convert("RGB"))


def _checked(place: Path, frame: np.ndarray) -> np.ndarray:
    if frame.shape[0] * frame.shape[1] > MOST_PIXELS:
        raise BadFile(f"{place} has frames of {frame.shape[1]}x{frame.shape[0]} px; allowed: fewer")
    return frame


def _imageio() -> Any:
    try:
        import av  # noqa: F401  # what reads it
        import imageio.v3 as iio
    except ImportError as error:
        raise ValueError(
            "videos need imageio with PyAV: pip install 'jaxinv[video]'; allowed without: gif, webp"
        ) from error
    return iio
