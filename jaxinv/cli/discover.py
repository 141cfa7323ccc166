"""`jaxinv discover`: directions of a generator, by a method's name."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli.argument_types import positive
from jaxinv.cli.console import DONE, complain, say
from jaxinv.cli.weights import ready_generator

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params


def verb_discover(options: argparse.Namespace) -> int:
    """Find directions and write each as a file."""
    from jaxinv.edits.directions import save_direction
    from jaxinv.edits.discovery.methods import METHODS, discover
    from jaxinv.io.output_folder import check_target
    from jaxinv.specs.checks import check_choice

    if options.list:
        for name, method in METHODS.items():
            needs = {"scores": "--attribute", "edit": "--edit"}.get(method.needs, "")
            say(f"{name:14} {needs:12} {','.join(method.spaces):6} {method.reference}")
        return DONE
    if not options.out and not options.pictures:
        raise ValueError("no place for the result; allowed: -o DIR.safetensors, or --pictures DIR")
    check_choice("method", options.method, tuple(METHODS))
    if options.out and Path(options.out).suffix != ".safetensors":
        raise ValueError(f"-o {options.out}; allowed: a name that ends in .safetensors")
    scores = attribute(options.attribute)
    if options.out:
        check_target(options.out, [f for f in (options.attribute, options.generator) if f])
    samples = len(scores) if hasattr(scores, "__len__") else options.samples
    from jaxinv.models.loading import load_generator

    ready_generator(options.generator)
    gen, params = load_generator(options.generator)
    if options.pictures:
        return _write_pictures(options, gen, params)
    found = discover(
        options.method,
        gen,
        params,
        scores=scores,
        edit=options.edit or "",
        space=options.space,
        samples=samples,
        count=options.count,
        name=options.name or (Path(options.attribute).stem if options.attribute else ""),
        rows=options.rows,
        steps=options.steps,
        seed=options.seed,
        report=complain,
    )
    place = Path(options.out)
    for index, direction in enumerate(found):
        several = len(found) > 1
        target = place.with_stem(f"{place.stem}-{index:02d}") if several else place
        say(str(save_direction(target, direction)))
    return DONE


def attribute(given: str | None) -> Any:
    """What `--attribute` means: scores of a file, or a function that scores pictures by a name.

    Raises `ValueError` for what is neither.
    """
    from jaxinv.edits.discovery.scores import TABLES, read_table
    from jaxinv.metrics.attributes import ATTRIBUTES, attribute_scores
    from jaxinv.specs.checks import check_choice

    if given is None:
        return None
    if Path(given).suffix in TABLES or Path(given).is_file():
        return read_table(given)
    kinds = ", ".join(TABLES)
    check_choice(f"attribute (or table {kinds})", given, tuple(ATTRIBUTES))
    return partial(attribute_scores, given)


def _write_pictures(options: argparse.Namespace, gen: Generator, params: Params) -> int:
    """The samples' pictures, in the order in which a table gives their scores."""
    from jaxinv.edits.discovery.samples import draw_codes, pictures, usual_space
    from jaxinv.io.images import write_images

    space = options.space or usual_space(gen)
    _, latents = draw_codes(gen, params, space, options.samples, options.seed)
    done = 0
    for stack in pictures(gen, params, latents):
        names = [f"{done + i:06d}.png" for i in range(len(stack))]
        write_images(options.pictures, stack / 127.5 - 1.0, names=names, overwrite=True)
        done += len(stack)
    say(f"{done} pictures in {options.pictures}")
    return DONE


def rows(text: str) -> tuple[int, ...]:
    """Rows with commas or a dash: 0,1,4-7."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        found += range(int(first), int(last if dash else first) + 1)
    return tuple(found)


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that finds directions."""
    verb = verbs.add_parser("discover", help="find directions of editing in a generator")
    verb.set_defaults(run=verb_discover)
    verb.add_argument("method", nargs="?", metavar="METHOD", help="see --list")
    verb.add_argument("--list", action="store_true", help="list the methods, and leave")
    verb.add_argument("-g", "--generator", default="ffhq", metavar="GEN")
    verb.add_argument("-o", "--out", metavar="DIR.safetensors")
    verb.add_argument(
        "--attribute",
        metavar="NAME|FILE",
        help="what pictures show, by name; or a .csv, .json or .npy with a score of every sample",
    )
    verb.add_argument("--edit", metavar="NAME", help="what a walk is to do, such as zoom")
    verb.add_argument("--samples", type=positive, default=2000, metavar="N")
    verb.add_argument("--space", choices=("z", "w", "s"), help="default: w, or z without a W")
    verb.add_argument("--count", type=positive, default=1, metavar="K", help="directions to find")
    verb.add_argument("--rows", type=rows, metavar="R", help="of W+, for sefa: 0,1,4-7")
    verb.add_argument("--steps", type=positive, default=1000, metavar="N", help="of training")
    verb.add_argument("--name", metavar="NAME", help="what to call it")
    verb.add_argument("--seed", type=int, default=0, metavar="S")
    verb.add_argument(
        "--pictures",
        metavar="DIR",
        help="write the samples' pictures here instead, to be scored elsewhere",
    )
