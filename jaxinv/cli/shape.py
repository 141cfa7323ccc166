"""`jaxinv shape`: the shape of what a generator has drawn."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxinv.cli.argument_types import above_zero, positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.weights import ready_generator


def verb_shape(options: argparse.Namespace) -> int:
    """Find depth, albedo, light and view of kept latents, and turn and relight them."""
    from jaxinv.applications.shape import Plan
    from jaxinv.runs.shapes import ShapeRequest, run_shapes

    plan = Plan(
        size=options.size,
        stages=options.stages,
        encoder_steps=options.steps,
        shape_steps=options.steps,
        samples=options.samples,
        batch=options.batch,
        radius=options.radius,
        seed=options.seed,
    )
    request = ShapeRequest(
        tuple(options.latents), options.out, options.generator, plan, options.seconds
    )
    done, failed = run_shapes(request, read=read_codes, ready=ready_generator, say=complain)
    say(f"{done} shapes found, {failed} failed; see {Path(options.out)}")
    return SOME_FAILED if failed else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("shape", help="find the shape of what a generator has drawn")
    verb.set_defaults(run=verb_shape)
    verb.add_argument("latents", nargs="+", metavar="RUN|LATENT")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument("-g", "--generator", metavar="NAME", help="default: what the latents say")
    verb.add_argument(
        "--size", type=positive, default=64, metavar="PX", help="side of the maps (default: 64)"
    )
    verb.add_argument(
        "--stages", type=positive, default=4, metavar="N", help="rounds of samples (default: 4)"
    )
    verb.add_argument(
        "--steps", type=positive, default=300, metavar="N", help="of both searches of a round"
    )
    verb.add_argument(
        "--samples", type=positive, default=48, metavar="N", help="pictures drawn in a round"
    )
    verb.add_argument(
        "--batch", type=positive, metavar="N", help="pictures of a step (8; 1 above 64 px)"
    )
    verb.add_argument(
        "--radius",
        type=above_zero,
        default=0.8,
        metavar="R",
        help="of the ellipsoid at the start, in halves of a side",
    )
    verb.add_argument("--seed", type=seed, default=0, metavar="S")
    verb.add_argument(
        "--seconds", type=above_zero, default=3.0, metavar="S", help="of turned/*.gif"
    )
