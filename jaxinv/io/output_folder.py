"""Folders for results: what a verb writes there, what it may replace, and who is writing now.

A verb writes only the names of its `Layout`. It may replace them where an earlier run has left its
mark; it never replaces a file that it reads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxinv.specs.vocabulary import ANIMATIONS

LOCK = ".jaxinv.lock"
SEARCHES = ".searches"  # what unfinished searches have reached
EARLIER = "earlier"  # results that were set aside
WORKERS = "workers"  # what several processes have each written, until it is gathered


@dataclass(frozen=True)
class Layout:
    """Names that a verb writes in its folder; one that holds all `marks` is an earlier run's."""

    marks: frozenset[str]
    names: frozenset[str]


RUN = Layout(
    frozenset(("run.json", "results.jsonl")),
    frozenset(
        (
            *("images", "latents", "degraded", "remeasured", "combined"),
            *("samples", "npz", "shards"),
            *("report.html", "report", "status.json", "index.parquet"),
            *(SEARCHES, EARLIER, WORKERS),
        )
    ),
)
STUDY = Layout(
    frozenset(("study.json",)),
    frozenset((
        *("summary.md", "evaluations.png", "seconds.png", "profiles.png", "targets.png"),
        *("slices.png", "distances.png", "curves.jsonl", "finals.jsonl", "slices.jsonl"),
        *("curves.parquet", "finals.parquet", "slices.parquet"),
    )),
)  # fmt: skip
EDITS = Layout(
    frozenset(("edits.json", "edits.jsonl")),
    frozenset(("images", "latents", "strips", "animations")),
)
EXCHANGE = Layout(frozenset(("exchange.json",)), frozenset(("latents",)))
TRAINING = Layout(
    frozenset(("run.json", "checkpoints")),
    frozenset((
        *("log.jsonl", "events", "pictures", "report.html"),
        *("generator.safetensors", "encoder.safetensors"),
    )),
)  # fmt: skip

VIDEO = Layout(
    frozenset(("video.json",)),
    frozenset((
        *("images", "latents", SEARCHES),
        *(f"{name}.{kind}" for name in ("inverted", "edited") for kind in ANIMATIONS),
    )),
)  # fmt: skip
SHAPES = Layout(
    frozenset(("shapes.json", "shapes.jsonl")),
    frozenset(("depths", "normals", "albedos", "meshes", "turned", "relit", "samples")),
)
CLOUDS = Layout(
    frozenset(("clouds.json", "clouds.jsonl")), frozenset(("clouds", "pictures", "latents"))
)


def results_among(names: Iterable[str]) -> frozenset[str]:
    """Those of the names in a folder that earlier runs have written there."""
    held = frozenset(names)
    found = (
        layout.names | layout.marks
        for layout in (RUN, STUDY, EDITS, EXCHANGE, TRAINING, VIDEO, SHAPES, CLOUDS)
        if layout.marks <= held
    )
    return held.intersection(frozenset[str]().union(*found))


@contextlib.contextmanager
def output_folder(
    out: str | Path, layout: Layout, *, inputs: Iterable[str | Path] = (), wait: float = 0.0
) -> Iterator[Path]:
    """Make the folder `out`, and keep other runs from writing there until the block ends.

    Another run may go on there for `wait` seconds.

    Raises:
        ValueError: a file of `inputs` might be replaced (see `check_output`), or another run is
            writing there.
        OSError: the folder cannot be made.
    """
    place = Path(out)
    if not wait:
        check_output(place, layout, inputs)
    place.mkdir(parents=True, exist_ok=True)
    with hold(place, wait):
        if wait:  # another worker may just have begun
            check_output(place, layout, inputs)
        yield place


