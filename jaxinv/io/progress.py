"""What a person sees while something is measured: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from jaxinv.io.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
LINE_EVERY = 10.0  # seconds between plain lines


class TimeLeft:
    """How long something still takes, by its pace since the first report: before that it compiles.

    Called with how much is done of how much, it gives a text, "" where nothing can be said yet.
    """

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None

    def __call__(self, done: float, total: float) -> str:
        """The seconds that are left, as a text."""
        now = time.monotonic()
        if self.first is None:
            self.first = now, done
        began, before = self.first
        if not before < done < total:
            return ""
        return f"{(now - began) / (done - before) * (total - done):.0f} s left"


def announce(text: str) -> None:
    """Print one line on stderr, before any bar is shown."""
    shown = printable(text)
    Console(stderr=True).print(shown, markup=False, emoji=False, highlight=False, soft_wrap=True)


def track(
    items: Iterable[T],
    total: int,
    label: str,
    report: Callable[[str], object] | None = None,
    *,
    each: int = 1,
) -> Iterator[T]:
    """Items one by one, with the time that is left; lines go to `report`, or `announce`.

    Every item is `each` of the `total`.

    The first item, which compiles, does not count for the estimate. Where time was told, so is the
    end.
    """
    label, console = printable(label), Console(stderr=True)
    live = console.is_terminal
    columns = (TextColumn(label, markup=False), MofNCompleteColumn(), BarColumn())
    bar = Progress(
        *columns,
        TextColumn("{task.fields[left]}"),
        console=console,
        disable=not live,
        transient=True,
    )
    task = bar.add_task("", total=total, left="")
    tell = report or announce
    tell(f"{label}: {total}, once")
    spoken, left, told = time.monotonic(), TimeLeft(), False
    with bar:
        for number, item in enumerate(items):
            done = number * each
            text = left(done, total) if done else ""
            bar.update(task, completed=done, left=text)
            if text and not live and (time.monotonic() - spoken > LINE_EVERY or number == 2):
                spoken, told = time.monotonic(), True
                tell(f"{label}: {done} of {total}, {text}")
            yield item
    if told:
        tell(f"{label}: {total} of {total}")
