"""One HTML file about one run: no script, no external resource, readable from disk and on a phone.

Every text that comes from outside (file names above all) is escaped, and a content policy inside
the page forbids everything but its own style and its embedded pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxinv.io.files import atomic_write
from jaxinv.reports.charts import _chart
from jaxinv.reports.columns import Column
from jaxinv.reports.page import definitions, escape, figure, page


@dataclass(frozen=True)
class ReportItem:
    """What the report says about one input file; pictures are whole PNG or JPEG files.

    An item without `reconstruction`, or with a `reason`, is listed among the problems. `losses` is
    [restarts, steps] and may hold non-finite values; they leave gaps in the curve. `captions` are
    those of target and reconstruction, `more` holds further pictures with theirs. `detail` is a
    part of what was written, shown one pixel for one where the page is wide enough.
    """

    name: str
    status: str
    reason: str = ""
    warnings: Sequence[str] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    target: bytes = b""
    reconstruction: bytes = b""
    difference: bytes = b""
    losses: Sequence[Sequence[float]] = ()
    captions: tuple[str, str] = ("target", "reconstruction")
    more: Sequence[tuple[str, bytes]] = ()
    detail: bytes = b""


def write_report(
    path: str | Path,
    run: Mapping[str, object],
    records: Sequence[ReportItem],
    columns: Mapping[str, Column],
    *,
    difference_gain: float | None = None,
) -> None:
    """Write the report of `run` to the file `path`, which appears whole or not at all.

    Arguments and errors are those of `report_html`.

    Raises:
        OSError: the file cannot be written; what was there before is untouched.
    """
    text = report_html(run, records, columns, difference_gain=difference_gain)
    atomic_write(Path(path), lambda file: file.write(text.encode("utf-8")))


def report_html(
    run: Mapping[str, object],
    records: Sequence[ReportItem],
    columns: Mapping[str, Column],
    *,
    difference_gain: float | None = None,
) -> str:
    """Return the report as the text of one HTML page.

    Args:
        run: what was run, shown in its own order: command, preset, generator, date, versions, ...;
            a mapping as a value becomes one line. Mean and worst scores are added below.
        records: one item per input file, in the order in which they are shown.
        columns: how their metrics are called and shown, in the order of the summary; those that
            stand in no column come last, under their own names.
        difference_gain: the factor by which the caller amplified the difference pictures, for
            their caption.

    Raises:
        ValueError: a picture is neither PNG nor JPEG.
    """
    caption = "difference" if difference_gain is None else f"difference × {difference_gain:g}"
    found = {name: Column(name) for item in records for name in item.metrics}
    columns = {name: column for name, column in columns.items() if name in found}
    columns |= {name: column for name, column in found.items() if name not in columns}
    tiles = "".join(_tile(name, column, records) for name, column in columns.items())
    cards = "".join(
        _card(i, item, columns, caption) for i, item in enumerate(records) if _has_card(item)
    )
    body = (
        f"<header><h1>jaxinv report</h1>{_count(records)}"
        f'<div class="tiles">{tiles}</div>{definitions(run)}</header>'
        f"{_problems(records)}<main>{cards}</main>"
    )
    return page("jaxinv report", body)


def _is_problem(item: ReportItem) -> bool:
    return bool(item.reason) or not item.reconstruction


def _has_card(item: ReportItem) -> bool:
    return bool(item.reconstruction or item.target)


def _count(records: Sequence[ReportItem]) -> str:
    inverted = sum(bool(item.reconstruction) for item in records)
    problems = sum(_is_problem(item) for item in records)
    tail = f", {problems} listed under problems" if problems else ", no problems"
    return f'<p class="count">{inverted} of {len(records)} files inverted{tail}</p>'


def _tile(name: str, column: Column, records: Sequence[ReportItem]) -> str:
    """Mean and worst of one metric; NaN and infinity count for neither of them."""
    values = {i: item.metrics[name] for i, item in enumerate(records) if name in item.metrics}
    finite = {i: value for i, value in values.items() if math.isfinite(value)}
    mean = sum(finite.values()) / len(finite) if finite else math.nan
    notes = []
    if finite and column.lower_is_better is not None:
        at = (max if column.lower_is_better else min)(finite, key=finite.__getitem__)
        notes.append(f'<a href="#image-{at}">worst {column.show(finite[at])}</a>')
    if len(finite) < len(values):
        notes.append(f"{len(values) - len(finite)} not finite, left out")
    return (
        f'<div class="tile"><span>mean {escape(column.label)}</span><b>{column.show(mean)}</b>'
        f"<small>{', '.join(notes) or '&nbsp;'}</small></div>"
    )


def _problems(records: Sequence[ReportItem]) -> str:
    cells = (
        (_name_link(i, item), _badge(item), escape(item.reason))
        for i, item in enumerate(records)
        if _is_problem(item)
    )
    rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells)
    if not rows:
        return ""
    head = "<tr><th>file</th><th>status</th><th>reason</th></tr>"
    return f'<section class="card"><h2>Problems</h2><table>{head}{rows}</table></section>'


def _name_link(i: int, item: ReportItem) -> str:
    name = f"<bdi>{escape(item.name)}</bdi>"
    return f'<a href="#image-{i}">{name}</a>' if _has_card(item) else name


def _badge(item: ReportItem) -> str:
    level = "warn" if item.reason or item.warnings else "ok"
    level = level if item.reconstruction else "bad"
    return f'<span class="badge {level}">{escape(item.status)}</span>'


def _card(i: int, item: ReportItem, columns: Mapping[str, Column], difference_caption: str) -> str:
    captioned = (
        (item.target, item.captions[0]),
        (item.reconstruction, item.captions[1]),
        (item.difference, difference_caption),
        *((data, caption) for caption, data in item.more),
    )
    pictures = "".join(figure(data, caption) for data, caption in captioned if data)
    scores = "".join(
        f"<li>{escape(columns[name].label)} <b>{columns[name].show(value)}</b></li>"
        for name, value in item.metrics.items()
    )
    texts = [text for text in (item.reason, *item.warnings) if text]
    notes = "".join(f'<p class="note">{escape(text)}</p>' for text in texts)
    return (
        f'<article class="card" id="image-{i}">'
        f"<h2><bdi>{escape(item.name)}</bdi> {_badge(item)}</h2>"
        f'<ul class="scores">{scores}</ul>{notes}'
        f'<div class="row">{pictures}{_chart(item.losses)}</div>{_detail(item)}</article>'
    )


def _detail(item: ReportItem) -> str:
    if not item.detail:
        return ""
    picture = figure(item.detail, "part of the written picture, pixel for pixel")
    return f'<details class="detail" open><summary>at full size</summary>{picture}</details>'
