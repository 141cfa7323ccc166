"""HDF5 files as Keras writes them -> nested dicts of arrays, and the configuration of the model.

Read here and not by libhdf5, which crashes and loops on files with a few changed bytes. Of the
format (HDF5 File Format Specification 3.0) this knows the layout that is written unless a newer one
is asked for, with what Keras uses of it: groups with symbol tables, and numbers in one piece.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxinv.io.file_kinds import HDF5
from jaxinv.specs.serialization import parse_json
from weights_convert.errors import UnsafeFileError
from weights_convert.readers.pickles import USUAL, Limits

NEWER = "HDF5: a newer layout; allowed: the first one, as in `model.save` to a name ending in .h5"
CONFIG_BYTES = 2**20
_NAME_BYTES = 1024
_RANK = 16

# Messages of an object header (section IV.A.2).
_SPACE, _TYPE, _LAYOUT, _ATTRIBUTE, _CONTINUED, _GROUP = 0x01, 0x03, 0x08, 0x0C, 0x10, 0x11
_USED = (_SPACE, _TYPE, _LAYOUT, _ATTRIBUTE, _CONTINUED, _GROUP)
_IGNORED = (0x00, 0x04, 0x05, 0x0D, 0x0E, 0x12)  # nothing, fill values, a comment, dates
_REFUSED = {
    0x02: "links of a newer layout",
    0x06: "links of a newer layout",
    0x07: "data in other files",
    0x0B: "compressed data",
    0x15: "attributes of a newer layout",
}
# Encoded datatypes (IV.A.2.d): little-endian IEEE numbers, and integers without padding.
_NUMBERS = {
    bytes.fromhex(code): np.dtype(name)
    for name, code in {
        "<f2": "11200f0002000000 00001000 0a05000a 0f000000",
        "<f4": "11201f0004000000 00002000 17080017 7f000000",
        "<f8": "11203f0008000000 00004000 340b0034 ff030000",
        "<i1": "1008000001000000 00000800",
        "<i4": "1008000004000000 00002000",
        "<i8": "1008000008000000 00004000",
        "<u1": "1000000001000000 00000800",
        "<u4": "1000000004000000 00002000",
        "<u8": "1000000008000000 00004000",
    }.items()
}


class _Message(NamedTuple):
    kind: int
    at: int
    size: int


def read(data: bytes, *, limits: Limits = USUAL) -> dict[str, Any]:
    """`{"weights": nested dict of groups and arrays, "model_config": plain data or None}`.

    `model_config` is the attribute of that name at the top, which is JSON. Raises
    `UnsafeFileError`, and nothing else, for what is malformed, not allowed or larger than `limits`.
    """
    file = _File(data, limits)
    try:
        # Versions, then bytes of an address and of a length (II.A).
        if file.unpack("8s3BxB2B", 0) != (HDF5, 0, 0, 0, 0, 8, 8) or any(file.unpack("Q", 24)):
            raise UnsafeFileError(NEWER)
        messages = file.messages(*file.unpack("Q", 64))
        return {"weights": file.group(messages, 0), "model_config": file.configuration(messages)}
    except (UnicodeDecodeError, RecursionError) as error:
        raise UnsafeFileError(f"HDF5: {error}"[:200]) from error


class _File:
    """The bytes of a file, and what may still be spent on them."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data, self.limits = data, limits
        self.nodes, self.decoded = limits.nodes, limits.decoded_bytes
        self.seen: set[int] = set()

    def take(self, at: int, count: int) -> bytes:
        """`count` bytes from `at` on."""
        if at + count > len(self.data):
            raise UnsafeFileError(f"HDF5: {count} bytes at {at}; allowed: below {len(self.data)}")
        return self.data[at : at + count]

    def unpack(self, layout: str, at: int) -> tuple[Any, ...]:
        """Little-endian numbers from byte `at` on."""
        one = struct.Struct(f"<{layout}")
        return one.unpack(self.take(at, one.size))

    def spend(self) -> None:
        """One step of the budget."""
        self.nodes -= 1
        if self.nodes < 0:
            raise UnsafeFileError(f"HDF5: more parts than {self.limits.nodes}")

    def enter(self, at: int, sign: bytes) -> None:
        """A structure starts with its signature, and is met once: nothing is shared or circular."""
        if self.take(at, len(sign)) != sign or at in self.seen:
            raise UnsafeFileError(f"HDF5: at {at} is no {sign!r}, or it is met twice")
        self.seen.add(at)
        self.spend()

    # --- objects ----------------------------------------------------------------------------------

    def messages(self, at: int) -> list[_Message]:
        """The messages of the object header at `at` (IV.A.1.a)."""
        if self.take(at, 4) == b"OHDR":
            raise UnsafeFileError(NEWER)
        self.enter(at, b"\1\0")
        count, size = self.unpack("2xH4xI", at)
        blocks, found = [(at + 16, size)], []
        for start, length in blocks:  # which grows
            for message in self._block(start, length):
                found.append(message)
                if message.kind == _CONTINUED:
                    blocks.append(self.unpack("2Q", message.at))
        if len(found) != count:
            raise UnsafeFileError(f"HDF5: {len(found)} messages of an object that states {count}")
        return found

    def _block(self, at: int, length: int) -> Iterator[_Message]:
        end = at + length
        while at + 8 <= end:
            kind, size, flags = self.unpack("2HB", at)
            if at + 8 + size > end:
                raise UnsafeFileError(f"HDF5: a message of {size} bytes at {at}; allowed: {length}")
            if flags & 2 or kind not in _USED + _IGNORED:
                what = "a shared part" if flags & 2 else _REFUSED.get(kind, f"message {kind:#x}")
                raise UnsafeFileError(f"HDF5: {what} at {at}; allowed: plain groups and arrays")
            self.spend()
            yield _Message(kind, at + 8, size)
            at += 8 + size

    def group(self, messages: list[_Message], depth: int) -> dict[str, Any]:
        """The members of a group by name."""
        if depth > self.limits.depth:
            raise UnsafeFileError(f"HDF5: groups nested deeper than {self.limits.depth}")
        tree, heap = self.unpack("2Q", _only(messages, _GROUP).at)
        self.enter(heap, b"HEAP\0")
        size, start = self.unpack("8xQ8xQ", heap)
        found: dict[str, Any] = {}
        for offset, header in self._entries(tree):
            name = self._name(start + offset, size - offset)
            if name in found:
                raise UnsafeFileError(f"HDF5: two objects are called {name[:80]!r}")
            found[name] = self._member(header, depth)
        return found

    def _entries(self, tree: int) -> Iterator[tuple[int, int]]:
        """(offset of the name, address of the header) of a group's members (III.A.1, III.B)."""
        self.enter(tree, b"TREE\0")
        level, count = self.unpack("5xBH", tree)
        for child in self.unpack("8xQ" * count, tree + 24):
            yield from self._entries(child) if level else self._leaf(child)

    def _leaf(self, node: int) -> Iterator[tuple[int, int]]:
        self.enter(node, b"SNOD\1")
        (count,) = self.unpack("6xH", node)
        for at in range(node + 8, node + 8 + 40 * count, 40):
            offset, header, cached = self.unpack("2QI", at)
            if cached not in (0, 1):
                raise UnsafeFileError("HDF5: a soft link; allowed: plain groups and arrays")
            yield offset, header

    def _name(self, at: int, room: int) -> str:
        name, end, _ = self.take(at, max(0, min(room, _NAME_BYTES))).partition(b"\0")
        if not end or not name or b"/" in name:
            raise UnsafeFileError(f"HDF5: name {name[:80]!r}; allowed: 1 to {_NAME_BYTES} bytes")
        return name.decode()

    def _member(self, header: int, depth: int) -> Any:
        messages = self.messages(header)
        if any(message.kind == _GROUP for message in messages):
            return self.group(messages, depth + 1)
        return self._array(messages)

    # --- arrays -----------------------------------------------------------------------------------

    def _array(self, messages: list[_Message]) -> np.ndarray:
        dtype = self._number(_only(messages, _TYPE))
        shape = self._shape(_only(messages, _SPACE).at)
        count = math.prod(shape)
        self.decoded -= count * dtype.itemsize
        if self.decoded < 0:
            raise UnsafeFileError(f"HDF5: arrays expand to more than {self.limits.decoded_bytes}")
        data = self._stored(_only(messages, _LAYOUT).at, count * dtype.itemsize)
        try:
            return np.frombuffer(data, dtype, count).reshape(shape)
        except ValueError as error:
            raise UnsafeFileError(f"HDF5: array of shape {shape} ({error})"[:200]) from error

    def _number(self, message: _Message) -> np.dtype:
        code = self.take(message.at, message.size)
        for known, dtype in _NUMBERS.items():
            if code.startswith(known):
                return dtype
        raise UnsafeFileError(
            f"HDF5: numbers of type {code[:20].hex()}; "
            f"allowed: {', '.join(str(dtype) for dtype in _NUMBERS.values())}"
        )

    def _shape(self, at: int) -> tuple[int, ...]:
        """The sizes of an array (IV.A.2.b)."""
        version, rank, _, kind = self.unpack("4B", at)
        if rank > _RANK or version not in (1, 2) or (version == 2 and kind not in (0, 1)):
            raise UnsafeFileError(
                f"HDF5: sizes of kind {version}, {kind} and {rank} axes; allowed: at most {_RANK}"
            )
        return self.unpack(f"{rank}Q", at + (8 if version == 1 else 4))

    def _stored(self, at: int, size: int) -> bytes:
        """The bytes of an array: in the header, or in one piece elsewhere (IV.A.2.i)."""
        version, kind = self.unpack("2B", at)
        if version != 3 or kind not in (0, 1):
            raise UnsafeFileError(
                f"HDF5: array of layout {version}, {kind}; allowed: in one piece, not compressed"
            )
        start, held = (at + 4, *self.unpack("2xH", at)) if kind == 0 else self.unpack("2x2Q", at)
        if size and held != size:
            raise UnsafeFileError(f"HDF5: {held} bytes of an array of {size}")
        return self.take(start, size) if size else b""

    # --- the configuration ------------------------------------------------------------------------

    def configuration(self, messages: list[_Message]) -> Any:
        """The JSON of the attribute "model_config", as plain data; None if there is none."""
        for message in messages:
            if message.kind != _ATTRIBUTE:
                continue
            name, kind, value = self._attribute(message.at)
            if name == b"model_config":
                return self._json(self._text(kind, value))
        return None

    def _attribute(self, at: int) -> tuple[bytes, int, int]:
        """Name, and where the datatype and the value are, of an attribute (IV.A.2.m)."""
        version, *sizes = self.unpack("Bx3H", at)
        if version not in (1, 2, 3):
            raise UnsafeFileError(f"HDF5: attribute of version {version}; allowed: 1, 2, 3")
        places = [at + (9 if version == 3 else 8)]
        for size in sizes:
            places.append(places[-1] + (-(-size // 8) * 8 if version == 1 else size))
        name = self.take(places[0], sizes[0]).partition(b"\0")[0]
        return name, places[1], places[3]

    def _text(self, kind: int, value: int) -> bytes:
        """A string of fixed length, or one in a heap (IV.A.2.d)."""
        head, variant, length = self.unpack("2B2xI", kind)
        if head == 0x13:
            return self._limited(value, length).rstrip(b"\0")
        if (head, variant & 15) != (0x19, 1):
            raise UnsafeFileError(f"HDF5: model_config of type {head:#x}; allowed: a string")
        length, heap, number = self.unpack("IQI", value)
        return self._limited(self._in_heap(heap, number, length), length)

    def _limited(self, at: int, length: int) -> bytes:
        if length > CONFIG_BYTES:
            raise UnsafeFileError(f"HDF5: model_config of {length} bytes; allowed: {CONFIG_BYTES}")
        return self.take(at, length)

    def _in_heap(self, heap: int, number: int, length: int) -> int:
        """Where object `number` of the global heap at `heap` is (III.E)."""
        self.enter(heap, b"GCOL\1")
        (size,) = self.unpack("8xQ", heap)
        at = heap + 16
        while at + 16 <= heap + size:
            index, held = self.unpack("H6xQ", at)
            if index == number and length <= held:
                return at + 16
            self.spend()
            at += 16 + -(-held // 8) * 8
        raise UnsafeFileError(f"HDF5: the heap at {heap} has no object {number} of {length} bytes")

    def _json(self, text: bytes) -> Any:
        try:
            found = parse_json(text, "model_config")
        except ValueError as error:
            raise UnsafeFileError(str(error)[:200]) from error
        self._measure(found, 0)
        return found

    def _measure(self, value: Any, depth: int) -> None:
        self.spend()
        if depth > self.limits.depth:
            raise UnsafeFileError(f"model_config is nested deeper than {self.limits.depth}")
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                self._measure(item, depth + 1)


def _only(messages: list[_Message], kind: int) -> _Message:
    found = [message for message in messages if message.kind == kind]
    if len(found) != 1:
        raise UnsafeFileError(f"HDF5: an object with {len(found)} messages {kind:#x}; allowed: 1")
    return found[0]
