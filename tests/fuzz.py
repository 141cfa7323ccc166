"""Mutated checkpoint files: `python -m tests.fuzz COUNT` reads that many, of every container.

Whatever comes out must be plain data or the one exception, and no audit event may be seen: no
import, no open, no process, no socket.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from tests import torchlike as torch
from tests.kerasfiles import keras_file
from tests.tfbundles import ONE_FILE, bundle
from weights_convert import UnsafeFileError
from weights_convert.readers import tf_bundles
from weights_convert.readers.pickles import Limits
from weights_convert.sources.containers import parse

FORBIDDEN = (
    "exec",
    "compile",
    "import",
    "open",
    "pickle.",
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "marshal.",
)
_events: list[str] = []
_watching = [False]


def _watch(event: str, _: tuple[Any, ...]) -> None:
    if _watching[0] and event.startswith(FORBIDDEN):
        _events.append(event)


_installed: list[bool] = []


@contextmanager
def watched() -> Iterator[list[str]]:
    """Forbidden audit events of the block, as they come."""
    if not _installed:  # a hook cannot be removed again; this one is silent outside such blocks
        sys.addaudithook(_watch)
        _installed.append(True)
    _events.clear()
    _watching[0] = True
    try:
        yield _events
    finally:
        _watching[0] = False


def edit(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, new in edits:
        at = where % (len(data) + 1)
        end = at + len(new)
        if kind == "repeat":
            data = data[:at] + data[max(0, at - 16) : at] * 3 + data[at:]
        else:
            data = (
                data[:at]
                + (b"" if kind == "delete" else new)
                + data[at if kind == "insert" else end :]
            )
    return data


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(k) in (str, int, bytes) and is_plain(v) for k, v in value.items())
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    if type(value) is np.ndarray:
        return value.dtype.kind in "biuf"
    return value is None or type(value) in (bool, int, float, str, bytes)


LIMITS = Limits(opcodes=20_000, memo=10_000, nodes=10_000, decoded_bytes=2**20)
ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([3], np.int64)}
DATA = bundle(ARRAYS)[ONE_FILE]  # of the bundle: the file beside its index


def seeds() -> dict[str, bytes]:
    """A small valid file of every container."""
    body = torch.state_dict(ARRAYS)
    module = torch.module("G", b"}" + torch.value("w") + torch.nested_tensor(ARRAYS["w"]) + b"s")
    network = torch.network({"version": 4, "variables": [("w", 1.5)]})
    return {
        "torch zip": torch.zip_file(body, ARRAYS),
        "torch legacy": torch.legacy_file(body, ARRAYS),
        "module pickle": torch.finished(module),
        "network pickle": torch.finished(network),
        "TensorFlow bundle": bundle(ARRAYS)[".index"],
        "HDF5": keras_file([{"config": {"name": "a"}}], {f"a/{n}": x for n, x in ARRAYS.items()}),
    }


def _beside(end: str) -> bytes:
    if end != ONE_FILE:
        raise UnsafeFileError(f"no file {end}")
    return DATA


def run(count: int, seed: int = 0) -> Counter[str]:
    """How many of `count` mutated files were read and refused; anything else raises.

    Bundles are read without their checksums, behind which few mutations would come.
    """
    with patch.object(tf_bundles, "check", lambda *_: None):
        return _run(count, seed)


def _run(count: int, seed: int) -> Counter[str]:
    draws, files, found = np.random.default_rng(seed), list(seeds().values()), Counter[str]()
    kinds = ("set", "insert", "delete", "repeat")
    for data in files:  # the standard library's own parts load when they are first used
        parse(data, beside=_beside)
    b"".decode("cp437")  # as the names in old zip archives are
    with watched() as events:
        for number in range(count):
            edits = [
                (
                    kinds[draws.integers(len(kinds))],
                    int(draws.integers(2**16)),
                    draws.bytes(int(draws.integers(1, 5))),
                )
                for _ in range(draws.integers(1, 7))
            ]
            try:
                data = edit(files[number % len(files)], edits)
                tree = parse(data, limits=LIMITS, beside=_beside).tree
            except UnsafeFileError:
                found["refused"] += 1
                continue
            if not is_plain(tree):
                raise TypeError(f"mutation {number} of seed {seed} is not plain: {edits}")
            found["read"] += 1
    if events:
        raise RuntimeError(f"audit events: {sorted(set(events))}")
    return found


if __name__ == "__main__":
    print(dict(run(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)))
