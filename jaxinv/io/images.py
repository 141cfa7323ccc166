"""Image files to float32 NHWC arrays in [-1, 1] and back.

The one place for EXIF, colour modes, profiles, alpha, resizing and encoding. Every way in which a
file can be wrong ends in one exception, `ImageError`, whatever the decoder raised.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxinv.io.arguments import Fit, check_reading, check_writing
from jaxinv.io.face_alignment import align_photo
from jaxinv.io.face_frame import AlignError
from jaxinv.io.files import BadFile, atomic_write, find_images, read_bytes
from jaxinv.io.image_ops import as_float, box_quad, fit_square, from_uint8, grid, shrink, to_uint8
from jaxinv.io.output_folder import check_new
from jaxinv.io.pixel_modes import rgb_pixels
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

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
MAX_PIXELS = 89_478_485  # a quarter of a GiB of 24-bit pixels: Pillow's own warning level
MIN_SIDE = 16
DRAFT_PIXELS = 2**24  # JPEGs above this are decoded at a reduced scale when the target is known
_PILLOW = threading.Lock()  # `warnings.catch_warnings` is process-wide


class ImageError(ValueError):
    """A file that cannot be used as an image: `file`, and `reason` in one line."""

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{_shown(file)}: {reason}")


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


@dataclass
class _Upright:
    """A decoded file: uint8 or float32 [h, w, 3], alpha [h, w] in [0, 1], (w, h) in the file."""

    pixels: np.ndarray
    alpha: np.ndarray | None
    source_size: tuple[int, int]
    notes: list[str]


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
    content decides about the format, never the name; animations give their first frame.

    Raises:
        ImageError: the file is missing, broken, too large, too small or refused by `fit`.
        ValueError: an argument or the file of landmarks is wrong.
    """
    check_reading([path], size=size, align=align, fit=fit, background=background)
    file = os.fspath(path)
    try:
        data = read_bytes(Path(path))
        image = _decode(data, size=size if align == "none" else None, background=background)
        pixels, mask, transform, notes = align_photo(
            image.pixels, align, name=file, size=size, alpha=image.alpha
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
        pixels = _decode(data, size=None, background=0.5).pixels
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
            warnings.warn(f"{_shown(photo.file)}: {note}", PhotoWarning, stacklevel=2)
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
    """PNG file of uint8 [h, w, 3] or [h, w]; the same pixels give the same bytes."""
    out = io.BytesIO()
    Image.fromarray(_bytes(u8)).save(out, "PNG", compress_level=6)
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
        small = shrink(pixels, size, size)  # before the scaling: a large photo stays in bytes
        small = small / np.float32(127.5) - 1 if pixels.dtype == np.uint8 else small
        return np.clip(small, -1, 1)
    planes = np.moveaxis(as_float(pixels), -1, 0)
    large = [
        Image.fromarray(np.ascontiguousarray(p)).resize((size, size), Image.Resampling.LANCZOS)
        for p in planes
    ]
    return np.clip(np.stack([np.asarray(p) for p in large], axis=-1), -1, 1)


def _shown(file: str) -> str:
    """A file name that can be printed anywhere, even if it is not valid UTF-8."""
    return file.encode("utf-8", "backslashreplace").decode("utf-8")


def _decode(data: bytes, *, size: int | None, background: float) -> _Upright:
    """Decode a file's bytes; every failure is a `BadFile` and Pillow's warnings become notes."""
    with _PILLOW, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = _decoded(data, size, background)
        except BadFile:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise BadFile(f"declares more than the allowed {MAX_PIXELS} pixels") from error
        except UnidentifiedImageError as error:
            raise BadFile(_unknown(data)) from error
        except Exception as error:  # decoders raise struct.error, KeyError, MemoryError and more
            text = str(error).strip().splitlines() or ["no reason given"]
            raise BadFile(f"cannot be decoded: {text[0]} ({type(error).__name__})") from error
    said = [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)]
    image.notes += [f"Pillow says: {text.splitlines()[0]}" for text in dict.fromkeys(said) if text]
    return image


def _unknown(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1"):
        return "a HEIC image, which Pillow cannot read: convert it to JPEG or PNG"
    return f"not an image in a known format ({', '.join(FORMATS)})"


def _decoded(data: bytes, size: int | None, background: float) -> _Upright:
    notes: list[str] = []
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        declared = image.size
        if declared[0] * declared[1] > MAX_PIXELS:
            raise BadFile(f"declares {declared[0]}x{declared[1]} px, over {MAX_PIXELS} pixels")
        if min(declared) < MIN_SIDE:
            raise BadFile(f"{declared[0]}x{declared[1]} px: smaller than {MIN_SIDE} px")
        if image.format != "MPO" and getattr(image, "is_animated", False):
            notes.append("several frames: only the first is used")
        if size is not None and declared[0] * declared[1] > DRAFT_PIXELS:
            image.draft(None, (2 * size, 2 * size))  # type: ignore[arg-type]
        image.load()
        drafted = image.size != declared and image.format in ("JPEG", "MPO")
        upright = _turned(image, notes)
        turned = upright.size != image.size
        tags = getattr(image, "tag_v2", {})
        pixels, alpha = rgb_pixels(upright, 12 if tags.get(258) == (12,) else 16, notes)
    if alpha is not None:
        if alpha.max() <= 0:
            raise BadFile("every pixel is transparent")
        ground = np.float32(2 * background - 1)
        pixels = ground + alpha[..., None] * (as_float(pixels) - ground)
    source = upright.size
    if drafted:
        source = (declared[1], declared[0]) if turned else declared
    return _Upright(pixels, alpha, source, notes)


def _turned(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image upright after its EXIF orientation; broken EXIF is a note."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:
        notes.append(f"broken EXIF data, orientation not applied ({type(error).__name__})")
        return image


def _fitted(
    image: _Upright, fit: Fit, background: float
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """The photo made square, its mask and transform; the quad is in pixels of the file."""
    height, width = image.pixels.shape[:2]
    source = np.array(image.source_size)
    if height == width:
        quad = box_quad(0, 0, *image.source_size)
        return image.pixels, image.alpha, {"kind": "whole", "quad": quad.tolist()}
    if fit == "refuse":
        raise BadFile(f"{source[0]}x{source[1]} px is not square: use fit crop, pad or stretch")
    pixels, mask, quad = fit_square(image.pixels, image.alpha, fit, background)
    done = {"crop": "cut to its central square", "pad": "padded to a square"}
    image.notes.append(f"{source[0]}x{source[1]} px {done.get(fit, 'stretched to a square')}")
    quad = quad * (source / (width, height))
    return pixels, mask, {"kind": f"fit-{fit}", "quad": quad.tolist()}


def _resized(
    pixels: np.ndarray, mask: np.ndarray | None, size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    if mask is not None:
        mask = np.clip(resize(mask[..., None], size)[..., 0], 0, 1)
    return resize(pixels, size), mask


def _bytes(u8: np.ndarray) -> np.ndarray:
    u8 = np.asarray(u8)
    if u8.dtype != np.uint8 or not (u8.ndim == 2 or (u8.ndim == 3 and u8.shape[-1] == 3)):
        raise ValueError(f"need uint8 [h, w, 3] or [h, w], got {u8.dtype} {list(u8.shape)}")
    return np.ascontiguousarray(u8)
