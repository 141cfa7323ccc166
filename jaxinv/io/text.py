"""Text from files, file names and libraries, made safe to show: one function for every output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

LONGEST_NOTE = 200  # characters of one line that a file or a library may cause
MOST_NOTES = 3  # different lines of one file that are shown


def printable(text: object) -> str:
    """The text with every character that could steer a terminal, or is invisible, as its code.

    Line breaks are such characters: what comes from a file stays on its line.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def printable_lines(text: str) -> str:
    """`printable` for text whose own line breaks are meant."""
    return "\n".join(printable(line) for line in text.split("\n"))


def shortened(text: object, longest: int = LONGEST_NOTE) -> str:
    """The text printable and on one line, cut to `longest` characters."""
    line = printable(" ".join(str(text)[: 4 * longest].split()))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def counted(notes: Iterable[str]) -> list[str]:
    """At most `MOST_NOTES` different notes, shortened, and how many others there were."""
    different = list(dict.fromkeys(shortened(note) for note in notes))
    shown, more = different[:MOST_NOTES], len(different) - MOST_NOTES
    return [*shown, f"and {more} more of this kind"] if more > 0 else shown


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON in which nothing can steer a terminal: JSON has its own escapes for that.

    Raises `ValueError` for NaN and infinity.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return re.sub(r"[^\n -~]", _escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]
