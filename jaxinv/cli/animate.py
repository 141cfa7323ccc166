"""`jaxinv animate`: one picture moved as a clip moves."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jaxinv.cli.argument_types import number, positive, seed
from jaxinv.cli.blend import add_result, prepared, write_result
from jaxinv.cli.console import complain
from jaxinv.cli.foreign_files import read_codes

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents


def verb_animate(options: argparse.Namespace) -> int:
    """Draw a picture that moves as the frames of a clip do."""
    from jaxinv.applications.animation import animate, drawn_motion, learn_motion
    from jaxinv.edits.blending import rows_of

    (gen, params), (still,), facts = prepared(options, [options.still])
    rows = rows_of(options.rows, gen) if options.rows else None
    clip = _frames(options, gen, facts["generator"])
    motion = learn_motion(gen, params, clip, components=options.components, rows=rows)
    if options.frames is not None:
        motion = drawn_motion(motion, options.frames, options.seed)
    moved = animate(gen, params, still, motion, amount=options.amount, loop=options.loop)
    facts |= {"source": options.still, "motion": options.motion}
    return write_result(options, (gen, params), moved, facts)


def _frames(options: argparse.Namespace, gen: Generator, drawn_by: str) -> Latents:
    """The codes [T, ...] of a clip's frames in order; those that cannot be read are told.

    Raises `ValueError` for frames of another generator, unless one is named for all.
    """
    import jax
    import numpy as np

    from jaxinv.io.latent_files import fit_latents
    from jaxinv.runs.kept_latents import list_latents
    from jaxinv.specs.vocabulary import LATENT_SPACES

    place, found = options.motion, []
    for one in list_latents([place], read_codes):
        if one.reason:
            complain(f"warning: {one.file}: {one.reason}")
            continue
        theirs = options.generator or one.metadata.get("generator", drawn_by)
        if theirs != drawn_by:
            raise ValueError(
                f"latents of generators {drawn_by} and {theirs}; allowed: of one, or -g"
            )
        fitted = fit_latents(gen.spec, one.latents)
        found.append({n: v for n, v in fitted.items() if n in (*LATENT_SPACES, "label")})
    held = {tuple(sorted(one)) for one in found}
    if len(held) > 1:
        names = " and ".join(", ".join(one) for one in sorted(held))
        raise ValueError(f"frames of {place} hold {names}; allowed: codes in one space")
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found)


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("animate", help="move one picture as a clip moves")
    verb.set_defaults(run=verb_animate)
    verb.add_argument("still", metavar="LATENT|RUN", help="the picture: what invert found of it")
    verb.add_argument(
        "--motion", required=True, metavar="RUN", help="the clip: what `jaxinv video` found of it"
    )
    verb.add_argument(
        "--amount", type=number, default=1.0, metavar="A", help="how strongly (default: 1)"
    )
    verb.add_argument(
        "--components",
        type=positive,
        metavar="K",
        help="principal components of the motion that are kept (default: all)",
    )
    verb.add_argument(
        "--rows", metavar="R", help="rows of W+ that move, as of mix: 8-17 or style (default: all)"
    )
    verb.add_argument(
        "--frames",
        type=positive,
        metavar="N",
        help="draw N frames of new motion like the clip's, instead of the clip's own",
    )
    verb.add_argument("--seed", type=seed, default=0, metavar="S", help="of new motion")
    verb.add_argument(
        "--loop", action="store_true", help="and back, so that the end meets the start"
    )
    add_result(verb)
