"""Arrays of numbers in .npy and .npz files: nothing is allocated for a size that a file states."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jaxinv.io.file_kinds import HEAD_BYTES, NPY, NPZ, kind_of
from jaxinv.io.files import BadFile, open_regular, read_bytes

MOST_BYTES = 2**28  # of the arrays of one .npz, unpacked
KINDS = "biufcSU"  # letters of numpy's kinds of types; objects could run code
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # as numpy packs; others unpack without a limit
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def parse_npy(data: bytes) -> np.ndarray:
    """The array that the bytes of a .npy file hold; it is read-only.

    Raises `BadFile` for anything else, for objects, and for a shape that needs more bytes than
    there are.
    """
    if (kind := kind_of(data[:HEAD_BYTES])) != NPY:
        raise BadFile(f"{kind}; allowed: a .npy file of numbers")
    stream = io.BytesIO(data)
    try:
        shape, by_columns, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # headers are Python literals: the parser raises what it likes
        raise BadFile(f"a .npy file with a broken header ({type(error).__name__})") from error
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise BadFile(f"an array of {str(dtype)[:40]}; allowed: numbers")
    held, count = len(data) - stream.tell(), math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > held:
        raise BadFile(f"a .npy file that states more numbers than the {held} bytes that it holds")
    flat = np.frombuffer(data, dtype, count, stream.tell())
    return flat.reshape(shape, order="F" if by_columns else "C")


def read_numpy(path: str | Path) -> np.ndarray | dict[str, np.ndarray]:
    """The array of a .npy file, or the arrays of a .npz by their names.

    Raises `BadFile` for anything else, and for more than `MOST_BYTES` in a .npz; `OSError` if there
    is no file.
    """
    with open_regular(path) as file:
        if kind_of(file.read(HEAD_BYTES)) == NPZ:
            return _members(file)
    return parse_npy(read_bytes(path))


def _members(file: BinaryIO) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if member.compress_type not in PACKED:
                    raise BadFile(f"an .npz packed by method {member.compress_type}; allowed: 0, 8")
                with archive.open(member) as part:
                    data = part.read(left + 1)  # however much it says that there is
                if len(data) > left:
                    raise BadFile(f"it unpacks to more than the allowed {MOST_BYTES} bytes")
                left -= len(data)
                found[member.filename.removesuffix(".npy")] = parse_npy(data)
    except BadFile:
        raise
    except Exception as error:  # zipfile and zlib raise whatever they like
        raise BadFile(f"no .npz that can be read ({type(error).__name__})") from error
    return found
