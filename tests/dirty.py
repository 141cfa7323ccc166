"""Files that are no usable picture, in more than twenty ways, among good ones."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.awkward import bad_files, encoded, smooth_face
from tests.offline import photo

SIDE = 32


def _written(data: bytes) -> Callable[[Path], object]:
    return lambda place: place.write_bytes(data)


def _cut(kind: str, share: float) -> bytes:
    """A picture of noise, so that its pixels are at its end, without that."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    return data[: int(len(data) * share)]


def _clear() -> bytes:
    return encoded(Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0)), "PNG")


def _socket(place: Path) -> None:
    """A socket under a name that may be longer than a socket's own path may."""
    here = Path.cwd()
    os.chdir(place.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(place.name)
    finally:
        os.chdir(here)


def _outside(place: Path) -> None:
    target = place.parent.parent / "outside.png"
    target.write_bytes(photo(0))
    place.symlink_to(target)


def ways() -> dict[str, Callable[[Path], object]]:
    """What makes a broken file, by the name's beginning and its extension."""
    found: dict[str, Callable[[Path], object]] = {
        name: _written(data) for name, data in bad_files(smooth_face(SIDE)).items()
    }
    return found | {
        "cut.webp": _written(_cut("WEBP", 0.5)),
        "cut.tif": _written(_cut("TIFF", 0.4)),
        "cut.gif": _written(_cut("GIF", 0.05)),
        "cut.bmp": _written(_cut("BMP", 0.5)),
        "clear.png": _written(_clear()),
        "zip.jpg": _written(b"PK\x03\x04" + bytes(60)),
        "pickle.png": _written(b"\x80\x04cos\nsystem\n."),
        "heic.jpg": _written(b"\0\0\0\x18ftypheic" + bytes(40)),
        "drawing.png": _written(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "zeros.jpg": _written(bytes(4096)),
        "dangling.png": lambda place: place.symlink_to("nothing"),
        "loop.png": lambda place: place.symlink_to(place.name),
        "outside.png": _outside,
        "pipe.png": os.mkfifo,
        "socket.png": _socket,
        os.fsdecode(b"latin\xe9.png"): _written(b"not a picture"),
        "escape\x1b[2J.png": _written(b"\x89PNG\r\n\x1a\n"),
        "<b>tag<b>.png": _written(b"\xff\xd8\xff\xe0"),
    }


def write_dirty_folder(place: Path, count: int) -> tuple[list[str], list[str]]:
    """`count` files, a tenth of them broken, in every way in turn; names of good and bad ones.

    Good ones have different pixels.
    """
    place.mkdir(parents=True)
    makers = list(ways().items())
    good, bad = [], []
    for number in range(count):
        if number % 10 == 0:
            name, make = makers[len(bad) % len(makers)]
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            bad.append(f"{number:05d}-{stem}{suffix}")
            make(place / bad[-1])
        else:
            good.append(f"{number:05d}.png")
            (place / good[-1]).write_bytes(photo(number))
    return good, bad
