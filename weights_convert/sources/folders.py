"""Checkpoints that are folders: what orbax writes, and the two graphs of an OpenVINO generator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import mobilestylegan
from weights_convert.readers.pickles import Limits

ORBAX = "_METADATA"
GRAPHS = tuple(
    f"{part}Network.{end}" for part in ("Mapping", "Synthesis") for end in ("xml", "bin")
)
DENSER = 8  # times as large as its files may an orbax checkpoint be: they are compressed


def read(path: Path, limits: Limits) -> tuple[str, Any]:
    """The kind of a folder, and its plain tree.

    An OpenVINO generator is read as {"openvino": nested parameters}. Raises `UnsafeFileError` for a
    folder of another kind, a malformed one, and one that is too large.
    """
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if size > limits.file_bytes:
        raise UnsafeFileError(f"folder of {size} bytes; allowed: at most {limits.file_bytes}")
    if any(file.is_symlink() for file in path.rglob("*")):
        raise UnsafeFileError(f"{path.name} holds links; allowed: files and folders")
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
        with orbax.PyTreeCheckpointer() as reader:
            held = reader.metadata(path.absolute()).item_metadata.tree
            total = sum(_bytes(name, leaf) for name, leaf in _leaves(held))
            if total > budget:
                raise UnsafeFileError(f"arrays of {total} bytes; allowed: at most {budget}")
            return _plain(reader.restore(path.absolute()))
    except UnsafeFileError:
        raise
    except Exception as error:  # orbax and tensorstore raise whatever they like
        raise UnsafeFileError(f"no readable orbax checkpoint ({error!s:.200})") from error


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


def _plain(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(name): _plain(value) for name, value in tree.items()}
    return np.asarray(tree)
