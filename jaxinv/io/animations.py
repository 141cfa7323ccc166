"""Several pictures as one: strips side by side, and animations."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jaxinv.io.image_ops import grid
from jaxinv.io.images import encode_png, from_uint8, resize, to_uint8
from jaxinv.specs.checks import check_above, check_array, check_choice, check_list, told
from jaxinv.specs.vocabulary import ANIMATIONS

STRIP_SIDE = 256


LONGEST = 600  # seconds of a frame at most: files of animations count them in few bytes


def encode_animation(frames: Sequence[np.ndarray], kind: str, *, seconds: float = 2.0) -> bytes:
    """An animation of uint8 [h, w, 3] frames that lasts `seconds` and starts anew.

    `kind` is one of `ANIMATIONS`. Raises `ValueError` for another, for no frames or unequal ones,
    and for "mp4" where imageio's ffmpeg is not installed (extra `video`).
    """
    check_choice("animation", kind, ANIMATIONS)
    check_above("seconds", seconds, 0)
    check_list("frames", frames, "pictures")
    for frame in frames:
        found = check_array("frame", frame, "fu")
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[-1] != 3:
            raise ValueError(f"a frame is {told(found)}; allowed: uint8 [h, w, 3]")
    shapes = {np.shape(frame) for frame in frames}
    if len(shapes) != 1:
        raise ValueError(f"{len(frames)} frames of shapes {sorted(shapes)}; allowed: one or more")
    rate = len(frames) / seconds
    if seconds > LONGEST * len(frames):
        raise ValueError(
            f"seconds {seconds:g} for {len(frames)} frames; allowed: at most {LONGEST} for each"
        )
    if kind == "mp4":
        return _mp4(frames, rate)
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    out = io.BytesIO()
    options = {"lossless": False, "quality": 90} if kind == "webp" else {"optimize": False}
    pictures[0].save(
        out,
        kind.upper(),
        save_all=True,
        append_images=pictures[1:],
        duration=max(20, round(1000 / rate)),
        loop=0,
        **options,
    )
    return out.getvalue()


def _mp4(frames: Sequence[np.ndarray], rate: float) -> bytes:
    try:
        import av  # noqa: F401  # what writes it
        import imageio.v3 as iio
    except ImportError as error:
        raise ValueError(
            "mp4 needs imageio with PyAV: pip install 'jaxinv[video]'; allowed without: gif, webp"
        ) from error
    even = [frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2] for frame in frames]
    return iio.imwrite(
        "<bytes>",
        np.stack(even),
        extension=".mp4",
        plugin="pyav",
        codec="libx264",
        fps=float(rate),
    )


def encode_strip(pictures: Sequence[np.ndarray], side: int = STRIP_SIDE) -> bytes:
    """PNG of square uint8 pictures side by side, each made smaller to at most `side` px."""
    small = [
        to_uint8(resize(from_uint8(one), side)) if len(one) > side else one for one in pictures
    ]
    return encode_png(grid(np.stack(small), len(small)))


def there_and_back(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames, then backwards without the two ends, so that a loop has no jump."""
    return [*frames, *frames[-2:0:-1]]