@contextlib.contextmanager
def hold(place: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder until the block ends; `ValueError` where it is not had in time.

    The kernel holds it: it ends with the process, however that ends.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(place / LOCK, timeout=wait)
    try:
        lock.acquire()
    except Timeout as error:
        raise ValueError(
            f"another run is writing into {place}; wait until it ends, or choose another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(out: str | Path) -> bool:
    """Whether a run is writing into the folder now."""
    from filelock import FileLock, Timeout

    place = Path(out) / LOCK
    if not place.exists():
        return False
    try:
        with FileLock(place, timeout=0):
            return False
    except Timeout:
        return True


def check_output(out: Path, layout: Layout, inputs: Iterable[str | Path]) -> None:
    """Raise `ValueError` where a run might replace what it reads, or what no run has written.

    `inputs` are files and folders; links, other spellings of one place and `..` are seen through.
    """
    if not out.is_dir():
        return
    written = {path.name.casefold() for path in map(Path, layout.names | layout.marks)}
    targets = [path for path in out.iterdir() if path.name.casefold() in written]
    places = {identity for target in targets for identity in _identities_below(target)}
    known: dict[Path, bool] = {}  # of folders, of which there are few
    for path in map(Path, inputs if places else ()):
        if _is_among(path, places, known):
            raise ValueError(
                f"results in {out} might replace {path}, which is read; allowed: another folder"
            )
    workers = layout is RUN and any((out / WORKERS).glob(f"*/{LOCK}"))
    if not (workers or layout.marks <= {path.name for path in targets}):
        strange = [path for path in targets if path.is_file() or _holds_something(path)]
        if strange:
            raise ValueError(
                f"{strange[0]} is there, and no earlier run wrote it; allowed: a new folder, or "
                f"that of an earlier run"
            )


def check_target(target: str | Path, inputs: Iterable[str | Path]) -> None:
    """Raise `ValueError` where the file `target` is one of `inputs` under any name, or a folder."""
    place = Path(target)
    if place.is_dir():
        raise ValueError(f"{place} is a folder; allowed: the name of a file")
    if any(_identity(place) == _identity(Path(path)) is not None for path in inputs):
        raise ValueError(f"{place} is read, and would be replaced; allowed: another file")


def check_folder(place: str | Path) -> None:
    """Raise `ValueError` where the folder for results is a file."""
    if Path(place).exists() and not Path(place).is_dir():
        raise ValueError(f"{place} is a file; allowed: the name of a folder")


def check_own_folder(place: str | Path) -> None:
    """Raise `ValueError` where a folder for pictures is one of a run, or one that a run fills."""
    whole = Path(place).absolute()
    for layout in (RUN, EDITS, SHAPES):
        for folder in (whole, *([whole.parent] if whole.name in layout.names else [])):
            if all((folder / name).exists() for name in layout.marks):
                raise ValueError(f"{place} has the results of a run; allowed: another folder")


def check_free(target: str | Path, *, overwrite: bool) -> None:
    """Raise `ValueError` where the file `target` is there, unless it may be replaced."""
    if not overwrite and Path(target).exists():
        raise ValueError(f"{target} is there; allowed: another name, or --overwrite")


def check_new(target: Path, data: bytes) -> None:
    """Raise `ValueError` where the file `target` is there and holds something else than `data`."""
    if target.is_dir() or (target.is_file() and not _holds(target, data)):
        raise ValueError(
            f"{target} is there and holds something else; allowed: another folder or name, or "
            "--overwrite"
        )


def _holds(file: Path, data: bytes) -> bool:
    return file.stat().st_size == len(data) and file.read_bytes() == data


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is not None


def _is_among(path: Path, places: set[tuple[int, int]], known: dict[Path, bool]) -> bool:
    """Whether what lies at `path`, or a folder above it, is one of `places`.

    Where nothing lies there it may be part of the first thing above that does.
    """
    while (own := _identity(path)) is None and path.parent != path:
        path = path.parent
    if path.is_symlink():
        path = path.resolve()
    if path.parent not in known:
        real = path.parent.resolve()
        known[path.parent] = not places.isdisjoint(map(_identity, (real, *real.parents)))
    return own in places or known[path.parent]


def _identities_below(target: Path) -> Iterator[tuple[int, int]]:
    """Identities of a file, or of a folder and all folders below, links to folders included."""
    waiting, seen = [target], set[tuple[int, int]]()
    while waiting:
        path = waiting.pop()
        identity = _identity(path)
        if identity is None or identity in seen:
            continue
        seen.add(identity)
        yield identity
        if path.is_dir():
            with contextlib.suppress(OSError):
                waiting += [entry for entry in path.iterdir() if entry.is_dir()]


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of what lies there; None where nothing does."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
