"""Folders of edits, read again: how pictures changed, and whether they still show the person."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.io import images
from jaxinv.io.files import BadFile, read_bytes
from jaxinv.metrics.attributes import ATTRIBUTES, attribute_scores
from jaxinv.metrics.identity import identity, measurable
from jaxinv.reports.columns import Column
from jaxinv.specs.checks import check_choice, is_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.runs.finished import FinishedRun

MARKS = ("edits.json", "edits.jsonl")  # what `jaxinv edit` writes
SIDE = 256  # px at which pictures are compared
Values = dict[str, dict[str, dict[str, float]]]  # run, score, content


class Edited(NamedTuple):
    """Scores by run, name and content of a picture; their columns; what could not be used."""

    values: Values
    columns: dict[str, Column]
    problems: list[str]


def measure_edits(
    places: Sequence[str], runs: Sequence[FinishedRun], attributes: Sequence[str] = ()
) -> Edited:
    """How edits changed the pictures of the runs, means over the steps of each.

    Identity is the distance of dlib's descriptors from the run's own picture (where dlib is here);
    of every attribute, the change per unit of the amount, by least squares through no change at 0.
    Without `attributes`, those that are called as a direction is.

    Raises `ValueError` for folders of no edits, unknown attributes, and edits of no run.
    """
    for name in attributes:
        check_choice("attribute", name, tuple(ATTRIBUTES))
    found = Edited(defaultdict(lambda: defaultdict(dict)), {}, [])
    for place in places:
        before = sum(len(of) for scores in found.values.values() for of in scores.values())
        _one_folder(Path(place), runs, attributes, found)
        after = sum(len(of) for scores in found.values.values() for of in scores.values())
        if after == before and not found.problems:
            raise ValueError(
                f"{place} holds no edit of {', '.join(run.label for run in runs)}; allowed: edits "
                "of these runs, with something that can be measured (--attribute NAME)"
            )
    return found


def _one_folder(
    place: Path, runs: Sequence[FinishedRun], attributes: Sequence[str], found: Edited
) -> None:
    if not all((place / name).is_file() for name in MARKS):
        raise ValueError(f"{place} holds no edits; allowed: folders that `jaxinv edit` has written")
    try:
        directions = [
            Path(one).stem for one in json.loads(read_bytes(place / MARKS[0]))["directions"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{place / MARKS[0]} cannot be read ({error!s:.120})") from error
    label = " + ".join(directions)
    asked = attributes or [name for name in directions if name in ATTRIBUTES]
    text = read_bytes(place / MARKS[1]).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            run, content, steps = _line(line, place, runs)
            scores = _measured(run.picture(content), steps, asked)
        except (BadFile, ValueError, OSError) as error:
            found.problems.append(f"{place}, line {number} of {MARKS[1]}: {error}")
            continue
        for name, value in scores.items():
            key = f"{label}: {name}"
            found.columns.setdefault(key, _column(label, name))
            found.values[run.label][key][content] = value


def _column(label: str, name: str) -> Column:
    if name == "identity":
        return Column(f"identity distance after {label}", ".3f", "", True)
    unit = f" {ATTRIBUTES[name].unit}".rstrip()
    return Column(f"{name} per unit of {label}", "+.3g", unit)


def _line(
    text: str, place: Path, runs: Sequence[FinishedRun]
) -> tuple[FinishedRun, str, list[tuple[float, Path]]]:
    """The run and the content that a line edits, and the amount and picture of every step."""
    try:
        line: Any = json.loads(text)
        file, status, amounts, files = (line[k] for k in ("file", "status", "amounts", "files"))
        steps = [float(one[0]) for one in amounts]
        pictures = [place / one for one in files if Path(one).parent.name == "images"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BadFile("no line of edits") from error
    if status != "ok":
        raise BadFile(f"{file}: {status}, {line.get('reason')}")
    if len(steps) != len(pictures) or not all(map(is_number, steps)):
        raise BadFile(f"{file}: {len(steps)} amounts and {len(pictures)} pictures")
    run = _whose(Path(file), runs)
    contents = [c for c, one in run.pictures.items() if one.name == Path(file).stem]
    if not contents:
        raise BadFile(f"{file}: no finished picture of {run.label}")
    return run, contents[0], list(zip(steps, pictures, strict=True))


def _whose(latents: Path, runs: Sequence[FinishedRun]) -> FinishedRun:
    """The run whose latents these are: by place, else by the folder's name if one has it."""
    folder = latents.parent.parent
    same = [run for run in runs if run.folder.resolve() == folder.resolve()]
    named = same or [run for run in runs if run.folder.resolve().name == folder.name]
    if len(named) != 1:
        raise BadFile(f"{latents} is of none of {', '.join(run.label for run in runs)}")
    return named[0]


def _measured(
    before: Path, steps: Sequence[tuple[float, Path]], attributes: Sequence[str]
) -> dict[str, float]:
    start = _read(before)
    moved = [(amount, _read(picture)) for amount, picture in steps if amount]
    scores = {}
    if moved and measurable():
        apart = [identity(start, picture)[0] for _, picture in moved]
        scores["identity"] = float(np.mean(apart))
    amounts = np.array([amount for amount, _ in moved])
    for name in attributes if moved else ():
        base = attribute_scores(name, start)[0]
        changes = np.array([attribute_scores(name, one)[0] - base for _, one in moved])
        scores[name] = float(amounts @ changes / (amounts @ amounts))
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def _read(file: Path) -> np.ndarray:
    """A picture as uint8 [1, SIDE, SIDE, 3]."""
    return images.to_uint8(images.read_photo(file, size=SIDE).pixels)[None]
