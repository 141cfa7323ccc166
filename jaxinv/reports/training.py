"""One HTML file about a training run: what it is, curves of its numbers, its last pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxinv.io.files import atomic_write
from jaxinv.reports.page import definitions, escape, figure, page, table

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _POINTS = 300, 190, 62, 160, 10, 300
_STYLE = ".wide img { image-rendering: pixelated }"


def write_training_report(
    path: str | Path,
    facts: Mapping[str, object],
    lines: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, bytes],
    problems: Mapping[str, str],
) -> None:
    """Write the report of a run: its facts, the lines of its log, PNG files by name, bad files.

    Lines are numbers by name with "step". The file appears whole or not at all. Raises `ValueError`
    for a picture that is neither PNG nor JPEG, `OSError` if the file cannot be written.
    """
    names = sorted({name for line in lines for name in line} - {"step"})
    curves = "".join(
        _curve(name, [(x["step"], x[name]) for x in lines if name in x]) for name in names
    )
    shown = "".join(figure(data, name) for name, data in pictures.items())
    bad = table(("file", "reason"), problems.items()) if problems else ""
    count = f"<h2>{len(problems)} files could not be used</h2>" if problems else ""
    body = (
        f"<header><h1>jaxinv training</h1>{definitions(facts)}</header><main>"
        f'<section class="card"><div class="row">{curves}</div></section>'
        f'<section class="card wide">{shown}</section>'
        f"{f'<section class=card>{count}{bad}</section>' if bad else ''}</main>"
    )
    text = page("jaxinv training", body, style=_STYLE)
    atomic_write(path, lambda file: file.write(text.encode("utf-8")))


def _curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    """One number by step, as inline SVG with linear axes."""
    stride = -(-len(points) // _POINTS)
    points = sorted({*points[::stride], points[-1]})
    low, high = (f(y for _, y in points) for f in (min, max))
    last, span = max(points[-1][0], 1), (high - low) or 1.0

    def x(step: float) -> float:
        return _LEFT + (_WIDTH - 10 - _LEFT) * step / last

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - low) / span

    line = "".join(f"{'L' if i else 'M'}{x(s):.1f} {y(v):.1f}" for i, (s, v) in enumerate(points))
    ticks = "".join(
        f'<path class="grid" d="M{_LEFT} {y(v):.1f}H{_WIDTH - 10}"/>'
        f'<text x="{_LEFT - 5}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>'
        for v in sorted({low, high})
    )
    end = f'<text x="{_WIDTH - 10}" y="{_BOTTOM + 17}" text-anchor="end">{last:.0f} steps</text>'
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(name)}">'
        f'{ticks}{end}<path class="line c0" d="{line}h0"/></svg>'
        f"<figcaption>{escape(name)} {points[-1][1]:.4g}</figcaption></figure>"
    )
