"""`jaxinv status`: how far runs are."""

from __future__ import annotations

import argparse

from jaxinv.cli.console import DONE, say


def verb_status(options: argparse.Namespace) -> int:
    """Tell how far each run is, a line each."""
    from jaxinv.runs.status import read_status, told
    from jaxinv.training.status import is_training, training_status

    for place in options.outs:
        said = training_status(place) if is_training(place) else told(read_status(place))
        say(f"{place}: {said}")
    return DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that tells how far runs are."""
    verb = verbs.add_parser("status", help="how far a run is, and whether it still goes on")
    verb.set_defaults(run=verb_status)
    verb.add_argument("outs", nargs="+", metavar="OUT", help="folders for results, or of trainings")
