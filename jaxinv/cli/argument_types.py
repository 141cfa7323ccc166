"""Options of the verbs that take many, and their types."""

from __future__ import annotations

import argparse


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
