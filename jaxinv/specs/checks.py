"""Checks of plain values: `ValueError` with the offending value and the allowed ones."""

from __future__ import annotations

import math


def check_choice(what: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ValueError` naming `value` and the `allowed` names unless it is one of them."""
    if value not in allowed:
        raise ValueError(f"unknown {what} {value!r}; allowed: {', '.join(allowed)}")


def check_at_least(what: str, value: float, least: float) -> None:
    """Raise `ValueError` unless `value` is a finite number not below `least`."""
    if not least <= value < math.inf:
        raise ValueError(f"{what} must be at least {least} and finite, got {value}")


def check_whole(what: str, value: float, least: int) -> None:
    """Raise `ValueError` unless `value` is a whole number not below `least`."""
    if not least <= value < math.inf or value != int(value):
        raise ValueError(f"{what} must be a whole number of at least {least}, got {value}")


def check_above(what: str, value: float, bound: float) -> None:
    """Raise `ValueError` unless `value` is a finite number above `bound`."""
    if not bound < value < math.inf:
        raise ValueError(f"{what} must be above {bound} and finite, got {value}")


def check_span(what: str, span: tuple[int, int] | None) -> None:
    """Raise `ValueError` unless `span` is None or (first, last) with 0 <= first < last."""
    if span is not None and not 0 <= span[0] < span[1]:
        raise ValueError(f"{what} must be (first, last) with 0 <= first < last, got {span}")
