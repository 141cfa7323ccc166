"""Checkpoints that are folders: what orbax writes, and the two graphs of an OpenVINO generator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.io.files import read_bytes
from jaxinv.specs.serialization import parse_json
from weights_convert.errors import UnsafeFileError
from weights_convert.networks import mobilestylegan
from weights_convert.readers.pickles import Limits

ORBAX = "_METADATA"
GRAPHS = tuple(
    f"{part}Network.{end}" for part in ("Mapping", "Synthesis") for end in ("xml", "bin")
)
OCDBT = "manifest.ocdbt"
MOST_FILES, MOST_METADATA = 10_000, 2**24
CODECS = {"zstd", "bytes", "crc32c", "transpose", "sharding_indexed"}  # of orbax's own arrays
DENSER = 8  # times as large as its files may an orbax checkpoint be: they are compressed


def read(path: Path, limits: Limits) -> tuple[str, Any]:
    """The kind of a folder, and its plain tree.

    An OpenVINO generator is read as {"openvino": nested parameters}. Raises `UnsafeFileError` for a
    folder of another kind, a malformed one, and one that is too large.
    """
    found = list(itertools.islice(path.rglob("*"), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise UnsafeFileError(f"folder of more than the allowed {MOST_FILES} files")
    if any(file.is_symlink() or not (file.is_file() or file.is_dir()) for file in found):
        raise UnsafeFileError(f"{path.name} holds links or devices; allowed: files and folders")
    size = sum(file.stat().st_size for file in found if file.is_file())
    if size > limits.file_bytes:
        raise UnsafeFileError(f"folder of {size} bytes; allowed: at most {limits.file_bytes}")
    if (path / ORBAX).is_file():
        return "orbax", _orbax(path, min(DENSER * size, limits.decoded_bytes))
    if all((path / name).is_file() for name in GRAPHS):
        members = {name: (path / name).read_bytes() for name in GRAPHS}
        return "OpenVINO", {"openvino": mobilestylegan.convert(members)}
    raise UnsafeFileError(
        f"folder {path.name!r} of unknown kind; allowed: orbax (with {ORBAX}), "
        f"OpenVINO (with {', '.join(GRAPHS)})"
    )


def _orbax(path: Path, budget: int) -> Any:
    import orbax.checkpoint as orbax

    try:
        _check_names(path)
        with orbax.PyTreeCheckpointer() as reader:
            held = reader.metadata(path.absolute()).item_metadata.tree
            leaves = dict(_leaves(held))
            for kind in (_bytes, _chunk_bytes):
                total = sum(kind(name, leaf) for name, leaf in leaves.items())
                if total > budget:
                    raise UnsafeFileError(f"arrays of {total} bytes; allowed: at most {budget}")
            _check_packing(path, leaves)
            return _plain(reader.restore(path.absolute()))
    except UnsafeFileError:
        raise
    except Exception as error:  # orbax and tensorstore raise whatever they like
        raise UnsafeFileError(f"no readable orbax checkpoint ({error!s:.200})") from error


def _check_names(path: Path) -> None:
    """Raise `UnsafeFileError` for arrays whose names are places elsewhere: paths or addresses."""
    held = parse_json(read_bytes(path / ORBAX, MOST_METADATA), ORBAX)["tree_metadata"]
    for text in _texts(held):
        if any(sign in text for sign in ("/", "\\", "\0")) or text in (".", ".."):
            raise UnsafeFileError(f"an array called {text[:80]!r}; allowed: names without '/'")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _check_packing(path: Path, leaves: Mapping[str, Any]) -> None:
    """Raise `UnsafeFileError` for arrays that are not packed as orbax packs them.

    Of zstd, no more is unpacked than a chunk should hold.
    """
    import tensorstore

    place = f"{path.absolute()}/"
    packed = (path / OCDBT).is_file()
    spec = {"driver": "ocdbt", "base": {"driver": "file", "path": place}}
    store = tensorstore.KvStore.open(spec if packed else {"driver": "file", "path": place}).result()
    for leaf in leaves.values():
        for file in (".zarray", "zarr.json"):
            text = store.read(f"{leaf.name}/{file}").result().value
            used = _codecs(parse_json(text, file)) if text else set[str]()
            if used - CODECS:
                raise UnsafeFileError(f"arrays packed by {sorted(used)}; allowed: {sorted(CODECS)}")


def _codecs(facts: Any) -> set[str]:
    """Names of everything that packs an array, in zarr's metadata of version 2 or 3."""
    if isinstance(facts, list):
        return {name for one in facts for name in _codecs(one)}
    if not isinstance(facts, Mapping):
        return set()
    named = [facts["compressor"]["id"]] if facts.get("compressor") else []
    named += [one["name"] for one in facts.get("codecs", [])]
    return {*named, *_codecs(facts.get("codecs")), *_codecs(facts.get("configuration"))}


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(value, f"{prefix}{name}/")
    else:
        yield prefix.rstrip("/"), tree


def _bytes(name: str, leaf: Any) -> int:
    shape, dtype = getattr(leaf, "shape", None), getattr(leaf, "dtype", None)
    if shape is None or dtype is None:
        raise UnsafeFileError(f"{name[:80]!r} is no array")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _chunk_bytes(name: str, leaf: Any) -> int:
    """Bytes of all chunks in which an array is stored: its last ones may reach beyond it."""
    chunk = leaf.storage.chunk_shape
    if not chunk and not leaf.shape:
        return np.dtype(leaf.dtype).itemsize
    if len(chunk) != len(leaf.shape) or min(chunk) < 1:
        raise UnsafeFileError(f"{name[:80]!r} of shape {leaf.shape} has chunks {chunk}")
    counts = (-(-side // part) * part for side, part in zip(leaf.shape, chunk, strict=True))
    return math.prod(counts) * np.dtype(leaf.dtype).itemsize


def _plain(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(name): _plain(value) for name, value in tree.items()}
    return np.asarray(tree)
