"""Loss curves as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


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
