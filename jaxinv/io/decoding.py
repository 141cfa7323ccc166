"""Bytes of a picture file -> upright pixels, within a bound of memory and for one kind of error."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxinv.io.files import BadFile
from jaxinv.io.image_ops import as_float, shrink
from jaxinv.io.pixel_modes import rgb_pixels
from jaxinv.io.text import counted
from jaxinv.io.thread_warnings import caught_warnings

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
MAX_PIXELS = 89_478_485  # a quarter of a GiB of 24-bit pixels: Pillow's own warning level
MOST_KEPT = 2**25  # pictures of more pixels are halved as they are read
COPIED = ("WEBP", "AVIF")  # their decoders hold several copies of a picture
MIN_SIDE = 16
DRAFT_PIXELS = 2**24  # JPEGs above this are decoded at a reduced scale when the target is known
MOST_TILE = 2**22  # pixels of a tile that may be larger than its TIFF
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF 6.0, section 15
# What Pillow logs of a broken file stands in its reason; without a handler it went to stderr, too.
logging.getLogger("PIL").addHandler(logging.NullHandler())
AVERAGED = ("L", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F")  # whose numbers have a mean


@dataclass
class Upright:
    """A decoded file: uint8 or float32 [h, w, 3], alpha [h, w] in [0, 1], (w, h) in the file."""

    pixels: np.ndarray
    alpha: np.ndarray | None
    source_size: tuple[int, int]
    notes: list[str]


def decode(data: bytes, *, size: int | None, background: float) -> Upright:
    """The picture that a file's bytes hold, with transparent pixels on `background`.

    `size` is the side that will be needed, if that is known. Raises `BadFile` for all that cannot
    be decoded; what Pillow warns of becomes notes, of which a few are kept.
    """
    with caught_warnings(Image.DecompressionBombWarning) as caught:
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
    image.notes += counted(f"Pillow says: {text.splitlines()[0]}" for text in said if text)
    return image


def _unknown(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1"):
        return "a HEIC image, which Pillow cannot read: convert it to JPEG or PNG"
    return f"not an image in a known format ({', '.join(FORMATS)})"


def _decoded(data: bytes, size: int | None, background: float) -> Upright:
    notes: list[str] = []
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        declared = image.size
        _check_size(image)
        if image.format != "MPO" and getattr(image, "is_animated", False):
            notes.append("several frames: only the first is used")
        if size is not None and _count(image) > DRAFT_PIXELS:
            image.draft(None, (2 * size, 2 * size))  # type: ignore[arg-type]
        elif _count(image) > MOST_KEPT:
            image.draft(None, (declared[0] // 2, declared[1] // 2))  # type: ignore[arg-type]
        image.load()
        drafted = image.size != declared and image.format in ("JPEG", "MPO")
        tags = getattr(image, "tag_v2", {})
        upright = _turned(image, notes)
        turned = upright.size != image.size
        if upright is not image:
            image.close()  # frees its pixels
    source = upright.size
    if _count(upright) > MOST_KEPT:
        notes.append(f"{source[0]}x{source[1]} px: read at half its size")
        upright = _halved(upright)
    pixels, alpha = rgb_pixels(upright, 12 if tags.get(258) == (12,) else 16, notes)
    if alpha is not None:
        if alpha.max() <= 0:
            raise BadFile("every pixel is transparent")
        ground = np.float32(2 * background - 1)
        pixels = as_float(pixels)
        pixels -= ground  # in place: it may be large
        pixels *= alpha[..., None]
        pixels += ground
    if drafted:
        source = (declared[1], declared[0]) if turned else declared
    return Upright(pixels, alpha, source, notes)


def _count(image: Image.Image) -> int:
    return image.size[0] * image.size[1]


def _check_size(image: Image.Image) -> None:
    """Raise `BadFile` for a picture, or a tile of one, that is too large or small to be decoded."""
    width, height = image.size
    most = MOST_KEPT if image.format in COPIED else MAX_PIXELS
    if width * height > most:
        raise BadFile(f"declares {width}x{height} px, over {most} pixels")
    if min(width, height) < MIN_SIDE * (1 + (width * height > MOST_KEPT)):
        narrow = (
            f", too narrow for {width * height} pixels" if min(width, height) >= MIN_SIDE else ""
        )
        raise BadFile(f"{width}x{height} px: smaller than {MIN_SIDE} px{narrow}")
    tags: Any = getattr(image, "tag_v2", {})
    tile = tags.get(TILE_WIDTH, 0) * tags.get(TILE_LENGTH, 0)
    if tile > max(MOST_TILE, width * height):
        raise BadFile(f"declares tiles of {tile} pixels for {width}x{height} px")


def _halved(image: Image.Image) -> Image.Image:
    """The picture at half its size, by means of 2 x 2 pixels."""
    if image.mode.startswith("I;16"):
        values, (width, height) = np.asarray(image), image.size
        small = shrink(values[..., None], height // 2, width // 2)[..., 0]
        return Image.fromarray(np.rint(small).astype(np.uint16))
    if image.has_transparency_data and image.mode != "RGBA":
        image = image.convert("RGBA")
    elif image.mode not in AVERAGED:
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.reduce(2)


def _turned(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image upright after its EXIF orientation; broken EXIF is a note."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:
        notes.append(f"broken EXIF data, orientation not applied ({type(error).__name__})")
        return image
