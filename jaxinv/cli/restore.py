"""The verbs of restoration: `jaxinv inpaint`, `super-resolve`, `colorize` and others."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from jaxinv.cli.argument_types import number, positive
from jaxinv.cli.invert import add_run, carry_out
from jaxinv.specs.operators import KERNELS, OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.runs.request import Request


def verb_restore(options: argparse.Namespace) -> int:
    """Find pictures from what is left of them."""
    from jaxinv.runs import restoration

    own: dict[str, Callable[[Request], Request]] = {
        "inpaint": lambda request: restoration.inpaint(request, options.mask),
        "super-resolve": lambda r: restoration.super_resolve(r, options.factor, options.kernel),
        "colorize": restoration.colorize,
        "denoise": lambda request: restoration.denoise(request, options.sigma),
        "deblur": lambda r: restoration.deblur(r, options.sigma, options.motion, options.angle),
        "outpaint": lambda request: restoration.outpaint(request, options.border),
        "recover": lambda request: restoration.recover(request, options.operator),
    }
    if options.align is None:
        options.align = restoration.usual_align(options.verb, simulate=options.simulate)
    return carry_out(options, own[options.verb])


# What each verb of restoration does, and what it takes beside what all take.
RESTORATIONS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "inpaint": (
        "fill in what is missing in pictures",
        {
            "--mask": {
                "required": True,
                "metavar": "M",
                "help": (
                    "image as large as the pictures, WHITE WHERE PIXELS ARE MISSING, black "
                    "elsewhere; or a folder with one of the same name for each picture"
                ),
            }
        },
    ),
    "super-resolve": (
        "enlarge pictures by what the generator knows",
        {
            "--factor": {
                "required": True,
                "type": positive,
                "metavar": "K",
                "help": "how many times the side; that must be a side that the generator draws",
            },
            "--kernel": {
                "choices": KERNELS,
                "default": "bicubic",
                "help": "what the small pictures were made with (default: bicubic)",
            },
        },
    ),
    "colorize": ("give grey pictures their colours", {}),
    "denoise": (
        "find pictures without their noise",
        {
            "--sigma": {
                "type": number,
                "metavar": "S",
                "help": (
                    "standard deviation of the noise, where black is -1 and white 1 (default: "
                    "estimated); the search ends once the picture differs by as much"
                ),
            }
        },
    ),
    "deblur": (
        "find pictures without their blur",
        {
            "--sigma": {"type": number, "metavar": "PX", "help": "of a Gaussian blur, in pixels"},
            "--motion": {"type": positive, "metavar": "PX", "help": "length of a motion instead"},
            "--angle": {
                "type": number,
                "default": 0.0,
                "metavar": "DEG",
                "help": "its direction, counter-clockwise from the right (default: 0)",
            },
        },
    ),
    "outpaint": (
        "continue pictures beyond their edges",
        {
            "--border": {
                "type": number,
                "default": 0.25,
                "metavar": "SHARE",
                "help": "added on each side, as a share of the result's side (default: 0.25)",
            }
        },
    ),
    "recover": (
        "find pictures from what an operator has left of them (compressive sensing)",
        {
            "--operator": {
                "required": True,
                "metavar": "SPEC",
                "help": (
                    "such as dense:count=500,seed=1 or fourier:share=0.2 or down:factor=4+gray; "
                    "operators: " + ", ".join(n for n in OPERATORS if n not in ("mask", "compose"))
                ),
            }
        },
    ),
}


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that find a picture from what is left of it."""
    for name, (summary, own) in RESTORATIONS.items():
        verb = verbs.add_parser(
            name,
            help=summary,
            description=(
                f"{summary[0].upper()}{summary[1:]}. The files are taken as they are; with "
                "--simulate they are clean pictures that are degraded first, and the answers are "
                "scored against them."
            ),
        )
        verb.set_defaults(run=verb_restore)
        for option, words in own.items():
            verb.add_argument(option, **words)
        add_run(verb, "restore")
        verb.add_argument(
            "--align",
            metavar="auto|none|LANDMARKS.json",
            help=(
                "cut faces as in invert (default: auto with --simulate, and of inpaint, colorize "
                "and denoise; otherwise none)"
            ),
        )
        verb.add_argument(
            "--simulate", action="store_true", help="the files are clean: degrade them first"
        )
        verb.add_argument(
            "--samples",
            type=positive,
            metavar="N",
            help="keep the N best of at least N starts, in OUT/samples",
        )
