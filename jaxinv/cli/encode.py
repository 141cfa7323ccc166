"""`jaxinv encode`: latents of photographs by one look of an encoder."""

from __future__ import annotations

import argparse
from dataclasses import replace

from jaxinv.cli.argument_types import number, positive
from jaxinv.cli.invert import add_align, add_pictures, held_encoder, request_of, run_request
from jaxinv.cli.weights import ready_generator


def verb_encode(options: argparse.Namespace) -> int:
    """Find latents for photographs without a search."""
    from jaxinv.encoders.loading import linked_generator
    from jaxinv.encoders.starts import PREFIX
    from jaxinv.io.face_alignment import check_mode
    from jaxinv.runs.encoding import encode_preset

    check_mode(options.align)
    init = PREFIX + options.encoder
    preset = encode_preset(held_encoder(init))
    generator = options.generator or linked_generator(options.encoder)
    request = replace(request_of(options, preset.name), init=init, generator=generator)
    return run_request(options, request, preset, ready_generator(generator))


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that looks once."""
    verb = verbs.add_parser("encode", help="find the latents of photographs by an encoder")
    verb.set_defaults(run=verb_encode)
    verb.add_argument(
        "-e",
        "--encoder",
        required=True,
        metavar="NAME|FILE|RUN",
        help="a converted encoder, its file, or the folder of the run that trained it",
    )
    verb.add_argument(
        "-g", "--generator", metavar="NAME", help="what draws its codes (default: its own)"
    )
    verb.add_argument(
        "--attribute",
        type=number,
        metavar="A",
        help="0 to 1, for encoders that are told one: of SAM the age / 100",
    )
    verb.add_argument(
        "--passes", type=positive, metavar="N", help="looks, for encoders that see what they drew"
    )
    add_pictures(verb)
    add_align(verb)
