"""`jaxinv interpolate`, `mix` and `walk`: pictures between codes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.cli.argument_types import above_zero, positive, replacing
from jaxinv.cli.console import DONE, say
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.weights import ready_generator

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params


def verb_interpolate(options: argparse.Namespace) -> int:
    """Draw what lies between two codes."""
    from jaxinv.edits.blending import interpolate

    drawn_by, ends, facts = prepared(options, [options.first, options.second])
    shares = [i / max(options.steps - 1, 1) for i in range(options.steps)]
    latents = interpolate(
        *drawn_by, (ends[0], ends[1]), shares, space=options.space, way=options.way
    )
    return write_result(options, drawn_by, latents, facts)


def verb_mix(options: argparse.Namespace) -> int:
    """Draw one code with rows of another."""
    import jax
    import numpy as np

    from jaxinv.edits.blending import mix, rows_of
    from jaxinv.edits.walk_paths import mix_channels
    from jaxinv.edits.walks import load_walk

    if options.rows and options.channels:
        raise ValueError("--rows with --channels; allowed: one of them")
    walk = load_walk(options.channels) if options.channels else None
    (gen, params), ends, facts = prepared(options, [options.first, options.second])
    if walk is None:
        mixed = mix(gen, params, ends[0], ends[1], rows_of(options.rows or "fine", gen))
    else:
        mixed = mix_channels(gen, params, (ends[0], ends[1]), walk)
        facts |= {"channels": options.channels}
    latents = jax.tree.map(lambda a: np.asarray(a)[None], mixed)
    return write_result(options, (gen, params), latents, facts)


def verb_walk(options: argparse.Namespace) -> int:
    """Draw a walk through random codes."""
    from jaxinv.edits.blending import walk

    drawn_by, ends, facts = prepared(options, [options.start] if options.start else [])
    latents = walk(
        *drawn_by,
        options.count,
        options.between,
        seed=options.seed,
        psi=options.psi,
        label=options.label,
        start=ends[0] if ends else None,
    )
    return write_result(options, drawn_by, latents, facts)


def prepared(
    options: argparse.Namespace, places: list[str]
) -> tuple[tuple[Generator, Params], list[Latents], dict[str, str]]:
    """The generator of all latents, the latents laid out for it, and what is said of new ones.

    Raises `ValueError` for a place with several latents, and for latents of several generators.
    """
    from jaxinv.runs.kept_latents import Generators, list_latents
    from jaxinv.runs.sequences import check_place_for

    found = []
    for place in places:
        held = list_latents([place], read_codes)
        if len(held) > 1:
            names = ", ".join(str(one.file) for one in held[:4])
            raise ValueError(f"{place} holds {len(held)} latents; allowed: one of {names}")
        found.append(held[0])
    check_place_for(options.out, [one.file for one in found])
    generators = Generators(options.generator, ready_generator)
    name = generators.only_name(found)
    gen, params = generators.load(name)
    facts = {"generator": name, "verb": options.verb, "source": ",".join(places)}
    return (gen, params), [generators.fit(one)[2] for one in found], facts


def write_result(
    options: argparse.Namespace,
    drawn_by: tuple[Generator, Params],
    latents: Latents,
    facts: dict[str, str],
) -> int:
    """Write latents with a leading axis as `--out` asks, and say where."""
    from jaxinv.runs.sequences import write_sequence

    place = write_sequence(
        options.out, drawn_by, latents, facts, seconds=options.seconds, overwrite=options.overwrite
    )
    say(str(Path(place)))
    return DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that draw between codes."""
    between = verbs.add_parser("interpolate", help="draw what lies between two codes")
    between.set_defaults(run=verb_interpolate)
    _ends(between)
    between.add_argument(
        "--steps", type=positive, default=9, metavar="N", help="both ends included"
    )
    between.add_argument("--space", choices=("z", "z+", "w", "w+", "s"), help="of the codes")
    between.add_argument("--way", choices=("lerp", "slerp"), help="default: slerp in z")
    add_result(between)
    mix = verbs.add_parser("mix", help="draw one code with rows of another")
    mix.set_defaults(run=verb_mix)
    _ends(mix)
    mix.add_argument(
        "--rows",
        metavar="R",
        help="rows of the second: 8-17, or coarse, middle, fine, content, style (default: fine)",
    )
    mix.add_argument(
        "--channels",
        metavar="FILE",
        help="channels of the second instead: a region of `discover editing-in-style`",
    )
    add_result(mix)
    walk = verbs.add_parser("walk", help="draw a closed walk through random codes")
    walk.set_defaults(run=verb_walk)
    walk.add_argument("start", nargs="?", metavar="RUN|LATENT", help="where it starts")
    walk.add_argument("-n", "--count", type=positive, default=4, metavar="N", help="random codes")
    walk.add_argument("--between", type=positive, default=8, metavar="F", help="frames to the next")
    walk.add_argument("--seed", type=int, default=0, metavar="S")
    walk.add_argument("--psi", type=float, default=1.0, metavar="P", help="truncation")
    walk.add_argument("--label", type=int, metavar="L", help="class, from 0")
    add_result(walk)


def _ends(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("first", metavar="RUN|LATENT")
    verb.add_argument("second", metavar="RUN|LATENT")


def add_result(verb: argparse.ArgumentParser) -> None:
    """Where pictures in a row go, and what draws them."""
    verb.add_argument(
        "-o", "--out", required=True, metavar="OUT", help=".gif, .webp, .mp4, .png, or a folder"
    )
    verb.add_argument("-g", "--generator", metavar="NAME", help="default: what the latents say")
    verb.add_argument("--seconds", type=above_zero, default=3.0, metavar="S", help="its length")
    replacing(verb, "replace pictures that are there")
