"""`jaxinv complete`: whole clouds of points, from parts of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxinv.cli.argument_types import positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.weights import ready_generator


def verb_complete(options: argparse.Namespace) -> int:
    """Complete every cloud; one that cannot be used costs that cloud."""
    from jaxinv.runs.clouds import CompletionRequest, run_completions

    request = CompletionRequest(
        tuple(options.clouds),
        options.out,
        options.generator,
        options.preset,
        count=options.count,
        steps=options.steps,
        seed=options.seed,
    )
    spec = ready_generator(options.generator)
    if not spec.points:
        raise ValueError(f"generator {options.generator!r} draws pictures; allowed: one of clouds")
    done, failed = run_completions(request, complain)
    say(f"{done} clouds completed, {failed} failed; see {Path(options.out)}")
    return SOME_FAILED if failed else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("complete", help="complete parts of clouds of points")
    verb.set_defaults(run=verb_complete)
    verb.add_argument("clouds", nargs="+", metavar="CLOUD", help=".ply, .xyz, .txt, .npy, .npz")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument("-g", "--generator", required=True, metavar="NAME", help="one of clouds")
    verb.add_argument("-p", "--preset", default="shapeinversion", metavar="NAME")
    verb.add_argument(
        "-n", "--count", type=positive, default=1, metavar="N", help="different ones of each part"
    )
    verb.add_argument("--steps", type=positive, metavar="N", help="evaluations of a search")
    verb.add_argument("--seed", type=seed, default=0, metavar="S")
