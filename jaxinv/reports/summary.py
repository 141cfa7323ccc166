"""What the head of a report says of all its items, which are read one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jaxinv.reports.columns import Column
from jaxinv.reports.items import ReportItem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_PROBLEMS = 1000  # that are listed


@dataclass
class Spread:
    """Of one metric: how many items have it, how many finite, their sum, the worst, its index."""

    count: int = 0
    finite: int = 0
    total: float = 0.0
    worst: tuple[float, int] | None = None

    def add(self, value: float, index: int, column: Column) -> None:
        """Count one item; NaN and infinity count neither for the mean nor as the worst."""
        self.count += 1
        if not math.isfinite(value):
            return
        self.finite, self.total = self.finite + 1, self.total + value
        if column.lower_is_better is None:
            return
        behind = self.worst is not None and (value > self.worst[0]) != column.lower_is_better
        if self.worst is None or not (behind or value == self.worst[0]):
            self.worst = value, index


@dataclass
class Summary:
    """What the head of a report says of all items."""

    columns: dict[str, Column]
    count: int = 0
    inverted: int = 0
    problems: int = 0
    listed: list[tuple[int, ReportItem]] = field(default_factory=list[tuple[int, ReportItem]])
    spreads: dict[str, Spread] = field(default_factory=dict[str, Spread])

    def add(self, item: ReportItem) -> None:
        """Count one item."""
        index, self.count = self.count, self.count + 1
        self.inverted += bool(item.reconstruction)
        if item.is_problem:
            self.problems += 1
            if len(self.listed) < MOST_PROBLEMS:
                # Whether it has a card, and what badge, is told by whether it has pictures.
                seen = {"target": item.target[:1], "reconstruction": item.reconstruction[:1]}
                bare = ReportItem(item.name, item.status, item.reason, item.warnings, **seen)
                self.listed.append((index, bare))
        for name, value in item.metrics.items():
            column = self.columns.setdefault(name, Column(name))
            self.spreads.setdefault(name, Spread()).add(value, index, column)


def summary(records: Iterable[ReportItem], columns: Mapping[str, Column]) -> Summary:
    """What is said of all items, read one by one."""
    found = Summary(dict(columns))
    for item in records:
        found.add(item)
    return found
