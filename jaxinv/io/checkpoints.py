"""Parameters on disk: safetensors files, their metadata, the cache folder and atomic writes.

A checkpoint is a nested dict of arrays; the file joins the keys with "/". Reading one never
executes anything and never trusts a size that the file states: whatever is wrong with a file
surfaces as `CheckpointError`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors

from jaxinv.io.file_kinds import HEAD_BYTES, SAFETENSORS, UNKNOWN, kind_of
from jaxinv.io.files import BadFile, atomic_write, open_regular
from jaxinv.specs import GeneratorSpec
from jaxinv.specs.checks import check_place
from jaxinv.specs.serialization import generator_from_json

MAX_HEADER_BYTES = 16 * 2**20
MAX_DEPTH = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of weights in the cache folder

PACKAGED = Path(__file__).parents[1] / "packaged"  # weights and pictures of this package
_KINDS = {("b", 1): "BOOL"} | {
    (kind, size): f"{kind.upper()}{8 * size}"
    for kind in "iuf"
    for size in (1, 2, 4, 8)
    if (kind, size) != ("f", 1)
}


class CheckpointError(ValueError):
    """A checkpoint file that is malformed, truncated or hostile; the message says why."""


def cache_dir() -> Path:
    r"""Folder for pulled weights: `$JAXINV_CACHE`, else `$XDG_CACHE_HOME/jaxinv`, else a default.

    The last resort is `%LOCALAPPDATA%\jaxinv` on Windows and `~/.cache/jaxinv` elsewhere. The
    folder is not created here. A relative `XDG_CACHE_HOME` is ignored, as the XDG Base Directory
    specification asks.
    """
    if own := os.environ.get("JAXINV_CACHE"):
        return Path(own).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if xdg and Path(xdg).is_absolute():
        return Path(xdg) / "jaxinv"
    local = os.environ.get("LOCALAPPDATA", "")
    if sys.platform == "win32" and local:
        return Path(local) / "jaxinv"
    return Path.home() / ".cache" / "jaxinv"


def save(
    path: str | Path, params: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a nested dict of arrays and string metadata as one safetensors file, atomically.

    Returns `path`. Leaves are anything `numpy.asarray` turns into a number array. Raises
    `ValueError` for a key that is not a non-empty string without "/", for an empty dict, and for
    metadata that are not strings.
    """
    flat = dict(_flatten(params, ()))
    notes = dict(metadata or {})
    for key, value in notes.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ValueError(f"metadata must map str to str, got {key!r}: {value!r}")
    return atomic_write(path, lambda handle: _write(handle, flat, notes))


