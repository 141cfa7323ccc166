"""How a number is called and shown, wherever results are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Column:
    """One number of every result: its label, Python's format for it, its unit, which way is better.

    `lower_is_better` is None for numbers that say neither.
    """

    label: str
    form: str = ".4g"
    unit: str = ""
    lower_is_better: bool | None = None

    def show(self, value: float) -> str:
        """The number as text with its unit."""
        if math.isnan(value):
            return "n/a"
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        return f"{value:{self.form}}{self.unit}"

    def show_estimate(self, found: Estimate, *, signed: bool = False) -> str:
        """A mean with its interval, if it has one; with its sign if it is a difference."""
        form = ("+" if signed else "") + self.form.lstrip("+")
        shown = f"{found.mean:{form}}{self.unit}"
        if math.isnan(found.low):
            return shown
        return f"{shown} [{found.low:{form}}, {found.high:{form}}]"


class Estimate(NamedTuple):
    """A mean, the ends of its interval (NaN of a single value), and how many values there are."""

    mean: float
    low: float
    high: float
    count: int
