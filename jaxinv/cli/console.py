"""Exit codes, the argument parser, and lines on standard output and error."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from jaxinv.cli.argument_types import joined

DONE, UNFINISHED, USAGE, SOME_FAILED = 0, 1, 2, 3


class Unfinished(Exception):
    """The work could not be done, through no fault of the command; the message is one line."""


class Parser(argparse.ArgumentParser):
    """Wrong usage is a `ValueError` of one line that ends in the allowed options."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As usual, but amounts below 0 are no options."""
        return super().parse_known_args(joined(args), namespace)

    def error(self, message: str) -> NoReturn:
        """Raise `ValueError` instead of printing and leaving."""
        raise ValueError(f"{message}; {' '.join(self.format_usage().split())}")


def say(text: str) -> None:
    """Write one line to standard output, whatever it can encode."""
    coding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(coding, "backslashreplace").decode(coding) + "\n")


def complain(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"jaxinv: {' '.join(text.split())}\n")
