"""Exit codes, the argument parser, and lines on standard output and error."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn, TextIO

from jaxinv.cli.argument_types import joined
from jaxinv.io.text import printable, printable_lines, shortened

LONGEST = 600  # characters of what is said about one wrong option
DONE, UNFINISHED, USAGE, SOME_FAILED, STOPPED = 0, 1, 2, 3, 4


class Unfinished(Exception):
    """The work could not be done, through no fault of the command; the message is one line."""


class Parser(argparse.ArgumentParser):
    """Wrong usage is a `ValueError` of one line that ends in the allowed options."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As usual, but amounts below 0 are no options."""
        return super().parse_known_args(joined(args), namespace)

    def error(self, message: str) -> NoReturn:
        """Raise `ValueError` instead of printing and leaving."""
        raise ValueError(f"{shortened(message, LONGEST)}; {' '.join(self.format_usage().split())}")


def say(text: str) -> None:
    """Write lines to standard output, whatever it can encode; nothing in them steers a terminal."""
    _write(sys.stdout, printable_lines(text))


def complain(text: str) -> None:
    """Write one line to standard error."""
    _write(sys.stderr, f"jaxinv: {printable(' '.join(text.split()))}")


def _write(stream: TextIO, text: str) -> None:
    coding = stream.encoding or "utf-8"
    stream.write(text.encode(coding, "backslashreplace").decode(coding) + "\n")
