"""Image files to float32 NHWC arrays in [-1, 1] and back.

The one place for EXIF, colour modes, profiles, alpha, resizing and encoding. Every way in which a
file can be wrong ends in one exception, `ImageError`, whatever the decoder raised.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxinv.io.arguments import Fit, check_reading, check_writing
from jaxinv.io.decoding import MIN_SIDE, MOST_KEPT, Upright, decode
from jaxinv.io.face_alignment import align_photo
from jaxinv.io.face_frame import AlignError
from jaxinv.io.files import BadFile, atomic_write, find_images, read_bytes
from jaxinv.io.image_ops import (
    as_float,
    box_quad,
    fit_square,
    from_uint8,
    grid,
    shrink_float,
    to_uint8,
)
from jaxinv.io.output_folder import check_new
from jaxinv.io.text import printable
from jaxinv.specs.checks import check_place

__all__ = [
    "Fit",
    "ImageError",
    "Photo",
    "PhotoWarning",
    "encode_jpeg",
    "encode_png",
    "find_images",
    "from_uint8",
    "grid",
    "read_images",
    "read_photo",
    "read_upright",
    "resize",
    "to_uint8",
    "write_images",
]


class ImageError(ValueError):
    """A file that cannot be used as an image: `file`, and `reason` in one line."""

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{printable(file)}: {printable(reason)}")


class PhotoWarning(UserWarning):
    """What the user should know of a photo that `read_images` has read: the file and one note."""


@dataclass(frozen=True)
class Photo:
    """One image as read: pixels float32 [n, n, 3] in [-1, 1], sRGB, upright, and how it was cut.

    `sha256` is that of the file's bytes. `mask` [n, n] in [0, 1] weighs each pixel (alpha, padding;
    None is all 1). `transform` is JSON-able: "kind" ("align", "fit-crop", "fit-pad", "fit-stretch",
    "whole"), "source_size" [width, height] of the upright file, "size" n and "quad", the corners of
    the pixels in the source: top-left, bottom-left, bottom-right, top-right, x, y in pixel edges.
    """

    file: str
    sha256: str
    pixels: np.ndarray
    mask: np.ndarray | None
    transform: dict[str, Any] | None
    warnings: tuple[str, ...]


def read_photo(
    path: str | Path,
    *,
    size: int | None = None,
    align: str = "none",
    fit: Fit = "crop",
    background: float = 0.5,
) -> Photo:
    """Read one image file as a square photo, aligned or fitted, of `size` pixels (None: its own).

    `align` is "none", "auto" or a file of landmarks (see `face_alignment.align_photo`). Photos that
    are not square after that are cut, padded, stretched or refused as `fit` says. Transparent
    pixels and padding show `background` (0 black .. 1 white) and weigh less in the mask. The
    content decides about the format, never the name; animations give their first frame. Pictures of
    more than `MOST_KEPT` pixels are halved while they are read, which is noted: whatever a file
    states, reading it takes at most 1.25 GiB beside its own bytes.

    Raises:
        ImageError: the file is missing, broken, too large, too small or refused by `fit`.
        ValueError: an argument or the file of landmarks is wrong.
    """
    check_reading([path], size=size, align=align, fit=fit, background=background)
    file = os.fspath(path)
    try:
        data = read_bytes(Path(path))
        image = decode(data, size=size if align == "none" else None, background=background)
        pixels, mask, transform, notes = align_photo(
            image.pixels,
            align,
            name=file,
            size=size,
            alpha=image.alpha,
            source_size=image.source_size,
        )
        image.notes += notes
        if transform is None:
            pixels, mask, transform = _fitted(image, fit, background)
    except (AlignError, BadFile) as error:
        raise ImageError(file, str(error)) from error
    if size is not None and len(pixels) < size:
        image.notes.append(f"enlarged from {len(pixels)} to {size} px, which adds no detail")
    pixels, mask = _resized(pixels, mask, size or len(pixels))
    transform |= {"source_size": list(image.source_size), "size": len(pixels)}
    digest = hashlib.sha256(data).hexdigest()
    return Photo(file, digest, pixels, mask, transform, tuple(image.notes))


def read_upright(path: str | Path) -> tuple[np.ndarray, str]:
    """A whole photo as it is shown, uint8 [h, w, 3], and the SHA-256 of the file's bytes.

    Transparent pixels are grey. Raises `ImageError` as `read_photo` does.
    """
    check_place("path", path)
    try:
        data = read_bytes(Path(path))
        pixels = decode(data, size=None, background=0.5).pixels
    except BadFile as error:
        raise ImageError(os.fspath(path), str(error)) from error
    return to_uint8(pixels), hashlib.sha256(data).hexdigest()


def read_images(
    paths: Iterable[str | Path],
    *,
    size: int | None = None,
    align: str = "none",
    fit: Fit = "crop",
    limit: int | None = None,
) -> np.ndarray:
    """Images of files and folders, float32 [B, size, size, 3] in [-1, 1], in the order of names.

    Args:
        paths: files and folders (walked recursively), or one of them.
        size: side in px; None: the largest power of two that no image must be enlarged for.
        align: "none"; "auto": faces are found and cut as those of FFHQ were; or a JSON file of
            landmarks.
        fit: what to do with images that are not square: "crop" the centre, "pad" with grey,
            "stretch", or "refuse" them.
        limit: only the first files.

    Raises:
        ImageError: names every file that cannot be read, or says that there is none. Use
            `read_photo` to go on without them.
        ValueError: an argument is wrong.

    What was noticed (`warnings` of `read_photo`) is issued as a `PhotoWarning`.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    paths = check_reading(paths, size=size, align=align, fit=fit)
    photos, errors = [], []
    for file in find_images(paths, limit=limit):
        try:
            photos.append(read_photo(file, size=size, align=align, fit=fit))
        except ImageError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        listed = "; ".join(str(error) for error in errors)
        raise ImageError(f"{len(errors)} of {len(errors) + len(photos)} files", listed)
    if not photos:
        raise ImageError(", ".join(map(str, paths)) or "no paths", "no images found")
    for photo in photos:
        for note in photo.warnings:
            warnings.warn(f"{printable(photo.file)}: {printable(note)}", PhotoWarning, stacklevel=2)
    side = size or 2 ** (min(len(photo.pixels) for photo in photos).bit_length() - 1)
    return np.stack([resize(photo.pixels, side) for photo in photos])


