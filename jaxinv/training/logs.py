"""What a run leaves for people: a line of numbers now and then, events, and a report."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.files import atomic_write
from jaxinv.io.text import json_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

LOG = "log.jsonl"
EVENTS = "events"


class Log:
    """The numbers of a run by step, in `log.jsonl` and, if tensorboardX is there, as events.

    Without `writes` they are only kept in memory.
    """

    def __init__(
        self, folder: Path, step: int, tell: Callable[[str], object], *, writes: bool = True
    ) -> None:
        self.folder, self.path, self.writes = folder, folder / LOG, writes
        self.lines = [line for line in read_log(folder) if line["step"] <= step]
        self.events = None
        if not writes:
            return
        # What a run wrote after its last checkpoint is made again.
        atomic_write(self.path, lambda file: file.write(_text(self.lines)))
        self.events = _writer(folder / EVENTS, step, tell)

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """Add one line; numbers are finite."""
        line = {"step": step, **{name: float(f"{value:.7g}") for name, value in numbers.items()}}
        self.lines.append(line)
        if not self.writes:
            return
        with self.path.open("ab") as file:
            file.write(_text([line]))
        if self.events is not None:
            for name, value in numbers.items():
                self.events.add_scalar(name, value, step)

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Add a picture uint8 [h, w, 3] to the events."""
        if self.events is not None:
            self.events.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Finish the events."""
        if self.events is not None:
            self.events.close()

    def best(self, name: str) -> int | None:
        """The step whose `name` is lowest; None if no line has it."""
        found = [line for line in self.lines if name in line]
        return min(found, key=lambda line: (line[name], line["step"]))["step"] if found else None


def read_log(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a line that was cut short ends it."""
    lines: list[dict[str, Any]] = []
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        for text in (Path(folder) / LOG).read_text("utf-8").splitlines():
            line = json.loads(text)
            lines.append({**line, "step": int(line["step"])})
    return lines


def _text(lines: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json_text(line)}\n" for line in lines).encode()


def _writer(folder: Path, step: int, tell: Callable[[str], object]) -> Any:
    try:
        from tensorboardX import SummaryWriter  # type: ignore[import-not-found]
    except ImportError:
        tell('no TensorBoard events: `pip install "jaxinv[tensorboard]"` adds them')
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
