"""`jaxinv drag`: points of inverted pictures dragged to other places."""

from __future__ import annotations

import argparse

from jaxinv.cli.argument_types import above_zero, numbers, positive, replacing
from jaxinv.cli.console import complain
from jaxinv.cli.edit import add_animation, say_edited
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.weights import ensure, ready_generator


def place(text: str) -> tuple[float, float]:
    """A place x,y in px."""
    found = numbers(text)
    if len(found) != 2:
        raise argparse.ArgumentTypeError(f"must be x,y in px, got {text[:40]}")
    return found[0], found[1]


def verb_drag(options: argparse.Namespace) -> int:
    """Drag points of latents' pictures to targets."""
    from jaxinv.runs.drags import DragRequest, run_drags
    from jaxinv.sessions.dragging import RATE, STEPS

    request = DragRequest(
        places=tuple(options.latents),
        out=options.out,
        points=tuple(options.points),
        targets=tuple(options.targets),
        generator=options.generator,
        mask=options.mask,
        steps=options.steps or STEPS,
        rate=options.rate or RATE,
        animate=options.animate,
        seconds=options.seconds,
    )
    ensure("alexnet")
    done, failed = run_drags(
        request, read=read_codes, ready=ready_generator, say=complain, overwrite=options.overwrite
    )
    return say_edited(options.out, done, failed)


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that drags."""
    drag = verbs.add_parser("drag", help="drag points of inverted pictures to other places")
    drag.set_defaults(run=verb_drag)
    drag.add_argument(
        "latents", nargs="+", metavar="RUN|LATENT", help="results of invert or edit, or files"
    )
    drag.add_argument(
        "--from", dest="points", type=place, action="append", required=True, metavar="X,Y",
        help="a point, in px of the full picture from its top left; several may be dragged",
    )  # fmt: skip
    drag.add_argument(
        "--to", dest="targets", type=place, action="append", required=True, metavar="X,Y",
        help="where it is to go, one for each --from",
    )  # fmt: skip
    drag.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    drag.add_argument(
        "--mask", metavar="M", help="file, or folder of files, that is white where it may move"
    )
    drag.add_argument("--steps", type=positive, metavar="N", help="at most (default: 200)")
    drag.add_argument("--rate", type=above_zero, metavar="R", help="of Adam")
    drag.add_argument("-g", "--generator", metavar="NAME", help="default: what the latents say")
    add_animation(drag)
    replacing(drag, "replace what an earlier edit has left there")
