"""Mutated files of every kind that is read: `python -m tests.fuzz --count N` reads that many.

Whatever comes out must be plain data or one of our own exceptions, and no audit event may be seen:
no import, no open but of the file itself, no process, no socket. `tests.fuzzed` has the kinds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
_own: set[str] = set()  # paths that may be opened


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching[0] or not event.startswith(FORBIDDEN):
        return
    if event == "open" and (isinstance(arguments[0], int) or str(arguments[0]) in _own):
        return  # a number stands for a file that was opened by its path, which was seen
    _events.append(event)


_installed: list[bool] = []


@contextmanager
def watched(*own: str) -> Iterator[list[str]]:
    """Forbidden audit events of the block, as they come; the files `own` may be opened."""
    if not _installed:  # a hook cannot be removed again; this one is silent outside such blocks
        sys.addaudithook(_watch)
        _installed.append(True)
    _events.clear()
    _own.clear()
    _own.update(own)
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
    """How many of `count` mutated checkpoints were read and refused; anything else raises.

    Bundles are read without their checksums, behind which few mutations would come.
    """

    def read(data: bytes) -> Any:
        return parse(data, limits=LIMITS, beside=_beside).tree

    files = list(seeds().values())
    with patch.object(tf_bundles, "check", lambda *_: None):
        for data in files:  # the standard library's own parts load when they are first used
            parse(data, beside=_beside)
        b"".decode("cp437")  # as the names in old zip archives are
        return mutated(files, read, count, seed, own=())


def mutated(
    files: Sequence[bytes],
    read: Callable[[bytes], Any],
    count: int,
    seed: int = 0,
    *,
    own: tuple[str, ...],
    ours: tuple[type[Exception], ...] = (UnsafeFileError,),
) -> Counter[str]:
    """How many of `count` mutations of `files` were read and refused, and the slowest one in ms.

    `own` are paths that `read` may open, `ours` the exceptions that may come. Everything else
    raises, naming the mutation.
    """
    draws, found = np.random.default_rng(seed), Counter[str]()
    with watched(*own) as events:
        for number in range(count):
            edits = drawn(draws)
            began = time.monotonic()
            try:
                tree = read(edit(files[number % len(files)], edits))
            except ours:
                found["refused"] += 1
            except Exception as error:
                raise RuntimeError(f"mutation {number} of seed {seed}: {edits}") from error
            else:
                found["read"] += 1
                if not is_plain(tree):
                    raise TypeError(f"mutation {number} of seed {seed} is not plain: {edits}")
            found["slowest, ms"] = max(
                found["slowest, ms"], round(1000 * (time.monotonic() - began))
            )
            if events:
                raise RuntimeError(f"audit events {events} of mutation {number} of seed {seed}")
    return found


def drawn(draws: np.random.Generator) -> list[tuple[str, int, bytes]]:
    """Random edits of a file: one to six."""
    kinds = ("set", "insert", "delete", "repeat")
    return [
        (
            kinds[draws.integers(len(kinds))],
            int(draws.integers(2**16)),
            draws.bytes(int(draws.integers(1, 5))),
        )
        for _ in range(draws.integers(1, 7))
    ]


def main() -> None:
    """The command: files in equal numbers of every kind."""
    from tests.fuzzed import KINDS, run_kind

    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--count", type=int, default=200_000, help="files (default: 200000)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--kind", choices=("weights", *KINDS), action="append")
    asked = options.parse_args()
    kinds = asked.kind or ["weights", *KINDS]
    for kind in kinds:
        began, count = time.monotonic(), asked.count // len(kinds)
        found = run(count, asked.seed) if kind == "weights" else run_kind(kind, count, asked.seed)
        print(f"{kind:9} {dict(found)} in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
