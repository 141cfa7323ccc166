"""Mutated files of every kind: plain data or an error of ours comes out, and nothing is touched."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import fuzz, fuzzed
from tests.tiers import mostly_slow

SOME = 150
CASES = [(kind, count) for kind in fuzzed.KINDS for count in (SOME, 5_000)]


@pytest.mark.parametrize(("kind", "count"), mostly_slow(CASES, [(k, SOME) for k in fuzzed.KINDS]))
def test_mutated_files_end_in_data_or_one_error(kind: str, count: int) -> None:
    found = fuzzed.run_kind(kind, count)
    assert found["read"] + found["refused"] == count
    assert min(found["read"], found["refused"]) > 0


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (lambda _: 1 / 0, "mutation 0"),
        (lambda _: fuzzed.NotOurs("other"), "not plain"),
        (lambda _: Path(__file__).read_bytes(), "audit events"),
        (lambda _: socket.socket().close(), "audit events"),
        (lambda _: subprocess.run([sys.executable, "-c", ""], check=True).returncode, "audit"),
        (lambda _: eval("1"), "audit events"),
    ],
)
def test_the_command_notices(read: Any, told: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=told):
        fuzz.mutated([b"abc"], read, 3, own=())


def test_errors_of_others_are_told_apart() -> None:
    with pytest.raises(fuzzed.OURS):
        fuzzed.read_latents(Path(__file__))
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("x")
    assert isinstance(fuzzed.checked(caught.value), fuzzed.NotOurs)
