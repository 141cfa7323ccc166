"""Options of the verbs that take many, and their types."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def batch_size(text: str) -> int | str:
    """A whole number of at least 1, or "auto"."""
    return text if text == "auto" else positive(text)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    return tuple(float(part) for part in text.split(","))


def joined(arguments: Sequence[str] | None) -> list[str]:
    """The words of a command, with "--amount" joined to a number below 0 that follows it.

    argparse would take "-3:3:7" for an option.
    """
    words: list[str] = []
    for word in sys.argv[1:] if arguments is None else arguments:
        if words and words[-1] == "--amount" and re.match(r"-[\d.]", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def amounts(text: str) -> tuple[float, ...]:
    """One amount, or N of them from A to B, written A:B:N."""
    first, *rest = text.split(":")
    if not rest:
        return (float(first),)
    if len(rest) != 2:
        raise argparse.ArgumentTypeError(f"must be A or A:B:N, got {text}")
    low, high, count = float(first), float(rest[0]), positive(rest[1])
    if count == 1:
        return (low,)
    return tuple(low + (high - low) * i / (count - 1) for i in range(count))


def above_zero(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0 and finite, got {text}")
    return value
