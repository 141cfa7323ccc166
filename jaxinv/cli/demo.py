"""`jaxinv demo`: the main job without a download, on what comes with this package."""

from __future__ import annotations

import argparse

from jaxinv.cli import invert
from jaxinv.cli.console import Parser, say

GENERATOR, PRESET = "avatars", "w+"


def verb_demo(options: argparse.Namespace) -> int:
    """Invert the packaged pictures with the packaged generator."""
    from jaxinv.io.checkpoints import PACKAGED

    top = Parser(prog="jaxinv")
    invert.add(top.add_subparsers(dest="verb"))
    pictures = str(PACKAGED / GENERATOR)
    words = ["invert", pictures, "-g", GENERATOR, "-p", PRESET, "--no-scores", "-o", options.out]
    say(f"jaxinv {' '.join(words)}")
    given = top.parse_args(words)
    return given.run(given)


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("demo", help="invert pictures without any download")
    verb.set_defaults(run=verb_demo)
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
