"""Signals that end a run: the first lets it finish its step and save, the second does not."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
SAID = "stopping: this step is finished and kept; once more stops at once"


class Stopped(Exception):
    """A run that was asked to stop has kept what it had; the message says how to go on."""


@dataclass
class Stopping:
    """Whether a run was asked to stop."""

    asked: bool = False

    def check(self) -> None:
        """Raise `Stopped` if it was."""
        if self.asked:
            raise Stopped("stopped; what is finished is kept: the same command goes on from there")


@contextlib.contextmanager
def stop_signals(say: Callable[[str], object]) -> Iterator[Stopping]:
    """Turn the first signal to end into a wish, and `say` so, until the block ends.

    Threads other than the first cannot catch signals: there it changes nothing. A signal that is
    ignored, as that of the terminal is in background jobs, stays so.
    """
    stopping = Stopping()

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        if stopping.asked:
            raise KeyboardInterrupt
        stopping.asked = True
        say(f"{signal.Signals(number).name}: {SAID}")

    caught = {}
    if threading.current_thread() is threading.main_thread():
        caught = {one: signal.getsignal(one) for one in SIGNALS}
        caught = {one: was for one, was in caught.items() if was is not signal.SIG_IGN}
    for one in caught:
        signal.signal(one, ask)
    try:
        yield stopping
    finally:
        for one, was in caught.items():
            signal.signal(one, was)