def _write(handle: BinaryIO, flat: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> None:
    # The library builds the whole file in memory, twice, and writes metadata in random order.
    # Sorted, equal contents give equal files. Wide numbers first, so that each lies aligned.
    names = sorted(flat, key=lambda name: (-flat[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(notes)}
    end = 0
    for name in names:
        array, start = flat[name], end
        end += array.nbytes
        kind = _KINDS[array.dtype.kind, array.itemsize]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # offsets count from here
    handle.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        array = flat[name]
        handle.write(array.astype(array.dtype.newbyteorder("<"), copy=False).data)


def load(path: str | Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read a safetensors file: (nested dict of numpy arrays, metadata).

    Raises `CheckpointError` for a malformed, truncated or hostile file, `OSError` if there is none.
    """
    _check_header_size(path)
    with _one_error(path), safetensors.safe_open(os.fspath(path), framework="np") as handle:
        flat = {name: handle.get_tensor(name) for name in sorted(handle.keys())}
        return _nest(flat), dict(handle.metadata() or {})


def load_row(path: str | Path, row: int) -> dict[str, Any]:
    """The nested dict of numpy arrays [...] that are number `row` of arrays [n, ...] in a file.

    Nothing else of the file is read. Errors as for `load`, also where there is no such row.
    """
    _check_header_size(path)
    flat: dict[str, np.ndarray] = {}
    with _one_error(path), safetensors.safe_open(os.fspath(path), framework="np") as handle:
        for name in sorted(handle.keys()):
            part = handle.get_slice(name)
            shape = part.get_shape()
            if not shape or not 0 <= row < shape[0]:
                raise CheckpointError(f"{name[:80]!r} of shape {shape} has no row {row}")
            flat[name] = np.asarray(part[row : row + 1][0])
        return _nest(flat)


def read_metadata(path: str | Path) -> dict[str, str]:
    """Metadata strings of a safetensors file; no array is loaded. Errors as for `load`."""
    _check_header_size(path)
    with _one_error(path), safetensors.safe_open(os.fspath(path), framework="np") as handle:
        return dict(handle.metadata() or {})


def content_sha256(params: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of all arrays in name order, not of a file."""
    digest = hashlib.sha256()
    for name, array in sorted(_flatten(params, ())):
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _flatten(
    params: Mapping[str, Any], parents: tuple[str, ...]
) -> Iterator[tuple[str, np.ndarray]]:
    if not params:
        raise ValueError(
            f"empty dict at {'/'.join(parents) or 'the top'}; every branch needs an array"
        )
    for key, value in params.items():
        if not isinstance(key, str) or not key or "/" in key:
            raise ValueError(f"parameter key {key!r}; allowed: non-empty strings without '/'")
        if isinstance(value, Mapping):
            yield from _flatten(value, (*parents, key))
        else:
            array = np.asarray(value)
            if (array.dtype.kind, array.itemsize) not in _KINDS:
                raise ValueError(
                    f"{'/'.join((*parents, key))} has dtype {array.dtype}; "
                    "allowed: booleans, integers and floats that numpy knows"
                )
            # Contiguous in C order: safetensors stores the buffer as it lies.
            yield "/".join((*parents, key)), np.ascontiguousarray(array).reshape(array.shape)


def _nest(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, array in flat.items():
        *parents, leaf = name.split("/")
        if not leaf or not all(parents) or len(parents) >= MAX_DEPTH:
            raise CheckpointError(f"bad array name {name[:80]!r}")
        branch = nested
        for key in parents:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                raise CheckpointError(f"array name {name[:80]!r} continues another array's name")
        if leaf in branch:
            raise CheckpointError(f"array name {name[:80]!r} is a branch of another name")
        branch[leaf] = array
    return nested


def _check_header_size(path: str | Path) -> None:
    # The first 8 bytes state the size of the JSON header, little-endian. Checked before anything is
    # parsed.
    try:
        opened = open_regular(path)
    except BadFile as error:
        raise CheckpointError(f"{path}: {error}") from error
    with opened as handle:
        head = handle.read(HEAD_BYTES)
        prefix = head[:8]
        available = os.fstat(handle.fileno()).st_size - 8
    if (kind := kind_of(head)) not in (SAFETENSORS, UNKNOWN) and head:
        raise CheckpointError(f"{path} is {kind}; allowed: a .safetensors file of jaxinv")
    if len(prefix) < 8:
        raise CheckpointError(f"{path}: {len(prefix)} bytes, too short for a safetensors file")
    stated = int.from_bytes(prefix, "little")
    if stated > min(available, MAX_HEADER_BYTES):
        raise CheckpointError(
            f"{path}: header of {stated} bytes; "
            f"allowed: at most {MAX_HEADER_BYTES} and what the file holds ({available})"
        )


@contextlib.contextmanager
def _one_error(path: str | Path) -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (
        safetensors.SafetensorError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
    ) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def packaged_names(kind: str = "") -> tuple[str, ...]:
    """Names of the weights that come with this package, of one kind or all, without a network."""
    found = sorted(PACKAGED.glob("*.safetensors"), key=lambda path: path.stem)
    return tuple(p.stem for p in found if not kind or read_metadata(p).get("kind") == kind)


def weights_file(name: str) -> Path:
    """Path of a converted checkpoint: `name` itself if it is a file, otherwise in the cache folder.

    What comes with this package is found where the cache folder has nothing of that name. Raises
    `ValueError` saying what to pull when there is none.
    """
    check_place("name of weights", name)
    path = Path(name)
    if path.suffix == ".safetensors" or path.is_file():
        if path.is_file():
            return path
        raise ValueError(f"no such weights file: {name}")
    path = cache_dir() / f"{name}.safetensors"
    if not path.is_file() and name in packaged_names():
        return PACKAGED / f"{name}.safetensors"
    if not path.is_file():
        held = sorted(p.stem for p in cache_dir().glob("*.safetensors"))
        raise ValueError(
            f"weights {name!r} are not in {cache_dir()} "
            f"(there: {', '.join(held) or 'none'}); "
            f"`jaxinv zoo` lists what `jaxinv pull NAME` can fetch"
        )
    return path


def read_spec(metadata: dict[str, str]) -> GeneratorSpec:
    """The `GeneratorSpec` stored in a checkpoint's metadata; `ValueError` if it holds none."""
    if metadata.get("kind") != "generator" or "spec" not in metadata:
        raise ValueError(
            f"not a generator checkpoint: kind {metadata.get('kind', 'missing')!r}; "
            f"allowed: 'generator'"
        )
    try:
        return generator_from_json(metadata["spec"])
    except ValueError as error:
        raise ValueError(f"not the facts of a generator: {error}") from error


def stored_spec(name: str) -> GeneratorSpec:
    """The spec of the generator called `name`, or in that file; errors as of both functions."""
    return read_spec(read_metadata(weights_file(name)))


def check_shapes(what: str, held: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless the tree `held` has all arrays of `expected`, in their shapes.

    Leaves of both have a `shape`; more arrays than expected are no fault. `what` they are is said.
    """
    for name, wanted in expected.items():
        found = held.get(name)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            check_shapes(f"{what}/{name}", found, wanted)
        elif isinstance(wanted, Mapping) or isinstance(found, Mapping) or found is None:
            raise ValueError(f"{what}: the file's spec needs arrays {name!r} that it lacks")
        elif tuple(found.shape) != tuple(wanted.shape):
            raise ValueError(
                f"{what}: {name!r} has shape {list(found.shape)}, its spec needs "
                f"{list(wanted.shape)}"
            )
