"""Folders of finished runs, read again: their settings, and the scores of every picture."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.files import BadFile, read_bytes
from jaxinv.io.output_folder import RUN
from jaxinv.metrics.table import METRICS
from jaxinv.runs.results import SEARCH
from jaxinv.specs.checks import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What must be equal for two runs to have looked at the same pictures.
FRAMING = ("align", "fit", "verb", "operator")
# Scores that a line may hold; the loss is each preset's own.
SCORES = {**METRICS, **{name: column for name, column in SEARCH.items() if name != "loss"}}


@dataclass(frozen=True)
class Scored:
    """One picture of a run: its file, the name of its results, its side in px, and its scores."""

    file: str
    name: str
    size: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder as the user named it, what was asked for, and its pictures by content.

    `unfinished` counts the files that the run could not invert; `problems` say which lines are
    broken, and why.
    """

    label: str
    folder: Path
    request: Mapping[str, Any]
    nets: Mapping[str, str]
    pictures: dict[str, Scored] = field(default_factory=dict[str, Scored])
    unfinished: int = 0
    problems: tuple[str, ...] = ()

    @property
    def facts(self) -> str:
        """Preset and generator."""
        return f"{self.request.get('preset')} on {self.request.get('generator')}"

    def picture(self, content: str) -> Path:
        """Where the picture lies that was found for this content."""
        return self.folder / "images" / f"{self.pictures[content].name}.png"


def read_run(place: str) -> FinishedRun:
    """A folder that `jaxinv invert` has written; a line that is broken costs that picture.

    Raises `ValueError` for a folder of no run, and for a run without a usable picture.
    """
    folder = Path(place)
    if not folder.is_dir() or not {path.name for path in folder.iterdir()} >= RUN.marks:
        raise ValueError(f"{place} is no run; allowed: folders that `jaxinv invert` has written")
    manifest = _manifest(folder / "run.json")
    pictures: dict[str, Scored] = {}
    problems, unfinished = [], 0
    text = (folder / "results.jsonl").read_bytes().decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = _line(line)
        except BadFile as error:
            problems.append(f"{place}, line {number} of results.jsonl: {error}")
            continue
        if found is None:
            unfinished += 1
        else:
            pictures.setdefault(*found)
    if not pictures:
        first = f", the first: {problems[0]}" if problems else ""
        raise ValueError(
            f"{place} holds no finished picture ({unfinished} lines of files that failed, "
            f"{len(problems)} broken{first}); allowed: at least 1"
        )
    asked, nets = manifest["request"], manifest["nets_sha256"]
    return FinishedRun(place, folder, asked, nets, pictures, unfinished, tuple(problems))


def _manifest(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bytes(file))
    except ValueError as error:
        raise ValueError(f"{file} cannot be read ({error!s:.120})") from error
    for name in ("request", "nets_sha256"):
        if not isinstance(found, dict) or not isinstance(found.get(name), dict):
            raise ValueError(f"{file} has no {name}; allowed: what `jaxinv invert` has written")
    return found


def _line(text: str) -> tuple[str, Scored] | None:
    """Content and scores of a line of results, None of a file that failed; `BadFile` if broken."""
    try:
        line = json.loads(text)
    except ValueError as error:
        raise BadFile("no JSON") from error
    if not isinstance(line, dict):
        raise BadFile("no object")
    for key in ("file", "name", "status"):
        if not isinstance(line.get(key), str):
            raise BadFile(f"no {key}")
    if line["status"] != "ok":
        return None
    content, size, name = line.get("sha256"), line.get("size"), line["name"]
    if not isinstance(content, str) or type(size) is not int or size < 1:
        raise BadFile(f"{line['file']}: no sha256 or size")
    if not name or Path(name).name != name:
        raise BadFile(f"{line['file']}: name {name!r:.60} is no name of a file")
    scores = {
        name: float(line[name])
        for name in SCORES
        if is_number(line.get(name)) and math.isfinite(line[name])
    }
    return content, Scored(line["file"], name, size, scores)


def shared_content(runs: Sequence[FinishedRun]) -> list[str]:
    """The pictures that all runs share, in the order of the first.

    Raises:
        ValueError: there is none, or the runs cut or scored their pictures in other ways.
    """
    first = runs[0]
    for run in runs[1:]:
        for name in FRAMING:
            ours, theirs = (one.request.get(name) for one in (first, run))
            if ours != theirs:
                raise ValueError(
                    f"{first.label} has {name} {ours!r}, {run.label} {theirs!r}; allowed: equal"
                )
        for net in sorted(first.nets.keys() & run.nets.keys()):
            if first.nets[net] != run.nets[net]:
                raise ValueError(
                    f"{first.label} and {run.label} were scored with other weights of {net}; "
                    "allowed: the same"
                )
    shared = [one for one in first.pictures if all(one in run.pictures for run in runs)]
    if not shared:
        named = ", ".join(f"{run.label} ({len(run.pictures)} pictures)" for run in runs)
        raise ValueError(f"{named} share no picture; allowed: runs over the same files")
    for content in shared:
        sizes = {run.pictures[content].size: run.label for run in runs}
        if len(sizes) > 1:
            told = ", ".join(f"{size} px in {label}" for size, label in sizes.items())
            file = first.pictures[content].file
            raise ValueError(f"{file} was scored at {told}; allowed: one size (--size)")
    return shared
