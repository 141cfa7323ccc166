"""Torch checkpoints, zip (torch >= 1.6) and legacy, read without torch: tensors become arrays.

Both hold a pickle whose tensors refer to storages by persistent ids, and the storages' raw bytes.
The pickle goes through `read_raw`; a tensor is a view of its storage's bytes, checked for bounds.
"""

from __future__ import annotations

import io
import math
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.readers.pickles import USUAL, Limits, plain, read_raw
from weights_convert.readers.safe_globals import (
    DICTS,
    MAX_RANK,
    MODULES,
    NUMPY,
    Name,
    Pending,
    StandIn,
    holder,
)

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STRANGE = re.compile(r"(^|/)\.\.?(/|$)|[\\:\0]")  # names that lead out of a folder
_ENTRY, MAX_MEMBERS = b"PK\x01\x02", 2**16  # how each member's entry in the directory begins
_END, _END_BYTES = b"PK\x05\x06", 22  # the last record, when the archive has no comment
_TYPES = {
    "Float": "<f4",
    "Double": "<f8",
    "Half": "<f2",
    "BFloat16": "<u2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "|i1",
    "Byte": "|u1",
    "Bool": "|b1",
}


class Storage(Pending):
    """The bytes that tensors share, known by type and count until `raw` arrives."""

    def __init__(self, kind: str, count: int) -> None:
        self.kind, self.count = kind, count
        self.raw: bytes | memoryview | None = None
        self._numbers: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.count * np.dtype(_TYPES[self.kind]).itemsize

    def array(self) -> np.ndarray:
        """All numbers, in a row; bfloat16 is widened to float32, once for all tensors."""
        if self._numbers is None:
            self._numbers = self._decoded()
        return self._numbers

    def _decoded(self) -> np.ndarray:
        if self.raw is None or len(self.raw) != self.nbytes:
            raise UnsafeFileError(f"torch file lacks the {self.nbytes} bytes of a storage")
        if self.kind == "Bool" and bytes(self.raw).strip(b"\x00\x01"):
            raise UnsafeFileError("torch file holds booleans other than 0 and 1")
        flat = np.frombuffer(self.raw, _TYPES[self.kind])
        if self.kind == "BFloat16":
            return (flat.astype(np.uint32) << 16).view(np.float32)
        return flat


