"""One HTML file about one run: no script, no external resource, readable from disk and on a phone.

Every text that comes from outside (file names above all) is escaped, and a content policy inside
the page forbids everything but its own style and its embedded pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.io.files import atomic_write
from jaxinv.reports.charts import _chart
from jaxinv.reports.page import definitions, escape, figure, page
from jaxinv.reports.summary import Spread, Summary, summary

if TYPE_CHECKING:
    from jaxinv.reports.columns import Column
    from jaxinv.reports.items import ReportItem

PER_PAGE = 200  # items on a page, at most
PAGE_BYTES = 12 * 2**20  # about what a page may take, so that it opens at once
NEAR, EVENLY = 4, 20  # pages beside one, and over all, to which it links
FOLDER = "report"  # of the further pages, beside the first


def write_report(
    path: str | Path,
    run: Mapping[str, object],
    records: Sequence[ReportItem],
    columns: Mapping[str, Column],
    *,
    difference_gain: float | None = None,
    per_page: int | None = None,
) -> None:
    """Write the report of `run` to the file `path`, which appears whole or not at all.

    Of more than `per_page` items (None: as many as `PAGE_BYTES` hold, at most `PER_PAGE`) the
    others are on pages in the folder FOLDER beside it; `records` are read one by one. Arguments
    and errors are those of `report_html`.

    Raises:
        OSError: the file cannot be written; what was there before is untouched.
    """
    said, place = summary(records, columns), Path(path)
    if per_page is None:
        mean: int = getattr(records, "mean_bytes", 1)
        per_page = max(min(PER_PAGE, PAGE_BYTES // max(mean, 1)), 1)
    each: int = per_page
    pages = max(-(-len(records) // each), 1)
    for number in reversed(range(pages)):  # the first one last: it stands for the whole
        part = records[number * each : (number + 1) * each]
        text = _page(run, said, part, (number, pages, each), difference_gain)
        file = place if not number else place.parent / FOLDER / _page_name(number)
        atomic_write(file, lambda handle, text=text: handle.write(text.encode("utf-8")))


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
    whole = 0, 1, max(len(records), 1)
    return _page(run, summary(records, columns), records, whole, difference_gain)


def _page(
    run: Mapping[str, object],
    said: Summary,
    part: Sequence[ReportItem],
    place: tuple[int, int, int],
    difference_gain: float | None,
) -> str:
    """One page: `place` is its number from 0, how many there are, and the items on each."""
    number, pages, per_page = place
    caption = "difference" if difference_gain is None else f"difference × {difference_gain:g}"
    cards = "".join(
        _card(i, item, said.columns, caption)
        for i, item in enumerate(part, number * per_page)
        if item.has_card
    )
    links = _links(number, pages)
    if number:
        head = f"<header><h1>jaxinv report</h1>{links}</header>"
    else:
        head = (
            f"<header><h1>jaxinv report</h1>{_count(said)}"
            f'<div class="tiles">{_tiles(said, per_page)}</div>{definitions(run)}</header>'
            f"{_problems(said, per_page)}{links}"
        )
    return page("jaxinv report", f"{head}<main>{cards}</main>{links if number else ''}")


def _page_name(number: int) -> str:
    return f"page-{number + 1}.html"


def _links(number: int, pages: int) -> str:
    """Links to the other pages, none if there are none; the first page lies above the others."""
    if pages == 1:
        return ""

    def link(target: int) -> str:
        if target == number:
            return f"<b>{target + 1}</b>"
        place = "../report.html" if not target else _page_name(target)
        return f'<a href="{place if number else f"{FOLDER}/{place}"}">{target + 1}</a>'

    return f'<p class="count">pages: {" ".join(map(link, _linked(number, pages)))}</p>'


def _linked(number: int, pages: int) -> list[int]:
    """The pages to which one links: those beside it, and some of all others, first and last too."""
    beside = range(max(number - NEAR, 0), min(number + NEAR + 1, pages))
    return sorted({*beside, *range(0, pages, -(-pages // EVENLY)), pages - 1})


def _count(said: Summary) -> str:
    tail = f", {said.problems} listed under problems" if said.problems else ", no problems"
    return f'<p class="count">{said.inverted} of {said.count} files inverted{tail}</p>'


def _place(index: int, per_page: int) -> str:
    """The link from the first page to an item's card."""
    page_number = index // per_page
    return f"{f'{FOLDER}/{_page_name(page_number)}' if page_number else ''}#image-{index}"


def _tiles(said: Summary, per_page: int) -> str:
    """Mean and worst of every metric, in the order of the columns."""
    return "".join(
        _tile(column, said.spreads[name], per_page)
        for name, column in said.columns.items()
        if name in said.spreads
    )


def _tile(column: Column, spread: Spread, per_page: int) -> str:
    """Mean and worst of one metric; NaN and infinity count for neither of them."""
    mean = spread.total / spread.finite if spread.finite else math.nan
    notes = []
    if spread.worst is not None:
        value, index = spread.worst
        notes.append(f'<a href="{_place(index, per_page)}">worst {column.show(value)}</a>')
    if spread.finite < spread.count:
        notes.append(f"{spread.count - spread.finite} not finite, left out")
    return (
        f'<div class="tile"><span>mean {escape(column.label)}</span><b>{column.show(mean)}</b>'
        f"<small>{', '.join(notes) or '&nbsp;'}</small></div>"
    )


def _problems(said: Summary, per_page: int) -> str:
    cells = (
        (_name_link(i, item, per_page), _badge(item), escape(item.reason))
        for i, item in said.listed
    )
    rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells)
    if not rows:
        return ""
    more = said.problems - len(said.listed)
    rest = f"<p>and {more} more, see results.jsonl</p>" if more else ""
    head = "<tr><th>file</th><th>status</th><th>reason</th></tr>"
    return f'<section class="card"><h2>Problems</h2><table>{head}{rows}</table>{rest}</section>'


def _name_link(i: int, item: ReportItem, per_page: int) -> str:
    name = f"<bdi>{escape(item.name)}</bdi>"
    return f'<a href="{_place(i, per_page)}">{name}</a>' if item.has_card else name


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
