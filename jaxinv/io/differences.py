"""What differs between two things that are stored as JSON, in short texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jaxinv.io.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST, MOST_SHOWN = 60, 3  # characters of a value; differences that are told


def differences(theirs: Any, ours: Any, where: str = "") -> Iterator[str]:
    """Every place at which they differ: "seed is 0, not 3", the first being `theirs`."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in {**theirs, **ours}:
            place = f"{where}.{name}" if where else str(name)
            yield from differences(theirs.get(name), ours.get(name), place)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif theirs != ours:
        there, here = (shortened(json.dumps(one), LONGEST) for one in (theirs, ours))
        yield f"{where} is {there}, not {here}"


def told(found: list[str]) -> str:
    """The first differences in a line, and how many more there are."""
    more = len(found) - MOST_SHOWN
    return "; ".join(found[:MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
