"""What a person sees during a run: a bar on a terminal, plain lines elsewhere, on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from jaxinv.io.progress import LINE_EVERY, TimeLeft
from jaxinv.io.text import printable

if TYPE_CHECKING:
    from types import TracebackType

    from jaxinv.inversion.result import Progress as Step


class Display:
    """`step` follows the engine's chunks, `done` the finished images, `say` prints a line."""

    def __init__(
        self, images: int, evaluations: int, finished: int = 0, *, quiet: bool = False
    ) -> None:
        self.images, self.evaluations, self.finished = images, evaluations, finished
        self.console = Console(stderr=True, quiet=quiet)
        self.spoken, self.left = time.monotonic(), TimeLeft()
        self.live = self.console.is_terminal
        columns = (
            TextColumn("[bold]images"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[detail]}"),
            TextColumn("{task.fields[left]}"),
        )
        self.bar = Progress(*columns, console=self.console, disable=not self.live)
        self.task = self.bar.add_task(
            "images", total=images, completed=finished, detail="a first search is compiled", left=""
        )

    def __enter__(self) -> Display:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def step(self, step: Step) -> None:
        """One chunk of a batch is done."""
        share = step.images * (step.stage - 1 + step.step / step.steps) / step.stages
        losses = step.losses[np.isfinite(step.losses)]
        detail = f"stage {step.stage}/{step.stages} step {step.step}/{step.steps}"
        detail += f" loss {losses.mean():.4f}" if losses.size else " no finite loss"
        last = self.finished + step.finished + step.images >= self.images
        over = last and (step.stage, step.step) == (step.stages, step.steps)
        detail += ", scoring" if over else ""
        self._show(self.finished + step.finished + share, detail, forced=over)

    def done(self, images: int = 1) -> None:
        """That many images are finished, well or badly."""
        self.finished += images
        self._show(self.finished, "", forced=self.finished == self.images)

    def say(self, text: str) -> None:
        """Print a line above the bar; line breaks and escape codes of file names become visible."""
        self.console.print(
            printable(text), markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    def _show(self, progress: float, detail: str, *, forced: bool) -> None:
        left = self.left(progress, self.images)
        if self.live:
            self.bar.update(self.task, completed=min(progress, self.images), left=left)
            if detail:
                self.bar.update(self.task, detail=detail)
            return
        now = time.monotonic()
        if now - self.spoken < LINE_EVERY and not forced:
            return
        self.spoken = now
        text = f"images {self.finished}/{self.images} {detail}".rstrip()
        self.say(f"{text}, {left}" if left else text)
        sys.stderr.flush()
