"""One HTML file about one run: no script, no external resource, readable from disk and on a phone.

Every text that comes from outside (file names above all) is escaped, and a content policy inside
the page forbids everything but its own style and its embedded pictures.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jaxinv.checkpoints import atomic_write


@dataclass(frozen=True)
class ReportItem:
    """What the report says about one input file; pictures are whole PNG or JPEG files.

    An item without `reconstruction`, or with a `reason`, is listed among the problems. `losses` is
    [restarts, steps] and may hold non-finite values; they leave gaps in the curve. `captions` are
    those of target and reconstruction, `more` holds further pictures with theirs.
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


class _Metric(NamedTuple):
    label: str
    unit: str = ""
    form: str = ".4g"
    worst: str = ""  # which extreme is the bad one: "min", "max" or neither


_METRICS = {
    "psnr": _Metric("PSNR", " dB", ".2f", "min"),
    "ssim": _Metric("SSIM", "", ".3f", "min"),
    "lpips_alex": _Metric("LPIPS (Alex)", "", ".3f", "max"),
    "lpips_vgg": _Metric("LPIPS (VGG)", "", ".3f", "max"),
    "identity": _Metric("identity distance", "", ".3f", "max"),
    "psnr_missing": _Metric("PSNR of what was missing", " dB", ".2f", "min"),
    "misfit": _Metric("misfit", "", ".3g", "max"),
    "noise": _Metric("noise", "", ".2g"),
    "loss": _Metric("loss", "", ".4g", "max"),
    "evaluations": _Metric("evaluations", "", ",.0f"),
    "seconds": _Metric("time", " s", ".1f"),
}
_MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}


def write_report(
    path: str | Path,
    run: Mapping[str, object],
    records: Sequence[ReportItem],
    *,
    difference_gain: float | None = None,
) -> None:
    """Write the report of `run` to the file `path`, which appears whole or not at all.

    Arguments and errors are those of `report_html`.

    Raises:
        OSError: the file cannot be written; what was there before is untouched.
    """
    page = report_html(run, records, difference_gain=difference_gain)
    atomic_write(Path(path), lambda file: file.write(page.encode("utf-8")))


def report_html(
    run: Mapping[str, object],
    records: Sequence[ReportItem],
    *,
    difference_gain: float | None = None,
) -> str:
    """Return the report as the text of one HTML page.

    Args:
        run: what was run, shown in its own order: command, preset, generator, date, versions, ...;
            a mapping as a value becomes one line. Mean and worst scores come from `records`.
        records: one item per input file, in the order in which they are shown.
        difference_gain: the factor by which the caller amplified the difference pictures, for
            their caption.

    Raises:
        ValueError: a picture is neither PNG nor JPEG.
    """
    caption = "difference" if difference_gain is None else f"difference × {difference_gain:g}"
    cards = "".join(_card(i, item, caption) for i, item in enumerate(records) if _has_card(item))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>jaxinv report</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>jaxinv report</h1>{_count(records)}{_tiles(records)}{_run_list(run)}</header>"
        f"{_problems(records)}<main>{cards}</main></body></html>\n"
    )


