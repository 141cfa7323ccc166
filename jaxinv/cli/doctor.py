"""`jaxinv doctor`."""

from __future__ import annotations

import argparse

from jaxinv.cli.console import DONE, UNFINISHED, say


def verb_doctor(options: argparse.Namespace) -> int:
    """Check the installation with a tiny inversion."""
    del options
    from jaxinv.runs.doctor import examine

    lines, healthy = examine()
    for line in lines:
        say(line)
    return DONE if healthy else UNFINISHED


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that examines the installation."""
    verbs.add_parser("doctor", help="check the installation").set_defaults(run=verb_doctor)
