"""How far a run is, in a small file that is always whole: for people and for other programs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.files import BadFile, read_bytes, write_json
from jaxinv.io.output_folder import is_locked
from jaxinv.io.stopping import Stopped
from jaxinv.io.text import shortened

if TYPE_CHECKING:
    from types import TracebackType

FILE = "status.json"
EVERY = 5.0  # seconds
RUNNING, DONE, STOPPED, FAILED, KILLED = "running", "done", "stopped", "failed", "killed"


class StatusFile:
    """The status of a run in `out`; in a `with` block it says in the end how the run ended."""

    def __init__(self, out: Path, files: int, done: int, failed: int) -> None:
        self.out, self.files, self.done, self.failed = out, files, done, failed
        self.before, self.began, self.written = done, time.time(), 0.0

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
        write_json(self.out / FILE, {"schema": 1} | facts)

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

    Raises `ValueError` for a folder in which there is none.
    """
    file = Path(out) / FILE
    try:
        found = json.loads(read_bytes(file))
        state = found["state"]
    except (BadFile, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{out} has no status ({shortened(error)}); allowed: a folder of `jaxinv invert` or "
            f"of a training"
        ) from error
    if state == RUNNING and not is_locked(out):
        found["state"] = KILLED
    return found


def told(status: dict[str, Any]) -> str:
    """The status in a line; what a file may say beside its state is shown as it is."""
    state, left = status["state"], status.get("seconds_left")
    words = [
        shortened(state),
        f"{shortened(status.get('done'))} of {shortened(status.get('files'))} files",
        f"{shortened(status.get('failed'))} failed",
        f"{shortened(status.get('images_per_second'))} images/s",
    ]
    if state == RUNNING and left is not None:
        words.append(f"{shortened(left)} s left")
    if state in (KILLED, STOPPED, FAILED):
        words.append("the same command goes on from there")
    return ", ".join(words)