def write_images(
    folder: str | Path,
    images: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write [B, H, W, 3] images, float in [-1, 1] or uint8, as PNG files; returns their paths.

    Each file appears whole or not at all, and equal images give equal bytes. `names` are bare file
    names, ".png" is added where missing; by default they are 000000.png, 000001.png, ...
    A file that is there and holds something else is replaced only with `overwrite`.

    Raises:
        ValueError: wrong shape, non-finite pixels, names that are no distinct bare names, or a
            file that is there; nothing is written then.
    """
    images = check_writing(folder, images, names)
    names = [f"{i:06d}" for i in range(len(images))] if names is None else list(names)
    files = [name if name.lower().endswith(".png") else name + ".png" for name in names]
    wrong = [name for name in names if not name or name.startswith(".") or Path(name).name != name]
    if wrong or len(set(files)) != len(images):
        raise ValueError(
            f"names must be {len(images)} distinct bare file names, got {wrong or list(names)}"
        )
    target = Path(folder)
    paths = [target / file for file in files]
    if not overwrite:
        for path, image in zip(paths, images, strict=True):
            if path.exists():
                check_new(path, encode_png(to_uint8(image)))
    target.mkdir(parents=True, exist_ok=True)
    for path, image in zip(paths, images, strict=True):
        data = encode_png(to_uint8(image))
        atomic_write(path, lambda out, data=data: out.write(data))
    return paths


def encode_png(u8: np.ndarray) -> bytes:
    """PNG file of uint8 [h, w, 3] or [h, w], or [h, w, 4] with how opaque each pixel is.

    The same pixels give the same bytes. Raises `ValueError` for other arrays.
    """
    out = io.BytesIO()
    Image.fromarray(_bytes(u8, (3, 4))).save(out, "PNG", compress_level=6)
    return out.getvalue()


def encode_png16(u16: np.ndarray) -> bytes:
    """PNG file of uint16 [h, w], grey of 16 bits; the same values give the same bytes."""
    if u16.dtype != np.uint16 or u16.ndim != 2:
        raise ValueError(f"got {u16.dtype} {list(u16.shape)}; allowed: uint16 [h, w]")
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(u16)).save(out, "PNG", compress_level=6)
    return out.getvalue()


def encode_jpeg(u8: np.ndarray, quality: int) -> bytes:
    """JPEG file of uint8 [h, w, 3] or [h, w] at `quality` 1..95, colour at full resolution."""
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must lie in 1..95, got {quality}")
    out = io.BytesIO()
    Image.fromarray(_bytes(u8)).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize square [n, n, c], float in [-1, 1] or uint8, to float32 [size, size, c].

    Smaller by exact area averages, larger by Lanczos (clipped to [-1, 1]).
    """
    if pixels.ndim != 3 or pixels.shape[0] != pixels.shape[1] or size < 1:
        raise ValueError(f"need [n, n, c] and size >= 1, got {list(pixels.shape)} and {size}")
    if size <= len(pixels):
        small = shrink_float(pixels, size, size)
        return np.clip(small, -1, 1, out=small if pixels.dtype == np.uint8 else None)
    planes = np.moveaxis(as_float(pixels), -1, 0)
    large = [
        Image.fromarray(np.ascontiguousarray(p)).resize((size, size), Image.Resampling.LANCZOS)
        for p in planes
    ]
    return np.clip(np.stack([np.asarray(p) for p in large], axis=-1), -1, 1)


def _fitted(
    image: Upright, fit: Fit, background: float
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """The photo made square, its mask and transform; the quad is in pixels of the file."""
    height, width = image.pixels.shape[:2]
    source = np.array(image.source_size)
    if height == width:
        quad = box_quad(0, 0, *image.source_size)
        return image.pixels, image.alpha, {"kind": "whole", "quad": quad.tolist()}
    if fit == "refuse":
        raise BadFile(f"{source[0]}x{source[1]} px is not square: use fit crop, pad or stretch")
    if fit == "pad" and max(height, width) ** 2 > MOST_KEPT:
        image = _for_padding(image)
        height, width = image.pixels.shape[:2]
    pixels, mask, quad = fit_square(image.pixels, image.alpha, fit, background)
    done = {"crop": "cut to its central square", "pad": "padded to a square"}
    image.notes.append(f"{source[0]}x{source[1]} px {done.get(fit, 'stretched to a square')}")
    quad = quad * (source / (width, height))
    return pixels, mask, {"kind": f"fit-{fit}", "quad": quad.tolist()}


def _for_padding(image: Upright) -> Upright:
    """The photo reduced, so that its padded square has no more than `MOST_KEPT` pixels."""
    sides = image.pixels.shape[:2]
    share = math.isqrt(MOST_KEPT) / max(sides)
    height, width = (round(side * share) for side in sides)
    if min(height, width) < MIN_SIDE:
        shown = "x".join(map(str, image.source_size))
        raise BadFile(f"{shown} px is too long to be padded to a square: use fit crop or stretch")
    alpha = image.alpha
    if alpha is not None:
        alpha = shrink_float(alpha[..., None], height, width)[..., 0]
    return replace(image, pixels=shrink_float(image.pixels, height, width), alpha=alpha)


def _resized(
    pixels: np.ndarray, mask: np.ndarray | None, size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Both at `size` px; what has that size is not copied, since it may be large."""
    own = len(pixels) == size and pixels.dtype == np.float32 and pixels.flags.c_contiguous
    if mask is not None and not own:
        mask = resize(mask[..., None], size)[..., 0]
    mask = None if mask is None else np.clip(mask, 0, 1)
    return np.clip(pixels, -1, 1, out=pixels) if own else resize(pixels, size), mask


def _bytes(u8: np.ndarray, channels: tuple[int, ...] = (3,)) -> np.ndarray:
    u8 = np.asarray(u8)
    if u8.dtype != np.uint8 or not (u8.ndim == 2 or (u8.ndim == 3 and u8.shape[-1] in channels)):
        allowed = " or ".join(["[h, w]", *(f"[h, w, {count}]" for count in channels)])
        raise ValueError(f"need uint8 {allowed}, got {u8.dtype} {list(u8.shape)}")
    return np.ascontiguousarray(u8)
