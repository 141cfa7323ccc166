"""The scores of finished runs as one markdown table, a row per run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from jaxinv.metrics.table import METRICS
from jaxinv.reports.markdown import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable

SCORES = {name: metric for name, metric in METRICS.items() if metric.measure}
HEADS = [f"{metric.label} mean / worst" for metric in SCORES.values()]
HEAD = ("preset", "evaluations", "ok", *HEADS, "seconds per image")


def table(outs: list[Path]) -> str:
    """Markdown of the runs in the folders `outs`; means are over images with status "ok"."""
    return markdown(HEAD, map(row, outs))


def row(out: Path) -> tuple[str, ...]:
    """One run: its preset, the evaluations of one image, how many are ok, and their scores."""
    text = (out / "results.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    good = [line for line in lines if line["status"] == "ok"]
    count = f"{len(good)} of {len(lines)}"
    if not good:
        return (str(out), "", count, *[""] * (len(HEAD) - 3))
    spent = [mean(line[name] for line in good) for name in ("evaluations", "seconds")]
    return (good[0]["preset"], f"{spent[0]:.0f}", count, *cells(good), f"{spent[1]:.1f}")


def cells(lines: list[dict[str, Any]]) -> Iterable[str]:
    """Mean and worst of every score over those of `lines` that have it."""
    for name, metric in SCORES.items():
        values = [x for line in lines if (x := line.get(name)) is not None and math.isfinite(x)]
        worst = max if metric.lower_is_better else min
        ends = (mean(values), worst(values)) if values else ()
        yield " / ".join(format(value, metric.form) for value in ends)
