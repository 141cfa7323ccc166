"""`jaxinv diffuse` and `swap`: a part of one picture in another."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.invert import add_align, add_run, carry_out
from jaxinv.cli.weights import ensure


def verb_diffuse(options: argparse.Namespace) -> int:
    """Find pictures into which a part of another one has grown."""
    from jaxinv.io.files import check_exists

    for place in (options.paste, options.mask):
        check_exists(place)
    if options.harmonize and options.preset is not None:
        raise ValueError(f"--harmonize with --preset {options.preset}; allowed: one of them")
    options.preset = "harmonize" if options.harmonize else options.preset or options.usual
    images, masks = (f"pasted={options.paste}",), (f"inside={options.mask}",)
    options.mask = None  # of a request: what is missing
    named = {"named_images": images, "named_masks": masks}
    return carry_out(options, lambda request: replace(request, verb="invert", **named))


def verb_swap(options: argparse.Namespace) -> int:
    """Find pictures in which a face has become another person's."""
    from jaxinv.io.files import check_exists

    check_exists(options.identity)
    options.preset = options.preset or options.usual
    ensure("attributes")
    given = (f"identity={options.identity}",)
    done = carry_out(options, lambda request: replace(request, verb="invert", named_images=given))
    return max(done, _paste(options) if options.into else done)


def _paste(options: argparse.Namespace) -> int:
    """Put the faces back into their photographs, in a folder of their own."""
    from jaxinv.runs.kept_latents import list_latents
    from jaxinv.runs.pasting import paste_all

    _, failed = paste_all(list_latents([options.out]), Path(options.into), say, complain)
    return SOME_FAILED if failed else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs."""
    diffuse = verbs.add_parser("diffuse", help="let a part of another picture grow into pictures")
    diffuse.set_defaults(run=verb_diffuse)
    add_run(diffuse, "semantic-diffusion")
    add_align(diffuse)
    diffuse.add_argument(
        "--paste",
        required=True,
        metavar="PLACE",
        help="the other picture, framed as they are: a file, or a folder with one for each",
    )
    diffuse.add_argument(
        "--mask",
        required=True,
        metavar="M",
        help="file, or folder of files, that is WHITE WHERE the other picture counts",
    )
    diffuse.add_argument(
        "--harmonize",
        action="store_true",
        help="keep what is around it too, and make both one (preset harmonize)",
    )
    swap = verbs.add_parser("swap", help="give faces the identity of another")
    swap.set_defaults(run=verb_swap)
    add_run(swap, "face-swap")
    add_align(swap)
    swap.add_argument(
        "--identity",
        required=True,
        metavar="PLACE",
        help="picture of the person: a file, or a folder with one for each",
    )
    swap.add_argument(
        "--into", metavar="DIR", help="also put the faces back into their photographs, there"
    )