class Tensor(Pending):
    """A tensor: storage, offset, sizes and strides, in elements."""

    def __init__(
        self, storage: Storage, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self.storage, self.offset, self.sizes, self.strides = storage, offset, sizes, strides

    def result(self) -> np.ndarray:
        """A read-only view of the storage's numbers."""
        flat = self.storage.array()
        if math.prod(self.sizes) == 0:
            return np.zeros(self.sizes, flat.dtype)
        last = sum((n - 1) * step for n, step in zip(self.sizes, self.strides, strict=True))
        if self.offset + last >= flat.size:
            raise UnsafeFileError(
                f"tensor {self.sizes} reaches beyond its storage of {flat.size} numbers"
            )
        steps = tuple(step * flat.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.sizes, steps, writeable=False
        )


def _call_tensor(arguments: tuple[Any, ...]) -> Tensor:
    if len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise UnsafeFileError("torch file holds a tensor without a storage")
    storage, offset, sizes, strides = arguments[:4]
    ranks = [len(part) if type(part) is tuple else 0 for part in (sizes, strides)]
    if ranks[0] != ranks[1] or ranks[0] > MAX_RANK:
        raise UnsafeFileError(f"torch file holds a tensor of rank {ranks[0]}")
    if type(offset) is not int or offset < 0 or not _whole(sizes) or not _whole(strides):
        raise UnsafeFileError("torch file holds a tensor with bad sizes; allowed: integers >= 0")
    return Tensor(storage, offset, sizes, strides)


def _whole(values: Any) -> bool:
    return type(values) is tuple and all(type(n) is int and n >= 0 for n in values)


def _call_parameter(arguments: tuple[Any, ...]) -> Tensor:
    if not arguments or not isinstance(arguments[0], Tensor):
        raise UnsafeFileError("torch file holds a parameter that is no tensor")
    return arguments[0]


def _call_storage(arguments: tuple[Any, ...]) -> Pending:
    raise UnsafeFileError("torch file calls a storage type; it may only be named")


_STORAGES = {kind: StandIn(_call_storage) for kind in _TYPES}
TENSORS: Mapping[tuple[str, str], StandIn] = {
    **{("torch", f"{kind}Storage"): stand_in for kind, stand_in in _STORAGES.items()},
    ("torch._utils", "_rebuild_tensor"): StandIn(_call_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): StandIn(_call_tensor),
    ("torch._utils", "_rebuild_parameter"): StandIn(_call_parameter),
    **DICTS,
}
# What training scripts leave beside their weights.
EXTRAS: Mapping[tuple[str, str], StandIn] = {
    ("argparse", "Namespace"): holder("Namespace"),
    ("models.utils.config", "BaseConfig"): holder("BaseConfig"),
}
NAMES: Mapping[tuple[str, str], StandIn] = {**NUMPY, **TENSORS, **EXTRAS, **MODULES}
SCRIPTED = "__torch__"  # where the classes of a TorchScript archive lie, beside its code


class _Scripted(dict[tuple[str, str], StandIn]):
    """`NAMES`, and every class of a TorchScript archive: its objects become their attributes.

    The code that the archive carries is not read.
    """

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (
            isinstance(name, tuple) and str(name[0]).split(".")[0] == SCRIPTED
        )

    def __missing__(self, name: tuple[str, str]) -> StandIn:
        return holder(name[1])


class _Storages:
    """The storages that a pickle refers to, by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Storage] = {}

    def find(self, identity: Any) -> Storage:
        """The storage of ("storage", type, key, place, count), the same for the same key."""
        if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            raise UnsafeFileError("torch file refers to something other than a storage")
        _, name, key, _, count = identity[:5]
        kinds = [kind for kind, known in _STORAGES.items() if _is(name, known)]
        if not kinds or type(key) is not str or type(count) is not int or count < 0:
            raise UnsafeFileError(
                f"torch file has a bad storage; allowed types: {', '.join(_TYPES)}"
            )
        if len(identity) == 6 and identity[5] is not None:
            raise UnsafeFileError("torch file has a storage that is a view of another")
        found = self.by_key.setdefault(key, Storage(kinds[0], count))
        if (found.kind, found.count) != (kinds[0], count):
            raise UnsafeFileError(f"torch file describes the storage {key[:40]!r} in two ways")
        return found


def _is(name: Any, stand_in: StandIn) -> bool:
    return isinstance(name, Name) and name.stand_in is stand_in


def read_zip(data: bytes, *, limits: Limits = USUAL) -> Any:
    """Plain tree of a zip checkpoint: dicts, lists, numbers, strings and arrays.

    Raises `UnsafeFileError` for anything malformed; members must be stored as they are, as torch
    stores them, so that nothing can expand.
    """
    if (members := data.count(_ENTRY)) > MAX_MEMBERS:
        raise UnsafeFileError(f"zip archive of {members} members; allowed: {MAX_MEMBERS}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_whole(archive, data)
            return plain(_from_zip(archive, limits), limits)
    except UnsafeFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise UnsafeFileError(f"broken zip archive ({type(error).__name__})") from None


def _check_whole(archive: zipfile.ZipFile, data: bytes) -> None:
    """Refuse archives that are also something else, or that readers would not agree about."""
    members = archive.infolist()
    ends = data[-_END_BYTES:].startswith(_END) and not archive.comment
    if not ends or min((member.header_offset for member in members), default=1):
        raise UnsafeFileError("zip archive with other data before or behind it")
    if sum(member.file_size for member in members) > len(data):
        raise UnsafeFileError("zip archive whose members overlap or expand")
    if len(archive.NameToInfo) < len(members):
        raise UnsafeFileError("zip archive with two members of one name")
    for member in members:
        name = member.orig_filename  # `filename` ends at the first zero byte
        if name.startswith("/") or _STRANGE.search(name):
            raise UnsafeFileError(f"zip archive with a member called {name[:80]!r}")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UnsafeFileError(f"zip archive with a link, {name[:80]!r}")


def _from_zip(archive: zipfile.ZipFile, limits: Limits) -> Any:
    roots = [name[: -len("data.pkl")] for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise UnsafeFileError(f"zip archive with {len(roots)} members data.pkl; allowed: 1")
    order = _member(archive, f"{roots[0]}byteorder") if _has(archive, roots[0]) else b"little"
    if order != b"little":
        raise UnsafeFileError(f"torch file of byte order {order[:10]!r}; allowed: little")
    storages = _Storages()
    stream = io.BytesIO(_member(archive, f"{roots[0]}data.pkl"))
    raw = read_raw(stream, names=_Scripted(NAMES), limits=limits, persistent=storages.find)
    for key, storage in storages.by_key.items():
        storage.raw = _member(archive, f"{roots[0]}data/{key}")
    return raw


def _has(archive: zipfile.ZipFile, root: str) -> bool:
    return f"{root}byteorder" in archive.NameToInfo


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    found = archive.NameToInfo.get(name)
    if found is None:
        raise UnsafeFileError(f"zip archive without the member {name[:80]!r}")
    if found.compress_type != zipfile.ZIP_STORED or found.flag_bits & 1:
        raise UnsafeFileError(f"member {name[:80]!r} is compressed or encrypted")
    return archive.read(found)


def read_legacy(
    data: bytes, *, names: Mapping[tuple[str, str], StandIn] = NAMES, limits: Limits = USUAL
) -> Any:
    """Plain tree of a legacy checkpoint; errors as for `read_zip`."""
    return plain(raw_legacy(data, names=names, limits=limits), limits)


def raw_legacy(
    data: bytes, *, names: Mapping[tuple[str, str], StandIn] = NAMES, limits: Limits = USUAL
) -> Any:
    """The unfinished value of a legacy file: five pickles, then the storages' bytes."""
    stream, storages = io.BytesIO(data), _Storages()
    head = [plain(read_raw(stream, limits=limits), limits) for _ in range(3)]
    if head[:2] != [_MAGIC, _PROTOCOL] or type(head[2]) is not dict:
        raise UnsafeFileError("not a legacy torch file: bad magic number or protocol")
    if head[2].get("little_endian") is not True:
        raise UnsafeFileError("torch file of another byte order; allowed: little")
    raw = read_raw(stream, names=names, limits=limits, persistent=storages.find)
    keys = plain(read_raw(stream, limits=limits), limits)
    if type(keys) is not list or set(map(str, keys)) != set(storages.by_key):
        raise UnsafeFileError("torch file lists other storages than it uses")
    view = memoryview(data)
    for key in keys:
        storage = storages.by_key[str(key)]
        start = stream.tell()
        count = int.from_bytes(stream.read(8), "little")
        if count != storage.count or start + 8 + storage.nbytes > len(data):
            raise UnsafeFileError(f"torch file is cut off, or miscounts the storage {key!r}")
        storage.raw = view[start + 8 : start + 8 + storage.nbytes]
        stream.seek(start + 8 + storage.nbytes)
    if stream.read(1):
        raise UnsafeFileError("torch file is followed by other data")
    return raw
