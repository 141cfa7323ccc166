"""Several runs as one table: CSV and JSON to go on with, Markdown and HTML to be read."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.io.files import atomic_write
from jaxinv.reports.markdown import markdown
from jaxinv.reports.page import definitions, escape, figure, page, table

if TYPE_CHECKING:
    from jaxinv.reports.columns import Column, Estimate

FIELDS = (
    "run", "settings", "score", "label", "unit", "mean", "low", "high", "count", "worst",
    "difference", "difference_low", "difference_high", "better", "equal", "worse",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One score of one run: its estimate and worst value; the difference from the first run.

    `counts` are how many pictures are better, equal and worse, where the estimate is a difference.
    """

    estimate: Estimate
    worst: float
    difference: Estimate | None = None
    counts: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Shown:
    """One picture: its file, its scores by run, and JPEG or PNG files with captions."""

    file: str
    scores: Mapping[str, Mapping[str, float]]
    pictures: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All cells by score and run, what the columns are called, and how they came about.

    `runs` are the labels with their settings; with `reference` every number is a difference from
    that run.
    """

    runs: Mapping[str, str]
    columns: Mapping[str, Column]
    cells: Mapping[str, Mapping[str, Cell]]
    protocol: Mapping[str, object]
    problems: tuple[str, ...] = ()
    shown: tuple[Shown, ...] = field(default=())
    reference: str = ""


def check_suffix(path: str | Path) -> None:
    """Raise `ValueError` naming the suffixes that can be written unless `path` has one."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(f"{path}: suffix {suffix!r}; allowed: {', '.join(WRITERS)}")


def write_comparison(path: str | Path, comparison: Comparison) -> Path:
    """Write the table in the format of its suffix; it appears whole or not at all.

    Raises `ValueError` for another suffix, `OSError` where it cannot be written.
    """
    check_suffix(path)
    text = WRITERS[Path(path).suffix.lower()](comparison)
    data = text.encode("utf-8", "backslashreplace")
    return atomic_write(path, lambda file: file.write(data))


def tidy_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One row for each run and score, with the names of `FIELDS`; None where there is no number."""
    for name, column in comparison.columns.items():
        for run, cell in comparison.cells[name].items():
            apart = cell.difference
            counts = cell.counts or (None,) * 3
            numbers = (
                *cell.estimate[:4], cell.worst, *(apart[:3] if apart else (None,) * 3), *counts,
            )  # fmt: skip
            texts = (run, comparison.runs[run], name, column.label, column.unit.strip())
            yield dict(zip(FIELDS, (*texts, *map(_finite, numbers)), strict=True))


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def as_csv(comparison: Comparison) -> str:
    """A row for each run and score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(row.values() for row in tidy_rows(comparison))
    return out.getvalue()


def as_json(comparison: Comparison) -> str:
    """Protocol, problems, the rows of the table, and the scores of every picture that is shown."""
    held = {
        "schema": 1,
        "protocol": dict(comparison.protocol),
        "differences_from": comparison.reference or None,
        "problems": list(comparison.problems),
        "scores": list(tidy_rows(comparison)),
        "pictures": [{"file": row.file, "scores": row.scores} for row in comparison.shown],
    }
    return json.dumps(held, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(comparison: Comparison) -> str:
    """The table, differences from the first run below it, and how they came about."""
    parts = [
        markdown([_plain(cell) for cell in head], [[_plain(c) for c in row] for row in rows])
        for head, rows in _tables(comparison)
    ]
    facts = [f"- {key}: {_fact(value)}" for key, value in comparison.protocol.items()]
    faults = [f"- left out: {problem}" for problem in comparison.problems]
    return "\n\n".join([*parts, "\n".join([*facts, *faults])]) + "\n"


def _plain(cell: str) -> str:
    """A cell that cannot end its column or its line."""
    return " ".join(cell.replace("|", "\\|").split())


def as_html(comparison: Comparison) -> str:
    """A page with the tables, and every picture as all runs found it."""
    tables = "".join(
        f'<section class="card wide">{table(head, rows)}</section>'
        for head, rows in _tables(comparison)
    )
    faults = "".join(f'<p class="note">{escape(problem)}</p>' for problem in comparison.problems)
    cards = "".join(_card(row, comparison) for row in comparison.shown)
    title = "jaxinv compare" if comparison.reference else "jaxinv evaluate"
    body = (
        f"<header><h1>{title}</h1>{definitions(comparison.protocol)}</header>"
        f"{faults}{tables}<main>{cards}</main>"
    )
    return page(title, body, style=_WIDE)


_WIDE = """
.wide { overflow-x: auto } .wide table { table-layout: auto; width: auto } .wide td {
white-space: nowrap } .row { grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)) }
"""


def _tables(comparison: Comparison) -> Iterator[tuple[list[str], list[list[str]]]]:
    columns = comparison.columns
    first = f"minus {comparison.reference}" if comparison.reference else "run"
    head = [first, "settings", *(one.label for one in columns.values())]
    signed = bool(comparison.reference)
    yield (
        head,
        [
            [run, settings, *(_cell(comparison, name, run, signed) for name in columns)]
            for run, settings in comparison.runs.items()
        ],
    )
    apart = [name for name in columns if any(c.difference for c in comparison.cells[name].values())]
    if apart:
        base = next(iter(comparison.runs))
        rows = [
            [run, *(_apart(comparison, name, run) for name in apart)]
            for run in comparison.runs
            if run != base
        ]
        yield [f"minus {base}", *(columns[name].label for name in apart)], rows


def _cell(comparison: Comparison, name: str, run: str, signed: bool) -> str:
    cell = comparison.cells[name].get(run)
    if cell is None:
        return "n/a"
    text = comparison.columns[name].show_estimate(cell.estimate, signed=signed)
    if cell.counts is None:
        return text
    better, equal, worse = cell.counts
    return f"{text}, {better} better, {worse} worse" + (f", {equal} equal" if equal else "")


def _apart(comparison: Comparison, name: str, run: str) -> str:
    cell = comparison.cells[name].get(run)
    if cell is None or cell.difference is None:
        return "n/a"
    return comparison.columns[name].show_estimate(cell.difference, signed=True)


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return str(value)


def _card(row: Shown, comparison: Comparison) -> str:
    names = [name for name in comparison.columns if any(name in s for s in row.scores.values())]
    form = {name: comparison.columns[name] for name in names}
    rows = [
        [run, *(form[name].show(scores.get(name, math.nan)) for name in names)]
        for run, scores in row.scores.items()
    ]
    pictures = "".join(figure(data, caption) for caption, data in row.pictures)
    return (
        f'<article class="card wide"><h2><bdi>{escape(row.file)}</bdi></h2>'
        f'<div class="row">{pictures}</div>'
        f"{table(['run', *(one.label for one in form.values())], rows)}</article>"
    )


WRITERS = {".csv": as_csv, ".json": as_json, ".md": as_markdown, ".html": as_html}
