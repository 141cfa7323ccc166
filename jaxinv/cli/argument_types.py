"""Options of the verbs that take many, and their types."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence

from jaxinv.io.text import shortened

LARGEST = 10_000_000  # of counts, sizes and steps
MOST_ROWS = 10_000  # results in one shard: their facts are one header
SIGNED = ("--amount", "--from", "--to")
SHOWN = 40  # characters of a value in what is said about it


def positive(text: str) -> int:
    """A whole number from 1 to `LARGEST`."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {shortened(text, SHOWN)}")
    if value > LARGEST:
        raise argparse.ArgumentTypeError(f"must be at most {LARGEST}, got {shortened(text, SHOWN)}")
    return value


def whole(text: str) -> int:
    """A whole number from 0 to `LARGEST`."""
    return 0 if text == "0" else positive(text)


def seed(text: str) -> int:
    """A whole number of 32 bits: of larger ones, random keys keep a part only."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(
            f"must lie in 0..{2**32 - 1}, got {shortened(text, SHOWN)}"
        )
    return value


def label(text: str) -> int | str:
    """The number of a class, several with commas, "any", or "dataset"."""
    if text in ("dataset", "any"):
        return text
    several = [int(part) for part in text.split(",")]
    return several[0] if len(several) == 1 else ",".join(map(str, several))


def batch_size(text: str) -> int | str:
    """A whole number of at least 1, or "auto"."""
    return text if text == "auto" else positive(text)


def shard_size(text: str) -> int:
    """A whole number from 1 to `MOST_ROWS`."""
    value = positive(text)
    if value > MOST_ROWS:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_ROWS}, got {value}")
    return value


def number(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, got {shortened(text, SHOWN)}")
    return value


def numbers(text: str) -> tuple[float, ...]:
    """Finite numbers with commas between them."""
    return tuple(number(part) for part in text.split(","))


def resource(text: str) -> tuple[str, float]:
    """A name and how much of it: NAME=N."""
    name, _, amount = text.partition("=")
    return name, number(amount)


def joined(arguments: Sequence[str] | None) -> list[str]:
    """The words of a command, with an option of `SIGNED` joined to a number below 0 behind it.

    argparse would take "-3:3:7" for an option.
    """
    words: list[str] = []
    for word in sys.argv[1:] if arguments is None else arguments:
        if words and words[-1] in SIGNED and re.match(r"-[\d.]", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def amounts(text: str) -> tuple[float, ...]:
    """One finite amount, or N of them from A to B, written A:B:N."""
    first, *rest = text.split(":")
    if not rest:
        return (number(first),)
    if len(rest) != 2:
        raise argparse.ArgumentTypeError(f"must be A or A:B:N, got {shortened(text, SHOWN)}")
    low, high, count = number(first), number(rest[0]), positive(rest[1])
    if count == 1:
        return (low,)
    return tuple(low + (high - low) * i / (count - 1) for i in range(count))


def above_zero(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {shortened(text, SHOWN)}")
    return value


def replacing(verb: argparse.ArgumentParser, what: str) -> None:
    """The option `--overwrite`; `what` is its help."""
    verb.add_argument("--overwrite", action="store_true", help=what)


def direction_options(
    verb: argparse.ArgumentParser, amount: Callable, metavar: str, *, direction: str, far: str
) -> None:
    """The options `-d` and `--amount`, each as often as there are directions, with their help."""
    verb.add_argument(
        "-d",
        "--direction",
        dest="directions",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help=direction,
    )
    verb.add_argument(
        "--amount",
        dest="amounts",
        type=amount,
        action="append",
        default=[],
        metavar=metavar,
        help=far,
    )