def _text(value: object) -> str:
    """Escape for HTML; invisible characters and bytes that are not UTF-8 become visible codes."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
    return html.escape("".join(shown))


def _figure(name: str, value: float) -> str:
    metric = _METRICS.get(name, _Metric(name))
    if math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:{metric.form}}{metric.unit}"


def _label(name: str) -> str:
    return _text(_METRICS.get(name, _Metric(name)).label)


def _is_problem(item: ReportItem) -> bool:
    return bool(item.reason) or not item.reconstruction


def _has_card(item: ReportItem) -> bool:
    return bool(item.reconstruction or item.target)


def _count(records: Sequence[ReportItem]) -> str:
    inverted = sum(bool(item.reconstruction) for item in records)
    problems = sum(_is_problem(item) for item in records)
    tail = f", {problems} listed under problems" if problems else ", no problems"
    return f'<p class="count">{inverted} of {len(records)} files inverted{tail}</p>'


def _tiles(records: Sequence[ReportItem]) -> str:
    """Mean and worst of every metric: known ones in their usual order, then the others."""
    found = {name: None for item in records for name in item.metrics}
    names = [n for n in _METRICS if n in found] + [n for n in found if n not in _METRICS]
    return f'<div class="tiles">{"".join(_tile(name, records) for name in names)}</div>'


def _tile(name: str, records: Sequence[ReportItem]) -> str:
    """One metric over all items; NaN and infinity count for neither the mean nor the worst."""
    values = {
        i: float(item.metrics[name]) for i, item in enumerate(records) if name in item.metrics
    }
    finite = {i: value for i, value in values.items() if math.isfinite(value)}
    mean = sum(finite.values()) / len(finite) if finite else math.nan
    notes = []
    worst = {"min": min, "max": max}.get(_METRICS.get(name, _Metric(name)).worst)
    if worst and finite:
        at = worst(finite, key=finite.__getitem__)
        notes.append(f'<a href="#image-{at}">worst {_figure(name, finite[at])}</a>')
    if len(finite) < len(values):
        notes.append(f"{len(values) - len(finite)} not finite, left out")
    return (
        f'<div class="tile"><span>mean {_label(name)}</span><b>{_figure(name, mean)}</b>'
        f"<small>{', '.join(notes) or '&nbsp;'}</small></div>"
    )


def _run_list(run: Mapping[str, object]) -> str:
    rows = "".join(f"<dt>{_text(key)}</dt><dd>{_run_value(key, run[key])}</dd>" for key in run)
    return f"<dl>{rows}</dl>" if rows else ""


def _run_value(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_text(k)}&nbsp;{_text(v)}" for k, v in value.items())
    return f"<code>{_text(value)}</code>" if key == "command" else _text(value)


def _problems(records: Sequence[ReportItem]) -> str:
    cells = (
        (_name_link(i, item), _badge(item), _text(item.reason))
        for i, item in enumerate(records)
        if _is_problem(item)
    )
    rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells)
    if not rows:
        return ""
    head = "<tr><th>file</th><th>status</th><th>reason</th></tr>"
    return f'<section class="card"><h2>Problems</h2><table>{head}{rows}</table></section>'


def _name_link(i: int, item: ReportItem) -> str:
    name = f"<bdi>{_text(item.name)}</bdi>"
    return f'<a href="#image-{i}">{name}</a>' if _has_card(item) else name


def _badge(item: ReportItem) -> str:
    level = "warn" if item.reason or item.warnings else "ok"
    level = level if item.reconstruction else "bad"
    return f'<span class="badge {level}">{_text(item.status)}</span>'


def _card(i: int, item: ReportItem, difference_caption: str) -> str:
    captioned = (
        (item.target, item.captions[0]),
        (item.reconstruction, item.captions[1]),
        (item.difference, difference_caption),
        *((data, caption) for caption, data in item.more),
    )
    pictures = "".join(_picture(data, caption) for data, caption in captioned if data)
    figures = ((_label(name), _figure(name, float(item.metrics[name]))) for name in item.metrics)
    scores = "".join(f"<li>{label} <b>{figure}</b></li>" for label, figure in figures)
    texts = [text for text in (item.reason, *item.warnings) if text]
    notes = "".join(f'<p class="note">{_text(text)}</p>' for text in texts)
    return (
        f'<article class="card" id="image-{i}">'
        f"<h2><bdi>{_text(item.name)}</bdi> {_badge(item)}</h2>"
        f'<ul class="scores">{scores}</ul>{notes}'
        f'<div class="row">{pictures}{_chart(item.losses)}</div></article>'
    )


def _picture(data: bytes, caption: str) -> str:
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise ValueError(f"{caption} picture starts with {data[:8]!r}; allowed: PNG, JPEG")
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return (
        f'<figure><img src="{source}" alt="{_text(caption)}" loading="lazy">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


class _Axes(NamedTuple):
    """Maps (evaluation 1..count, loss) to the plot rectangle; the loss is on a log scale."""

    count: int
    low: float
    high: float

    def x(self, evaluation: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (evaluation - 1) / max(self.count - 1, 1)

    def y(self, loss: float) -> float:
        fraction = math.log(loss / self.low) / math.log(self.high / self.low)
        return _BOTTOM - (_BOTTOM - _TOP) * fraction


_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 14, 290, 252
_POINTS = 300  # drawn per curve at most


def _chart(losses: Sequence[Sequence[float]]) -> str:
    """Loss curves, one per restart, as inline SVG; nothing if there is no positive finite loss."""
    curves = [[float(value) for value in curve] for curve in losses]
    drawable = [value for curve in curves for value in curve if _on_log_axis(value)]
    if not drawable:
        return ""
    low, high = min(drawable), max(drawable)
    if high < 1.05 * low:  # a flat curve still needs an axis
        low, high = low / 1.2, high * 1.2
    axes = _Axes(max(map(len, curves)), low, high)
    lines = "".join(
        f'<path class="line c{i % 6}" d="{_path(curve, axes)}"/>' for i, curve in enumerate(curves)
    )
    legend = f"{len(curves)} restarts" if len(curves) > 1 else "loss"
    return (
        f'<figure><svg viewBox="0 0 300 300" role="img" aria-label="loss per evaluation">'
        f"{_loss_ticks(axes)}{_evaluation_ticks(axes)}{lines}</svg>"
        f"<figcaption>{legend}, log scale</figcaption></figure>"
    )


def _on_log_axis(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _path(curve: Sequence[float], axes: _Axes) -> str:
    """SVG path data; a value that cannot be drawn ends the stroke, a lone point becomes a dot."""
    stride = -(-len(curve) // _POINTS)
    shown = sorted({*range(0, len(curve), max(stride, 1)), len(curve) - 1} - {-1})
    parts, pen_down = [], False
    for i in shown:
        if _on_log_axis(curve[i]):
            command = "L" if pen_down else "M"
            point = f"{axes.x(i + 1):.1f} {axes.y(curve[i]):.1f}"
            parts.append(f"{command}{point}" if pen_down else f"{command}{point}h0")
        pen_down = _on_log_axis(curve[i])
    return "".join(parts)


def _loss_ticks(axes: _Axes) -> str:
    grid = "".join(
        f'<path class="grid" d="M{_LEFT} {axes.y(value):.1f}H{_RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{axes.y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in _log_ticks(axes.low, axes.high)
    )
    middle = (_TOP + _BOTTOM) / 2
    place = f'x="12" y="{middle}" transform="rotate(-90 12 {middle})"'
    return f'{grid}<text {place} text-anchor="middle">loss</text>'


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values within [low, high]: powers of ten, else 1-2-5 steps, else the two ends."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps, enough in (((1,), 3), ((1, 2, 5), 2)):
        ticks = [s * 10.0**k for k in decades for s in steps if low <= s * 10.0**k <= high]
        if len(ticks) >= enough:
            return ticks[:: -(-len(ticks) // 7)]
    return [low, high]


def _evaluation_ticks(axes: _Axes) -> str:
    marks = {1: "start", (axes.count + 1) // 2: "middle", axes.count: "end"}
    ticks = "".join(
        f'<text x="{axes.x(n):.1f}" y="{_BOTTOM + 17}" text-anchor="{anchor}">{n}</text>'
        for n, anchor in marks.items()
    )
    frame = f'<path class="axis" d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}"/>'
    middle = (_LEFT + _RIGHT) / 2
    return f'{frame}{ticks}<text x="{middle}" y="292" text-anchor="middle">evaluation</text>'


_STYLE = """
:root { color-scheme: light dark; --bg: #f6f6f4; --card: #fff; --ink: #1d1f21; --soft: #666b70;
  --edge: #dcdcd8; --ok: #1e7a46; --warn: #9a6200; --bad: #b3261e; --c0: #2f6fb4; --c1: #c65f1b;
  --c2: #2b8a57; --c3: #8a4fb0; --c4: #b0405f; --c5: #6b7280 }
@media (prefers-color-scheme: dark) { :root { --bg: #15171a; --card: #1e2125; --ink: #e6e6e3;
  --soft: #9aa0a6; --edge: #34383d; --ok: #6fcf97; --warn: #f0b95a; --bad: #ff8a80; --c0: #7ab3ef;
  --c1: #f2a065; --c2: #75cf9f; --c3: #c79ae6; --c4: #ee8fa9; --c5: #a5abb3 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem; background: var(--bg); color:
  var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans",
  sans-serif }
h1 { margin: 0; font-size: 1.5rem } h2 { margin: 0 0 .4rem; font-size: 1.05rem; overflow-wrap:
  anywhere }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: .15em }
code { font: .92em ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap:
  anywhere }
.count { margin: .1rem 0 1rem; color: var(--soft) }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr))
  }
