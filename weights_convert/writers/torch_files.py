"""Torch's zip checkpoints written without torch: nested dicts and lists of arrays, nothing else.

The pickle inside names only dicts, tensors and the type of their storage, so that
`torch.load(file, weights_only=True)` takes it. Equal contents give equal files.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

ROOT, ALIGNMENT, PADDING = "archive", 64, 0x4246  # the id of the field that torch pads with
_HEADER = 30  # bytes of a member's header before its name


Tree = Mapping[str, Any] | Sequence[Any] | np.ndarray


def write(tree: Tree, handle: BinaryIO) -> None:
    """Write nested dicts and lists of float32 arrays, or one, as `torch.save` lays them out.

    Every storage starts at a multiple of 64 bytes, so that torch can map the file. Raises
    `ValueError` for keys that are not strings and for leaves that are not float32 arrays.
    """
    arrays: list[np.ndarray] = []
    program = b"".join((b"\x80\x02", *_value(tree, arrays), b"."))
    with zipfile.ZipFile(handle, "w") as archive:
        _add(archive, "data.pkl", program)
        _add(archive, "byteorder", b"little")
        for key, array in enumerate(arrays):
            _add(archive, f"data/{key}", array.astype("<f4", copy=False).tobytes())
        _add(archive, "version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(f"{ROOT}/{name}")
    start = archive.start_dir + _HEADER + len(member.filename) + 4
    count = -start % ALIGNMENT
    member.extra = struct.pack("<HH", PADDING, count) + b"Z" * count
    archive.writestr(member, data)
    member.extra = b""  # only the member's own header is padded, not its entry in the directory


def _value(value: Any, arrays: list[np.ndarray]) -> Iterator[bytes]:
    """Opcodes that push a dict, a list or a tensor; a tensor's array is added to `arrays`."""
    if isinstance(value, Mapping):
        yield from (_name("collections", "OrderedDict"), b")R(")
        for key, item in value.items():
            yield _text(key)
            yield from _value(item, arrays)
        yield b"u"
    elif isinstance(value, list):
        yield b"]("
        for item in value:
            yield from _value(item, arrays)
        yield b"e"
    elif isinstance(value, np.ndarray) and value.dtype == np.float32:
        yield _tensor(value, str(len(arrays)))
        arrays.append(value)
    else:
        raise ValueError(f"a leaf is a {type(value).__name__}; allowed: float32 arrays")


def _tensor(array: np.ndarray, key: str) -> bytes:
    place = _text("storage") + _name("torch", "FloatStorage") + _text(key) + _text("cpu")
    storage = b"(" + place + _whole(array.size) + b"tQ"
    steps = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    fields = storage + _whole(0) + _tuple(array.shape) + _tuple(steps)
    hooks = _name("collections", "OrderedDict") + b")R"
    return _name("torch._utils", "_rebuild_tensor_v2") + b"(" + fields + b"\x89" + hooks + b"tR"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode("ascii")


def _text(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError(f"key {text!r}; allowed: strings")
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _tuple(numbers: Any) -> bytes:
    return b"(" + b"".join(_whole(int(n)) for n in numbers) + b"t"


def _whole(number: int) -> bytes:
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data
