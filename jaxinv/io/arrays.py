"""Arrays of numbers in .npy and .npz files: nothing is allocated for a size that a file states."""

from __future__ import annotations

import math
import re
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxinv.io.file_kinds import HEAD_BYTES, NPY, NPZ, kind_of
from jaxinv.io.files import BadFile, open_regular, read_bytes

MOST_BYTES = 2**28  # of the arrays of one .npz, unpacked
KINDS = "biufcSU"  # letters of numpy's kinds of types; objects could run code
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # as numpy packs; others unpack without a limit
_MAGIC = b"\x93NUMPY"
_MOST_HEADER, _MOST_AXES = 2**14, 32
_SIZES = {1: "<H", 2: "<I", 3: "<I"}  # of the header's length, by version of the format
_KIND = re.compile(rb"'descr'\s*:\s*'([<>|=]?([a-zA-Z])\d{0,9})'")
_ORDER = re.compile(rb"'fortran_order'\s*:\s*(True|False)")
_SHAPE = re.compile(rb"'shape'\s*:\s*\(([0-9, L]*)\)")


class Header(NamedTuple):
    """What a .npy file says of its array: its type, the letter of that, shape, order, and place."""

    kind: str
    letter: str
    shape: tuple[int, ...]
    by_columns: bool
    end: int


def read_header(data: bytes) -> Header:
    """The header of a .npy file, a Python literal of three entries; `BadFile` if it is none.

    It is matched, not evaluated: types with fields, which take a longer literal, are refused.
    """
    if data[:6] != _MAGIC or (size := _SIZES.get(data[6] if len(data) > 6 else 0)) is None:
        raise BadFile("a .npy file of an unknown version")
    start = 8 + struct.calcsize(size)
    length = int.from_bytes(data[8:start], "little")
    text = data[start : start + length]
    found = [pattern.findall(text) for pattern in (_KIND, _ORDER, _SHAPE)]
    if len(text) < length or length > _MOST_HEADER or any(len(one) != 1 for one in found):
        raise BadFile("a .npy file with a broken header, or of types with fields")
    ((kind, letter),), (order,), (sizes,) = found
    parts = [part.strip(b" L") for part in sizes.split(b",") if part.strip(b" L")]
    if len(parts) > _MOST_AXES or not all(part.isdigit() and len(part) < 20 for part in parts):
        raise BadFile("a .npy file with a broken header")
    shape = tuple(map(int, parts))
    return Header(kind.decode(), letter.decode(), shape, order == b"True", start + length)


def parse_npy(data: bytes) -> np.ndarray:
    """The array that the bytes of a .npy file hold; it is read-only.

    Raises `BadFile` for anything else, for objects, and for a shape that needs more bytes than
    there are.
    """
    if (kind := kind_of(data[:HEAD_BYTES])) != NPY:
        raise BadFile(f"{kind}; allowed: a .npy file of numbers")
    header = read_header(data)
    dtype, shape, start = _numbers(header), header.shape, header.end
    held, count = len(data) - start, math.prod(shape)
    if count * dtype.itemsize > held:
        raise BadFile(f"a .npy file that states more numbers than the {held} bytes that it holds")
    flat = np.frombuffer(data, dtype, count, start)
    return flat.reshape(shape, order="F" if header.by_columns else "C")


def _numbers(header: Header) -> np.dtype:
    """The type of an array of numbers; `BadFile` for objects, and for sizes that there are not."""
    try:
        found = np.dtype(header.kind) if header.letter in KINDS else None
    except (TypeError, ValueError):
        found = None
    if found is None or not found.itemsize:
        raise BadFile(f"an array of {header.kind}; allowed: numbers")
    return found


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