.tile, .card { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem }
.tile { padding: .7rem .9rem; display: flex; flex-direction: column }
.tile b { font-size: 1.35rem; font-weight: 600; line-height: 1.35 } .tile span, .tile small {
  color: var(--soft) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1.1rem 0 }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.card { margin: 0 0 1rem; padding: 1rem; scroll-margin-top: 1rem }
.card:target { outline: 2px solid var(--c0) }
table { border-collapse: collapse; table-layout: fixed; width: 100% }
th:nth-child(2) { width: 7rem } th { color: var(--soft); font-weight: 500 }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-top: 1px
  solid var(--edge); overflow-wrap: anywhere }
tr:first-child th { border-top: 0; padding-top: 0 }
.badge { font-size: .8rem; font-weight: 500; padding: .05rem .5rem; border-radius: 1rem; border:
  1px solid; white-space: nowrap }
.badge.ok { color: var(--ok) } .badge.warn, .note { color: var(--warn) } .badge.bad { color:
  var(--bad) }
.note { margin: 0 0 .4rem; overflow-wrap: anywhere }
.scores { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: 0 0 .7rem; padding: 0;
  list-style: none; color: var(--soft) }
.scores b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums }
.row { display: grid; gap: .75rem; grid-template-columns: repeat(4, 1fr) }
figure { margin: 0 } img, svg { display: block; width: 100%; height: auto; border-radius: .3rem }
figcaption { color: var(--soft); font-size: .85rem; text-align: center; padding-top: .2rem }
svg text { fill: var(--soft); font-size: 13px } svg .grid { stroke: var(--edge) }
svg .axis { stroke: var(--soft); fill: none }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
.c0 { stroke: var(--c0) } .c1 { stroke: var(--c1) } .c2 { stroke: var(--c2) } .c3 { stroke:
  var(--c3) }
.c4 { stroke: var(--c4) } .c5 { stroke: var(--c5) }
@media (max-width: 44rem) { body { padding: .8rem } .row { grid-template-columns: repeat(6, 1fr) }
  .row figure { grid-column: span 3 } .row figure:nth-child(3) { grid-column: span 2 } .row
  figure:nth-child(4) { grid-column: span 4 } dl { grid-template-columns: 1fr; gap: 0 } dd {
  margin-bottom: .4rem } }
"""
