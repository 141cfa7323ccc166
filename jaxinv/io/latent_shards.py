"""Latents of many samples in one file: arrays with a leading axis, and facts of every row.

OUT/shards holds them for OUT/latents. A file there is complete, or is not there; of samples with
the same name the newest counts, and a file of its own in OUT/latents before them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxinv.io import checkpoints
from jaxinv.io.archives import KEPT, SHARDS

KIND, SCHEMA = "latents of many samples", "1"
LATENTS, SUFFIX = "latents", ".safetensors"
_FACTS = {"format": "jaxinv", "schema": SCHEMA, "kind": KIND}


class Row(NamedTuple):
    """One sample: its name, the size of its own file in bytes, its facts and arrays as stored."""

    name: str
    size: int
    facts: Mapping[str, str]
    arrays: Mapping[str, Any]


class PackedRow(NamedTuple):
    """Where the latents of one sample lie."""

    file: Path
    row: int
    size: int
    facts: dict[str, str]

    def load(self) -> dict[str, Any]:
        """Its arrays as stored; `CheckpointError` where they cannot be read."""
        return checkpoints.load_row(self.file, self.row)


def layout(arrays: Mapping[str, Any]) -> tuple[object, ...]:
    """Equal for samples that can be stacked."""
    return tuple(
        (name, layout(one) if isinstance(one, Mapping) else (np.shape(one), np.asarray(one).dtype))
        for name, one in sorted(arrays.items())
    )


def save_shard(path: Path, rows: Sequence[Row]) -> None:
    """Write samples of one `layout` to a file, which appears whole or not at all."""
    shared = dict(rows[0].facts)
    for row in rows:
        shared = {k: v for k, v in shared.items() if row.facts.get(k) == v}
    table = [
        [row.name, row.size, {k: v for k, v in row.facts.items() if k not in shared}]
        for row in rows
    ]
    facts = {"shared": json.dumps(shared), "rows": json.dumps(table)}
    checkpoints.save(path, _stacked([row.arrays for row in rows]), facts | _FACTS)


def _stacked(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: _stacked([one[name] for one in samples])
        if isinstance(first, Mapping)
        else np.stack([np.asarray(one[name]) for one in samples])
        for name, first in samples[0].items()
    }


def read_rows(file: Path) -> dict[str, PackedRow]:
    """The samples in a file by name; `CheckpointError` where it holds none."""
    facts = checkpoints.read_metadata(file)
    try:
        if facts["kind"] != KIND:
            raise ValueError(facts["kind"])
        shared = _texts(json.loads(facts["shared"]))
        return {
            str(name): PackedRow(file, number, int(size), shared | _texts(own))
            for number, (name, size, own) in enumerate(json.loads(facts["rows"]))
        }
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise checkpoints.CheckpointError(f"{file} holds no rows of latents") from error


def _texts(facts: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in facts.items()}


class PackedRows(NamedTuple):
    """The packed samples of a folder of results by name, and the files that cannot be read."""

    rows: dict[str, PackedRow]
    broken: tuple[Path, ...] = ()


def packed_rows(out: Path) -> PackedRows:
    """What is packed in a folder of results; nothing where nothing is."""
    shards = out / SHARDS
    try:
        changed = shards.stat().st_mtime_ns
    except OSError:
        return PackedRows({})
    return _rows(os.fspath(shards), changed)


@lru_cache(maxsize=KEPT)
def _rows(shards: str, changed: int) -> PackedRows:
    del changed
    found: dict[str, PackedRow] = {}
    broken = []
    for file in sorted(Path(shards).glob(f"*{SUFFIX}")):
        try:
            found |= read_rows(file)
        except (checkpoints.CheckpointError, OSError):
            broken.append(file)
    return PackedRows(found, tuple(broken))


def forget() -> None:
    """Look again at packed latents: there are others now."""
    _rows.cache_clear()


def find(path: Path) -> PackedRow | None:
    """The packed latents of OUT/latents/NAME.safetensors, where there is no such file.

    Raises `CheckpointError` where they are not found, and may be in a file that cannot be read.
    """
    if path.suffix != SUFFIX or path.parent.name != LATENTS or os.path.lexists(path):
        return None
    packed = packed_rows(path.parent.parent)
    found = packed.rows.get(path.name.removesuffix(SUFFIX))
    if found is None and packed.broken:
        raise checkpoints.CheckpointError(f"no {path}, and {packed.broken[0]} cannot be read")
    return found
