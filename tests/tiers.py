"""Two tiers of tests: `pytest` runs the fast one, `pytest -m slow` the other, `-m ""` both."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_slow(values: Iterable[Any], fast: Collection[Any]) -> list[Any]:
    """Values for `parametrize` (tuples: rows); all but those in `fast` carry the mark `slow`.

    Raises `ValueError` where `fast` is empty or names what is not there, so that a family keeps
    the cases that stand for it.
    """
    values = list(values)
    if not fast or any(one not in values for one in fast):
        raise ValueError(f"fast cases {list(fast)}; allowed: one or more of {values}")
    return [_marked(one, () if one in fast else pytest.mark.slow) for one in values]


def _marked(value: Any, marks: Any) -> Any:
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=marks)
