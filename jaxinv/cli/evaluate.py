"""`jaxinv evaluate` and `jaxinv compare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.cli.console import DONE, SOME_FAILED, complain, say

if TYPE_CHECKING:
    from jaxinv.reports.comparison import Comparison


def verb_evaluate(options: argparse.Namespace) -> int:
    """Scores of finished runs in one table."""
    from jaxinv.runs.evaluation import EvaluationRequest, evaluate

    request = EvaluationRequest(
        tuple(options.runs),
        options.out,
        options.reference,
        options.features,
        tuple(options.edits),
        tuple(options.attributes),
        options.ratings,
        options.seed,
    )
    found = evaluate(request)
    if options.ask is not None:
        write_questions(options.ask, request.runs)
    return finished(found, options.out)


def write_questions(place: str, names: tuple[str, ...]) -> None:
    """Write a page on which people rate the pictures that these runs share."""
    from jaxinv.io.files import read_bytes
    from jaxinv.io.output_folder import check_target
    from jaxinv.reports.ratings import Rated, write_rating_page
    from jaxinv.runs.finished import read_run, shared_content

    check_target(place, names)
    runs = [read_run(name) for name in names]
    pictures = [
        Rated(run.label, run.pictures[content].name, read_bytes(run.picture(content)))
        for content in shared_content(runs)
        for run in runs
    ]
    write_rating_page(place, "How good is this picture?", pictures)


def verb_compare(options: argparse.Namespace) -> int:
    """Differences of finished runs, picture by picture."""
    from jaxinv.runs.evaluation import EvaluationRequest, compare

    request = EvaluationRequest(tuple(options.runs), options.out, seed=options.seed)
    return finished(compare(request), options.out)


def finished(comparison: Comparison, out: str | None) -> int:
    """Print or write a table, and say what was left out of it."""
    from jaxinv.reports.comparison import as_markdown, write_comparison

    for problem in comparison.problems:
        complain(f"warning: {problem}")
    if out is None:
        say(as_markdown(comparison).rstrip())
    else:
        say(f"table: {write_comparison(Path(out), comparison)}")
    return SOME_FAILED if comparison.problems else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that compare finished runs."""
    verb = verbs.add_parser(
        "evaluate",
        help="scores of finished runs in one table",
        description=(
            "Scores of the pictures that all runs share, with bootstrap intervals and paired "
            "differences from the first run; with --edits how their pictures can be edited, with "
            "--reference how far they are from real ones as a set."
        ),
    )
    verb.set_defaults(run=verb_evaluate)
    _common(verb, "one or more folders that invert has written")
    verb.add_argument(
        "--reference", metavar="DIR", help="real pictures, for distances between sets"
    )
    verb.add_argument(
        "--features",
        metavar="NAME|FILE",
        help="net whose features the sets are compared by: alexnet, vgg16, or a converted file",
    )
    verb.add_argument(
        "--edits", nargs="+", default=(), metavar="DIR", help="folders that edit has written"
    )
    verb.add_argument(
        "--attribute",
        dest="attributes",
        action="append",
        default=[],
        metavar="NAME",
        help="what to measure of the edits (default: what is called as the direction)",
    )
    verb.add_argument(
        "--ratings", metavar="FILE", help="CSV or JSON of opinions: rater, picture, method, rating"
    )
    verb.add_argument(
        "--ask", metavar="PAGE.html", help="also write a page that collects such ratings"
    )
    verb = verbs.add_parser(
        "compare",
        help="differences of finished runs, picture by picture",
        description="Differences of all scores from the first run, with bootstrap intervals.",
    )
    verb.set_defaults(run=verb_compare)
    _common(verb, "two or more folders that invert has written; the first is the base")


def _common(verb: argparse.ArgumentParser, runs: str) -> None:
    verb.add_argument("runs", nargs="+", metavar="RUN", help=runs)
    verb.add_argument(
        "-o",
        "--out",
        metavar="TABLE",
        help="file for the table: .csv, .json, .md or .html (default: print it)",
    )
    verb.add_argument("--seed", type=int, default=0, metavar="S", help="of the bootstrap")
