"""TensorFlow's checkpoint bundles, NAME.index and NAME.data-*-of-*, -> arrays by name.

The index is a table of LevelDB (its table_format): blocks of sorted keys and values, of which the
values are protocol buffers that say where in the data files an array stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.readers.checksums import crc32c
from weights_convert.readers.pickles import USUAL, Limits

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")  # the last bytes of the index
_FOOTER = 48
_TRAILER = 5  # behind every block: how it is compressed, and its checksum
_NAME_BYTES = 1024
_NAMES_BYTES = 2**24  # of all names, which the file shortens
_RANK = 16
_SHARDS = 256

# Of types.proto; brain floats are widened.
_TEXT, _BRAIN = 7, 14
_NUMBERS = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 5: "<i2", 6: "|i1", 9: "<i8", 10: "|b1", _BRAIN: "<u2",
    17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip

# Fields of the messages in tensor_bundle.proto and tensor_shape.proto, and how each is stored.
_WHOLE, _BYTES, _FIXED = 0, 2, 5
_HEADER = {1: _WHOLE, 2: _WHOLE, 3: _BYTES}  # data files, byte order, version
_VERSION = {1: _WHOLE, 2: _WHOLE, 3: _WHOLE}  # producer, oldest reader, refused readers
_ENTRY = {1: _WHOLE, 2: _BYTES, 3: _WHOLE, 4: _WHOLE, 5: _WHOLE, 6: _FIXED, 7: _BYTES}
_SHAPE = {2: _BYTES, 3: _WHOLE}  # sizes, whether it is unknown
_SIZE = {1: _WHOLE, 2: _BYTES}  # of one axis, and its name

Beside = Callable[[str], bytes]


def read(index: bytes, beside: Beside, *, limits: Limits = USUAL) -> dict[str, np.ndarray]:
    """The arrays of a bundle by name; what is text is left out.

    `beside(".data-00000-of-00001")` gives the bytes of the file that is called so after NAME; only
    files with arrays are asked for. Raises `UnsafeFileError`, and nothing else of its own, for what
    is malformed, not allowed, not as its checksum says, or larger than `limits`.
    """
    entries = _Table(index, limits).entries()
    key, header = next(entries, (None, b""))
    if key != b"":
        raise _error(f"the first name is {key!r:.80}; allowed: an empty one, for the header")
    data = _Data(_shards(header), beside, limits)
    found: dict[str, np.ndarray] = {}
    for key, value in entries:
        entry = _Entry.of(key, value)
        if entry.kind != _TEXT:
            found[entry.name] = data.array(entry)
    return found


def _error(what: str) -> UnsafeFileError:
    return UnsafeFileError(f"TensorFlow bundle: {what}")


def check(data: bytes | memoryview, stored: int) -> None:
    """Raise `UnsafeFileError` unless the masked CRC-32C of `data` is the `stored` one."""
    plain = crc32c(data)
    if ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF != stored:
        raise _error(f"{len(data)} bytes of another checksum than the stored one")


# --- the table ------------------------------------------------------------------------------------


class _Table:
    """The bytes of an index, and what may still be spent on them."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data, self.limits = data, limits
        self.nodes, self.names = limits.nodes, _NAMES_BYTES

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of the whole table, in rising order."""
        footer = self.data[-_FOOTER:]
        if len(footer) < _FOOTER or not footer.endswith(MAGIC):
            raise _error("the index has no end; allowed: one that ends in its magic number")
        _, _, at = _handle(footer, 0)  # of the block that holds nothing about variables
        top = _handle(footer, at)
        last: bytes | None = None
        for _, value in self._block(*top[:2]):
            for key, entry in self._block(*_handle(value, 0)[:2]):
                if last is not None and key <= last:
                    raise _error(f"name {key[:80]!r} after {last[:80]!r}; allowed: rising ones")
                yield key, entry
                last = key

    def _block(self, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values; a key shares its first bytes with the one before."""
        stored = self.data[offset : offset + size + _TRAILER]
        if len(stored) != size + _TRAILER or size < 4:
            raise _error(f"a block of {size} bytes at {offset}; allowed: below {len(self.data)}")
        if stored[size]:
            raise _error(f"a block compressed in way {stored[size]}; allowed: 0, not at all")
        check(stored[: size + 1], int.from_bytes(stored[size + 1 :], "little"))
        restarts = int.from_bytes(stored[size - 4 : size], "little")
        block = stored[: max(0, size - 4 - 4 * restarts)]
        at, key = 0, b""
        while at < len(block):
            shared, at = _whole(block, at)
            own, at = _whole(block, at)
            length, at = _whole(block, at)
            if shared > len(key) or shared + own > _NAME_BYTES or at + own + length > len(block):
                raise _error(f"a name of {shared} and {own} bytes; allowed: up to {_NAME_BYTES}")
            key = key[:shared] + block[at : at + own]
            at += own + length
            self._spend(len(key))
            yield key, block[at - length : at]

    def _spend(self, name: int) -> None:
        self.nodes -= 1
        self.names -= name
        if self.nodes < 0 or self.names < 0:
            raise _error(
                f"more than {self.limits.nodes} names, or than {_NAMES_BYTES} bytes of them"
            )


