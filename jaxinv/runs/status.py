"""How far a run is, in a small file that is always whole: for people and for other programs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.files import BadFile, read_bytes, write_json
from jaxinv.io.launchers import ALONE, Share
from jaxinv.io.output_folder import WORKERS, is_locked
from jaxinv.io.stopping import Stopped
from jaxinv.io.text import shortened
from jaxinv.specs.checks import is_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

FILE = "status.json"
EVERY = 5.0  # seconds
SILENCE = 1800.0  # seconds after which a process of another machine counts as killed
RUNNING, DONE, STOPPED, FAILED, KILLED = "running", "done", "stopped", "failed", "killed"


@dataclass(frozen=True)
class Count:
    """How many files there are, and how many of them are done and failed."""

    files: int
    done: int
    failed: int


class StatusFile:
    """The status of a process in `place`; in a `with` block it says in the end how that ended.

    `all_files` are those of all workers.
    """

    def __init__(
        self, place: Path, count: Count, share: Share = ALONE, *, all_files: int = 0
    ) -> None:
        self.place, self.share, self.all_files = place, share, all_files
        self.files, self.done, self.failed = count.files, count.done, count.failed
        self.before, self.began, self.written = count.done, time.time(), 0.0

    def add(self, status: str) -> None:
        """One more file has its result."""
        self.done += 1
        self.failed += status != "ok"

    def write(self, state: str = RUNNING) -> None:
        """Put the status down, while the run goes on only now and then."""
        now = time.time()
        if state == RUNNING and now - self.written < EVERY:
            return
        self.written = now
        rate = (self.done - self.before) / max(now - self.began, 1e-9)
        left = (self.files - self.done) / rate if rate else None
        facts = {
            "state": state,
            "files": self.files,
            "done": self.done,
            "failed": self.failed,
            "images_per_second": round(rate, 4),
            "seconds_left": None if left is None else round(left),
            "process": os.getpid(),
            "host": socket.gethostname(),
            "updated": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        if not self.share.alone:
            part = {"worker": self.share.index, "workers": self.share.count}
            facts |= part | {"all_files": self.all_files}
        write_json(self.place / FILE, {"schema": 1} | facts)

    def __enter__(self) -> StatusFile:
        self.write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        states = {Stopped: STOPPED, KeyboardInterrupt: STOPPED, None: DONE}
        with contextlib.suppress(OSError):  # a full disk must not hide what went wrong
            self.write(states.get(kind, FAILED))


def read_status(out: str | Path) -> dict[str, Any]:
    """The status of the run in a folder; "killed" if it says "running" and no process does.

    Of a run of several workers it is the sum. Raises `ValueError` for a folder in which there is
    none.
    """
    parts = list(_worker_statuses(Path(out)))
    if parts:
        return _summed(parts)
    found = _read(Path(out))
    if found["state"] == RUNNING and not (is_locked(out) or seems_alive(Path(out))):
        found["state"] = KILLED
    return found


def _read(place: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bytes(place / FILE))
        found["state"] = found["state"]
    except (BadFile, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{place} has no status ({shortened(error)}); allowed: a folder of `jaxinv invert` "
            f"or of a training"
        ) from error
    return found


def seems_alive(place: Path) -> bool:
    """Whether a process of another machine, whose lock may not be seen here, has just written."""
    try:
        found = _read(place)
        silent = time.time() - (place / FILE).stat().st_mtime
    except (ValueError, OSError):
        return False
    elsewhere = found.get("host") != socket.gethostname()
    return found["state"] == RUNNING and elsewhere and silent < SILENCE


def _worker_statuses(out: Path) -> Iterator[dict[str, Any]]:
    """What the workers that share a run now say: those of the last number of workers."""
    found: list[tuple[float, dict[str, Any]]] = []
    for place in sorted((out / WORKERS).glob("*")):
        with contextlib.suppress(ValueError, OSError):
            status = _read(place)
            if status["state"] == RUNNING and not (is_locked(place) or seems_alive(place)):
                status["state"] = KILLED
            numbers = (status.get(name) for name in ("files", "done", "failed", "workers"))
            if all(isinstance(value, int) for value in numbers):
                found.append(((place / FILE).stat().st_mtime, status))
    last = max(found, key=lambda pair: pair[0])[1]["workers"] if found else 0
    yield from (status for _, status in found if status["workers"] == last)


def _summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The status of all workers together; the state is that of the one that is furthest behind."""
    states = {part["state"] for part in parts}
    running = [part for part in parts if part["state"] == RUNNING]
    left = [part["seconds_left"] for part in running if is_number(part.get("seconds_left"))]
    rates = [part["images_per_second"] for part in running if "images_per_second" in part]
    order = (RUNNING, KILLED, FAILED, STOPPED, DONE)
    return {
        "state": next((state for state in order if state in states), STOPPED),
        "files": max(sum(part["files"] for part in parts), *(_whole(part) for part in parts)),
        "done": sum(part["done"] for part in parts),
        "failed": sum(part["failed"] for part in parts),
        "images_per_second": round(sum(filter(is_number, rates)), 4),
        "seconds_left": max(left) if len(left) == len(running) and left else None,
        "workers": parts[0]["workers"],
        "workers_running": len(running),
    }


def files_of_all(out: Path) -> int:
    """How many files the workers of a run share, by what they say."""
    return max((_whole(part) for part in _worker_statuses(out)), default=0)


def _whole(part: dict[str, Any]) -> int:
    return part["all_files"] if isinstance(part.get("all_files"), int) else 0


def told(status: dict[str, Any]) -> str:
    """The status in a line; what a file may say beside its state is shown as it is."""
    state, left = status["state"], status.get("seconds_left")
    words = [
        shortened(state),
        f"{shortened(status.get('done'))} of {shortened(status.get('files'))} files",
        f"{shortened(status.get('failed'))} failed",
        f"{shortened(status.get('images_per_second'))} images/s",
    ]
    if "workers_running" in status:
        words.append(f"{status['workers_running']} of {status['workers']} workers running")
    if state == RUNNING and left is not None:
        words.append(f"{shortened(left)} s left")
    if state in (KILLED, STOPPED, FAILED):
        words.append("the same command goes on from there")
    return ", ".join(words)
