"""`jaxinv mattes`: figures cut out of their backgrounds, without labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli.argument_types import number, positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.foreign_files import read_codes
from jaxinv.cli.weights import ready_generator

if TYPE_CHECKING:
    from jaxinv.applications.alpha_mattes import MatteNet
    from jaxinv.runs.kept_latents import Generators, Kept

NET = "mattes.safetensors"  # in OUT, what was learned


def verb_mattes(options: argparse.Namespace) -> int:
    """Write the mattes of latents' pictures, and the pictures without what lies behind."""
    from jaxinv.io.output_folder import check_own_folder, check_target
    from jaxinv.runs.kept_latents import Generators, list_latents

    check_own_folder(options.out)
    if (options.net is None) == (options.background is None):
        given = "neither" if options.net is None else "both"
        raise ValueError(f"--net and --background: {given}; allowed: one of them")
    kept, out = list_latents(options.latents, read_codes), Path(options.out)
    check_target(out / NET, [*(one.file for one in kept), *filter(None, [options.net])])
    generators = Generators(options.generator, ready_generator)
    net, failed = _net(options, generators, generators.only_name(kept)), 0
    for one in kept:
        try:
            _cut_out(generators, one, net, out)
        except ValueError as error:
            complain(f"{one.file}: {error}")
            failed += 1
    say(f"{len(kept) - failed} cut out, {failed} failed; see {out}")
    return SOME_FAILED if failed else DONE


def _net(options: argparse.Namespace, generators: Generators, name: str) -> MatteNet:
    """What tells the mattes: read, or learned and kept in OUT."""
    from jaxinv.applications.alpha_mattes import (
        USUAL,
        MatteSettings,
        learn_mattes,
        load_mattes,
        save_mattes,
    )

    if options.net is not None:
        return load_mattes(options.net)[0]
    shares: dict[str, Any] = {
        name: getattr(options, f"least_{name}")
        for name in ("figure", "background")
        if getattr(options, f"least_{name}") is not None
    }
    settings = MatteSettings(**shares)
    gen, params = generators.load(name)
    behind = generators.load(options.background)
    training = USUAL._replace(seed=options.seed, steps=options.steps or USUAL.steps)
    net = learn_mattes(gen, params, behind, settings=settings, training=training)
    place = Path(options.out) / NET
    place.parent.mkdir(parents=True, exist_ok=True)
    say(f"{save_mattes(place, net, name)}: give it as --net to cut out others")
    return net


def _cut_out(generators: Generators, kept: Kept, net: MatteNet, out: Path) -> None:
    """The matte of one sample, and its figure as a PNG that is clear elsewhere."""
    import jax
    import numpy as np

    from jaxinv.applications.alpha_mattes import mattes
    from jaxinv.io.image_ops import to_uint8
    from jaxinv.io.images import encode_png
    from jaxinv.models.rendering import render_uint8
    from jaxinv.runs.results import write

    if kept.reason:
        raise ValueError(kept.reason)
    gen, params, latents = generators.fit(kept)
    one = jax.tree.map(lambda a: np.asarray(a)[None], latents)
    opaque = to_uint8(2 * mattes(gen, params, net, one)[0] - 1)
    cut = np.concatenate([render_uint8(gen, params, latents), opaque[..., None]], axis=-1)
    write(out / "mattes" / f"{kept.name}.png", encode_png(opaque))
    write(out / "figures" / f"{kept.name}.png", encode_png(cut))


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("mattes", help="cut figures out of their backgrounds")
    verb.set_defaults(run=verb_mattes)
    verb.add_argument("latents", nargs="+", metavar="RUN|LATENT", help="what invert found")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument("-g", "--generator", metavar="NAME", help="default: what the latents say")
    verb.add_argument(
        "--background",
        metavar="NAME",
        help="generator of what may lie behind, by which mattes are learned",
    )
    verb.add_argument("--net", metavar="FILE", help="mattes that were learned, instead")
    verb.add_argument("--steps", type=positive, metavar="N", help="of learning (default: 1000)")
    verb.add_argument("--seed", type=seed, default=0, metavar="S", help="of learning")
    for name, usual in (("figure", 0.25), ("background", 0.35)):
        verb.add_argument(
            f"--least-{name}",
            type=number,
            metavar="SHARE",
            help=f"least mean share of pictures that is {name} (default: {usual})",
        )
