"""What an earlier run has left in the folder, and whether the same run goes on there."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.files import BadFile, atomic_write, read_bytes
from jaxinv.io.output_folder import EARLIER, RUN
from jaxinv.io.text import json_text, shortened
from jaxinv.runs.results import ImageResult, result_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.runs.manifest import Manifest

RESULTS, MANIFEST = "results.jsonl", "run.json"
# What may change from one start of a run to the next: more files, other places, other batches.
FREE = ("paths", "out", "limit", "batch")
AGREEING = (
    "schema",
    "preset",
    "generator",
    "generator_sha256",
    "nets_sha256",
    "versions",
    "backend",
)
TEXTS = ("file", "name", "status")
MOST_SHOWN, LONGEST = 6, 60  # differences, characters of a value
LARGEST_LINE = 2**20  # bytes


@dataclass(frozen=True)
class Earlier:
    """Lines of results that stay, by the file as the line calls it."""

    lines: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    @property
    def names(self) -> dict[str, str]:
        """The names of their results, by file."""
        return {file: line["name"] for file, line in self.lines.items()}

    @property
    def failed(self) -> int:
        """How many are not "ok"."""
        return sum(line["status"] != "ok" for line in self.lines.values())


def read_earlier(manifest: Manifest, *, retry_failed: bool = False) -> Earlier:
    """What is finished of the same run; nothing where the folder holds no run.

    A file that has changed since, one whose results are gone, and, with `retry_failed`, one that
    failed are not finished. Raises `ValueError`, with the differences, for another run's folder.
    """
    out = manifest.out
    if not all((out / mark).is_file() for mark in RUN.marks):
        return Earlier()
    differences = list(
        differing(_stored(out / MANIFEST), json.loads(json_text(manifest.to_json())))
    )
    if differences:
        shown = "; ".join(differences[:MOST_SHOWN])
        more = len(differences) - MOST_SHOWN
        raise ValueError(
            f"{out} holds another run: {shown}{f'; and {more} more' if more > 0 else ''}; allowed: "
            f"the same, another folder, or --fresh (old results are moved to {EARLIER}/)"
        )
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(out / RESULTS):
        if _finished(out, line) and not (retry_failed and line["status"] != "ok"):
            found[line["file"]] = line
    return Earlier(found)


def differing(theirs: Any, ours: Any, where: str = "") -> Iterator[str]:
    """What differs between two manifests as they are stored, one short text each."""
    if not where:
        for name in AGREEING:
            yield from differing(theirs.get(name), ours.get(name), name)
        asked = [
            {k: v for k, v in one.get("request", {}).items() if k not in FREE}
            for one in (theirs, ours)
        ]
        yield from differing(asked[0], asked[1], "request")
    elif isinstance(theirs, dict) and isinstance(ours, dict):
        for name in {**theirs, **ours}:
            yield from differing(theirs.get(name), ours.get(name), f"{where}.{name}")
    elif theirs != ours:
        there, here = (shortened(json.dumps(one), LONGEST) for one in (theirs, ours))
        yield f"{where.removeprefix('request.')} is {there}, not {here}"


def _stored(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bytes(file))
    except (BadFile, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({shortened(error)}); allowed: --fresh") from error
    if not isinstance(found, dict) or not isinstance(found.get("request"), dict):
        raise ValueError(f"{file} is no manifest of a run; allowed: another folder, or --fresh")
    return found


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole; torn ones are left out."""
    with file.open("rb") as lines:
        for text in lines:
            line: Any = None
            with contextlib.suppress(ValueError):
                line = json.loads(text) if len(text) < LARGEST_LINE else None
            if isinstance(line, dict) and all(isinstance(line.get(k), str) for k in TEXTS):
                yield from [line] if Path(line["name"]).name == line["name"] else []


def _finished(out: Path, line: dict[str, Any]) -> bool:
    """Whether the file is as it was, and its results are there."""
    if line.get("stamp") != stamp(line["file"]):
        return False
    if line["status"] not in ("ok", "diverged"):
        return True
    results = ("images", "png"), ("latents", "safetensors")
    return all((out / folder / f"{line['name']}.{end}").is_file() for folder, end in results)


def stamp(file: str | Path) -> list[int] | None:
    """Size and time of change of a file, by which it is seen to have changed; None without one."""
    try:
        found = Path(file).stat()
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns]


def finished_results(manifest: Manifest, files: set[str]) -> dict[str, ImageResult]:
    """The results of these files, read from their lines."""
    lines = (line for line in _lines(manifest.out / RESULTS) if line["file"] in files)
    return {line["file"]: result_of(line) for line in lines} if files else {}


def rewrite(manifest: Manifest, earlier: Earlier) -> Path:
    """Put down only the lines that stay; returns the file of results, to which more are added."""
    file = manifest.out / RESULTS
    text = "".join(json_text(line) + "\n" for line in earlier.lines.values())
    atomic_write(file, lambda handle: handle.write(text.encode()))
    return file


def set_aside(out: Path) -> None:
    """Move the results of an earlier run to a folder of their own below EARLIER."""
    held = [
        path
        for name in sorted((RUN.names | RUN.marks) - {EARLIER})
        if (path := out / name).exists()
    ]
    if not held:
        return
    number = 1 + max(
        (int(p.name) for p in (out / EARLIER).glob("[0-9]*") if p.name.isdigit()), default=0
    )
    place = out / EARLIER / f"{number:03d}"
    place.mkdir(parents=True)
    for path in held:
        path.rename(place / path.name)