def _whole(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length at `at`, and where it ends."""
    found = 0
    for place, byte in enumerate(data[at : at + 10]):
        found |= (byte & 127) << (7 * place)
        if byte < 128:
            break
    else:
        raise _error(f"a number at {at} does not end")
    if found >= 2**64:
        raise _error(f"a number at {at} is {found}; allowed: below 2**64")
    return found, at + place + 1


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Offset and size of a block, and where they end."""
    offset, at = _whole(data, at)
    size, at = _whole(data, at)
    return offset, size, at


# --- messages -------------------------------------------------------------------------------------


def _message(data: bytes, fields: Mapping[int, int], what: str) -> dict[int, list[Any]]:
    """The values of every field of a protocol buffer, whole numbers or bytes."""
    found: dict[int, list[Any]] = {number: [] for number in fields}
    at = 0
    while at < len(data):
        tag, at = _whole(data, at)
        number, kind = tag >> 3, tag & 7
        if fields.get(number) != kind:
            raise _error(f"{what} has field {number} of kind {kind}; allowed: {dict(fields)}")
        value, at = _whole(data, at) if kind != _FIXED else (4, at)
        if kind != _WHOLE:
            if at + value > len(data):
                raise _error(f"{what} has {value} bytes at {at}; allowed: below {len(data)}")
            value, at = data[at : at + value], at + value
        found[number].append(value)
    return found


def _only(found: dict[int, list[Any]], number: int, usual: Any) -> Any:
    """The value of a field that stands once or not at all."""
    if len(found[number]) > 1:
        raise _error(f"field {number} stands {len(found[number])} times; allowed: once")
    return found[number][0] if found[number] else usual


def _shards(header: bytes) -> int:
    """How many data files there are."""
    found = _message(header, _HEADER, "the header")
    version = _message(_only(found, 3, b""), _VERSION, "the version")
    count, order, oldest = _only(found, 1, 0), _only(found, 2, 0), _only(version, 2, 0)
    if not 1 <= count <= _SHARDS or order != 0 or oldest > 1:
        raise _error(
            f"{count} data files of byte order {order}, for readers of version {oldest}; "
            f"allowed: 1 to {_SHARDS}, 0 (little-endian), 0 or 1"
        )
    return count


class _Entry(NamedTuple):
    """What the index says of one array."""

    name: str
    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int

    @classmethod
    def of(cls, key: bytes, value: bytes) -> _Entry:
        if key.startswith(b"\0"):  # as names of slices are, and no others
            raise _error(f"{key[1:80]!r} is a slice; allowed: arrays in one piece")
        try:
            name = key.decode()
        except UnicodeDecodeError as error:
            raise _error(f"name {key[:80]!r}; allowed: UTF-8") from error
        found = _message(value, _ENTRY, f"{name[:80]!r}")
        if found[7]:
            raise _error(f"{name[:80]!r} is in {len(found[7])} slices; allowed: in one piece")
        return cls(
            name=name,
            kind=_only(found, 1, 0),
            shape=_shape(_only(found, 2, b""), name),
            shard=_only(found, 3, 0),
            offset=_only(found, 4, 0),
            size=_only(found, 5, 0),
            checksum=int.from_bytes(_only(found, 6, b""), "little"),
        )


def _shape(data: bytes, name: str) -> tuple[int, ...]:
    found = _message(data, _SHAPE, f"the shape of {name[:80]!r}")
    sizes = [_message(size, _SIZE, f"the shape of {name[:80]!r}") for size in found[2]]
    if len(sizes) > _RANK or _only(found, 3, 0):
        raise _error(f"{name[:80]!r} has {len(sizes)} axes, or an unknown number; allowed: {_RANK}")
    return tuple(_only(size, 1, 0) for size in sizes)


# --- the data -------------------------------------------------------------------------------------


class _Data:
    """The data files, each opened when it is first needed; no two arrays share their bytes."""

    def __init__(self, count: int, beside: Beside, limits: Limits) -> None:
        self.count, self.beside = count, beside
        self.left = limits.file_bytes
        self.files: dict[int, bytes] = {}
        self.unused: dict[int, int] = {}

    def array(self, entry: _Entry) -> np.ndarray:
        """The numbers of one array."""
        name = entry.name[:80]
        if entry.kind not in _NUMBERS:
            raise _error(
                f"{name!r} holds type {entry.kind}; allowed: {', '.join(map(str, _NUMBERS))}"
            )
        dtype = np.dtype(_NUMBERS[entry.kind])
        count = math.prod(entry.shape)
        if entry.size != count * dtype.itemsize:
            raise _error(f"{name!r} has {entry.size} bytes for shape {entry.shape} of {dtype}")
        data = self._stored(entry)
        check(data, entry.checksum)
        try:
            array = np.frombuffer(data, dtype, count).reshape(entry.shape)
        except ValueError as error:
            raise _error(f"{name!r} has the shape {entry.shape} ({error})"[:200]) from error
        if entry.kind == _BRAIN:
            return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return array

    def _stored(self, entry: _Entry) -> memoryview:
        data = self._file(entry.shard)
        self.unused[entry.shard] -= entry.size
        if entry.offset + entry.size > len(data) or self.unused[entry.shard] < 0:
            raise _error(
                f"{entry.name[:80]!r} has {entry.size} bytes at {entry.offset}; "
                f"allowed: below {len(data)}, and none twice"
            )
        return memoryview(data)[entry.offset : entry.offset + entry.size]

    def _file(self, number: int) -> bytes:
        if number >= self.count:
            raise _error(f"data file {number}; allowed: below {self.count}")
        if number not in self.files:
            data = self.beside(f".data-{number:05}-of-{self.count:05}")
            self.left -= len(data)
            if self.left < 0:
                raise _error("the data files are larger than is allowed for one file")
            self.files[number], self.unused[number] = data, len(data)
        return self.files[number]
