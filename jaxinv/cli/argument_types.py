"""Options of the verbs that take many, and their types."""

from __future__ import annotations

import argparse
import math

from jaxinv.io.text import shortened

LARGEST = 10_000_000  # of counts, sizes and steps
SHOWN = 40  # characters of a value in what is said about it


def positive(text: str) -> int:
    """A whole number from 1 to `LARGEST`."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {shortened(text, SHOWN)}")
    if value > LARGEST:
        raise argparse.ArgumentTypeError(f"must be at most {LARGEST}, got {shortened(text, SHOWN)}")
    return value


def seed(text: str) -> int:
    """A whole number of 32 bits: of larger ones, random keys keep a part only."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(
            f"must lie in 0..{2**32 - 1}, got {shortened(text, SHOWN)}"
        )
    return value


def batch_size(text: str) -> int | str:
    """A whole number of at least 1, or "auto"."""
    return text if text == "auto" else positive(text)


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, got {shortened(text, SHOWN)}")
    return value


def numbers(text: str) -> tuple[float, ...]:
    """Finite numbers with commas between them."""
    return tuple(number(part) for part in text.split(","))
