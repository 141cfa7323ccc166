"""Where a process of a run writes what it has done, and how the tables of several become one.

Pictures and latents of all processes lie in one folder; every worker has a line per file, its part
of the report and its status in a folder of its own below WORKERS, with a lock of its own. The last
one to leave gathers them: then the folder is as one process would have left it.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.io.files import atomic_write
from jaxinv.io.output_folder import RUN, WORKERS, hold, is_locked, output_folder
from jaxinv.reports.html import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jaxinv.io.launchers import Share

RESULTS, ITEMS = "results.jsonl", "items.jsonl"
WAIT = 120.0  # seconds for which another process may hold the whole folder: it starts, or gathers
BLOCK = 2**20


@dataclass(frozen=True)
class Tables:
    """The tables of one process: in the folder `out` of the run itself, or in `place` below it."""

    out: Path
    place: Path

    @property
    def shared(self) -> bool:
        """Whether other processes write into the same run."""
        return self.place != self.out

    @property
    def results(self) -> Path:
        """A line for every file."""
        return self.place / RESULTS

    @property
    def items(self) -> Path:
        """A line for every file, with its pictures in the report."""
        return self.place / FOLDER / ITEMS

    @contextlib.contextmanager
    def whole_folder(self) -> Iterator[None]:
        """Keep other workers from starting and from gathering until the block ends."""
        with hold(self.out, WAIT) if self.shared else contextlib.nullcontext():
            yield


@contextlib.contextmanager
def open_tables(out: str, share: Share, inputs: Iterable[Path]) -> Iterator[Tables]:
    """The tables of this process, which no other one writes until the block ends.

    Raises `ValueError` where another process is this worker, where one writes alone or where this
    one is to be alone and is not; otherwise as `output_folder`.
    """
    with output_folder(out, RUN, inputs=inputs, wait=0.0 if share.alone else WAIT) as place:
        if share.alone:
            if others := living(place):
                raise ValueError(
                    f"another run is writing into {others[0]}; wait until it ends, or take part in "
                    f"it as one of its workers"
                )
            yield Tables(place, place)
            return
        tables = Tables(place, place / WORKERS / f"{share.index:05d}")
        tables.place.mkdir(parents=True, exist_ok=True)
        own = contextlib.ExitStack()
        own.enter_context(hold(tables.place))
    with own:
        yield tables


def worker_folders(out: Path) -> list[Path]:
    """The folders of all workers that have written into a run and were not gathered."""
    return sorted(path for path in (out / WORKERS).glob("*") if path.is_dir())


def living(out: Path) -> list[Path]:
    """The folders of workers that are still at it, as far as can be told."""
    from jaxinv.runs.status import seems_alive

    return [path for path in worker_folders(out) if is_locked(path) or seems_alive(path)]


def tables_of(out: Path) -> list[Tables]:
    """All tables in a folder, those of workers first: lines move from them to the run's own."""
    return [Tables(out, place) for place in (*worker_folders(out), out)]


def take_items(tables: Tables) -> None:
    """Add what workers wrote for the report to the run's own file of it."""
    sources = [Tables(tables.out, place).items for place in worker_folders(tables.out)]
    held = [file for file in (*sources, tables.items) if file.is_file()]
    if not [file for file in sources if file.is_file()]:
        return

    def copied(target: object) -> None:
        for file in held:
            with file.open("rb") as source:
                shutil.copyfileobj(source, target, BLOCK)  # pyright: ignore[reportArgumentType]
            target.write(b"\n")  # pyright: ignore[reportAttributeAccessIssue] - a line may be torn

    atomic_write(tables.items, copied)


def forget_workers(out: Path) -> None:
    """Remove the folders of workers, once what they hold stands in the run's own tables."""
    shutil.rmtree(out / WORKERS, ignore_errors=True)
