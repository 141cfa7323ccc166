"""TensorFlow's checkpoint bundles, byte by byte, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {
    "<f4": 1, "<f8": 2, "<i4": 3, "|u1": 4, "<i2": 5, "|i1": 6, "<i8": 9, "|b1": 10, "<u2": 17,
    "<f2": 19, "<u4": 22, "<u8": 23,
}  # fmt: skip
MAGIC = bytes.fromhex("57fb808b247547db")
ONE_FILE = ".data-00000-of-00001"


def _rows() -> list[int]:
    rows = list(range(256))
    for _ in range(8):
        rows = [row >> 1 ^ (0x82F63B78 if row & 1 else 0) for row in rows]
    return rows


ROWS = _rows()


def checksum(data: bytes) -> int:
    """CRC-32C, one byte after the other."""
    state = 2**32 - 1
    for byte in data:
        state = ROWS[(state ^ byte) & 255] ^ state >> 8
    return state ^ 2**32 - 1


def masked(data: bytes) -> bytes:
    plain = checksum(data)
    return ((((plain >> 15) | (plain << 17)) + 0xA282EAD8) % 2**32).to_bytes(4, "little")


# --- protocol buffers -----------------------------------------------------------------------------


def whole(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return whole(number << 3) + whole(value)
    return whole(number << 3 | 2) + whole(len(value)) + value


def header(count: int = 1, order: int = 0, oldest: int = 0) -> bytes:
    """As it is written: what is zero is left out."""
    version = field(1, 1) + (field(2, oldest) if oldest else b"")
    return field(1, count) + (field(2, order) if order else b"") + field(3, version)


def entry(kind: int, shape: tuple[int, ...], offset: int, data: bytes, **changes: Any) -> bytes:
    """`changes`: shard, size, checksum (bytes), more (further fields)."""
    sizes = b"".join(field(2, field(1, size) if size else b"") for size in shape)
    shard, size = changes.get("shard", 0), changes.get("size", len(data))
    found = field(1, kind) + field(2, sizes)
    for number, value in ((3, shard), (4, offset), (5, size)):
        found += field(number, value) if value else b""
    found += whole(6 << 3 | 5) + changes.get("checksum", masked(data))
    return found + changes.get("more", b"")


# --- the table ------------------------------------------------------------------------------------


def block(items: list[tuple[bytes, bytes]], restart: int = 16, kind: int = 0) -> bytes:
    """A block with its trailer; every `restart` names one stands in full."""
    body, before, restarts = b"", b"", []
    for index, (key, value) in enumerate(items):
        shared = 0
        if index % restart == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        body += whole(shared) + whole(len(key) - shared) + whole(len(value)) + key[shared:] + value
        before = key
    for number in (*(restarts or [0]), len(restarts or [0])):
        body += number.to_bytes(4, "little")
    return sealed(body, kind)


def sealed(body: bytes, kind: int = 0) -> bytes:
    return body + bytes([kind]) + masked(body + bytes([kind]))


def table(blocks: list[tuple[bytes, bytes]]) -> bytes:
    """The file of `blocks`, each with its last name."""
    data, places = b"", []
    for last, one in blocks:
        places.append((last, whole(len(data)) + whole(len(one) - 5)))
        data += one
    ends = []
    for one in (block([]), block(places, restart=1)):
        ends.append(whole(len(data)) + whole(len(one) - 5))
        data += one
    return data + b"".join(ends).ljust(40, b"\0") + MAGIC


def index_of(items: Mapping[bytes, bytes], per_block: int = 40) -> bytes:
    """The index of entries by name, `per_block` in each block."""
    rows = sorted(items.items())
    parts = [rows[start : start + per_block] for start in range(0, len(rows), per_block)]
    return table([(part[-1][0], block(part)) for part in parts])


def bundle(
    arrays: Mapping[str, np.ndarray | bytes], *, shards: int = 1, per_block: int = 40
) -> dict[str, bytes]:
    """The files by the end of their names; bytes stand for text, arrays go to the files in turn."""
    data = [b""] * shards
    items = {b"": header(shards)}
    for number, (name, array) in enumerate(sorted(arrays.items())):
        shard = number % shards
        if isinstance(array, bytes):
            kind, shape, stored = 7, (), whole(len(array)) + bytes(4) + array
        else:
            kind, shape, stored = KINDS[array.dtype.str], array.shape, array.tobytes()
        items[name.encode()] = entry(kind, shape, len(data[shard]), stored, shard=shard)
        data[shard] += stored
    ends = {f".data-{number:05}-of-{shards:05}": part for number, part in enumerate(data)}
    return {".index": index_of(items, per_block), **ends}


def write(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """The path of the index."""
    for end, data in files.items():
        (folder / f"{name}{end}").write_bytes(data)
    return folder / f"{name}.index"
