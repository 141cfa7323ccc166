"""A studio with a tiny generator, for tests: its desk, its application, and a page that listens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.edits.directions import Direction
from jaxinv.edits.kept import keep_direction
from jaxinv.io.images import encode_png
from jaxinv.models.loading import generator_hash
from jaxinv.studio.app import application
from jaxinv.studio.desk import Desk
from jaxinv.studio.work import READY, Work
from tests.offline import PIXELS, go_offline, tiny_params
from tests.tiny import TINY

TOKEN = "a-token-of-tests"
BASE = f"/{TOKEN}"
ORIGIN = "http://127.0.0.1:8600"
HEADERS = {"host": "127.0.0.1:8600", "origin": ORIGIN}
PATIENCE = 600.0  # seconds; only a test that fails waits so long


def make_desk(tmp_path: Path, base: Path, patch: pytest.MonkeyPatch) -> Desk:
    """A desk whose generator has one direction, "age"; results lie in tmp_path / "kept".

    It compiles nothing ahead, which most tests do not need.
    """
    cache, own = go_offline(base, patch), tmp_path / "cache"
    own.mkdir()
    for file in cache.glob("*.safetensors"):
        (own / file.name).symlink_to(file)
    patch.setenv("JAXINV_CACHE", str(own))
    vector = np.random.default_rng(1).standard_normal(TINY.w_dim)
    keep_direction(
        Direction("age", "w", vector, generator_hash(tiny_params()), "tiny", usable=(-2, 2))
    )
    folder = tmp_path / "kept"
    folder.mkdir()
    desk = Desk("tiny", folder, preset=PIXELS.name)
    desk.warm_up.begun.acquire(blocking=False)
    return desk


def app(desk: Desk, origins: tuple[str, ...] = ()) -> Any:
    return application(desk, TOKEN, origins)


def photo(seed: int = 0) -> bytes:
    """A picture of 40 x 32 px."""
    draws = np.random.default_rng(seed)
    return encode_png(draws.integers(0, 256, (32, 40, 3)).astype(np.uint8))


def wait_for(true: Callable[[], Any], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def wait_ready(work: Work) -> Work:
    wait_for(lambda: work.phase == READY and work.jobs.empty(), f"{work.phase}: {work.note}")
    return work


def idle(work: Work) -> None:
    """Wait until the work's thread has done all it was asked for."""
    done: list[bool] = []
    work.jobs.put(lambda: done.append(True))
    wait_for(lambda: done, "the thread of the work does not end")


def header_of(data: bytes) -> dict[str, Any]:
    """The header of a frame."""
    length = int.from_bytes(data[:4], "big")
    return json.loads(data[4 : 4 + length])


def files_below(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def hold(work: Work) -> threading.Event:
    """Keep the work's thread busy until the event is set."""
    going, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert going.wait(PATIENCE)

    work.jobs.put(wait)
    assert begun.wait(PATIENCE)
    return going
