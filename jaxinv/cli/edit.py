"""`jaxinv edit`, `paste` and `directions`: inverted pictures changed, and put back."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.cli.argument_types import above_zero, amounts, direction_options, replacing
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.foreign_files import find_direction, read_codes
from jaxinv.cli.weights import ensure, ready_generator

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way

LEARNED = "learned when one of them is first named: "


def verb_edit(options: argparse.Namespace) -> int:
    """Move latents along directions."""
    from jaxinv.runs.edits import IDENTITY_BOUND, EditRequest, run_edits

    if options.recipe:
        return edit_by_recipe(options)
    if not options.directions or not options.amounts:
        options.own.error("the following arguments are required: -d with --amount, or --recipe")
    request = EditRequest(
        places=tuple(options.latents),
        out=options.out,
        directions=tuple(options.directions),
        amounts=steps(options.amounts, len(options.directions)),
        generator=options.generator,
        rows=options.rows,
        conditions=tuple(options.conditions),
        hold=tuple(options.hold),
        keep=options.keep,
        bound=IDENTITY_BOUND if options.bound is None else options.bound,
        mask=options.mask,
        animate=options.animate,
        seconds=options.seconds,
    )
    if request.keep:
        ensure("landmarks", "identity")
    find = partial(find_direction, space=options.space)
    done, failed = run_edits(
        request,
        find,
        read=read_codes,
        ready=ready_generator,
        say=complain,
        overwrite=options.overwrite,
    )
    return say_edited(options.out, done, failed)


def say_edited(out: str, done: int, failed: int) -> int:
    """Say how many pictures were edited; returns the exit code."""
    noun = "picture" if done == 1 else "pictures"
    say(f"{done} {noun} edited, {failed} failed; see {Path(out) / 'images'}")
    return SOME_FAILED if failed else DONE


def edit_by_recipe(options: argparse.Namespace) -> int:
    """Do again what a recipe says."""
    from jaxinv.runs.recipes import run_recipe

    beside = (
        "rows",
        "conditions",
        "hold",
        "keep",
        "bound",
        "mask",
        "animate",
        "directions",
        "amounts",
    )
    given = [name for name in beside if getattr(options, name)]
    if given:
        raise ValueError(f"--recipe with {given[0]}; allowed beside it: -o, -g")
    done, failed = run_recipe(
        options.recipe,
        tuple(options.latents),
        options.out,
        partial(find_direction, space=options.space),
        generator=options.generator,
        read=read_codes,
        ready=ready_generator,
        say=complain,
        overwrite=options.overwrite,
    )
    return say_edited(options.out, done, failed)


def steps(given: list[tuple[float, ...]], count: int) -> tuple[tuple[float, ...], ...]:
    """For every step one amount for each of `count` directions; single ones are the same in all.

    Raises `ValueError` unless there is one amount, or one for each, and ranges are equally long.
    """
    if len(given) not in (1, count):
        raise ValueError(f"{len(given)} amounts for {count} directions; allowed: 1 or {count}")
    spread = given * count if len(given) == 1 else given
    longest = max(map(len, spread))
    if any(len(one) not in (1, longest) for one in spread):
        lengths = ", ".join(str(len(one)) for one in spread)
        raise ValueError(f"amounts in {lengths} steps; allowed: equally many, or a single one")
    every = [one * longest if len(one) == 1 else one for one in spread]
    return tuple(zip(*every, strict=True))


def verb_paste(options: argparse.Namespace) -> int:
    """Put pictures back into their photographs."""
    from jaxinv.io.animations import encode_animation, there_and_back
    from jaxinv.io.output_folder import check_new
    from jaxinv.runs.kept_latents import list_latents
    from jaxinv.runs.pasting import paste_all
    from jaxinv.runs.results import write

    out = Path(options.out)
    pictures, failed = paste_all(
        list_latents(options.results),
        out,
        say,
        complain,
        photos=options.photo,
        border=options.border,
        mask=options.mask,
        overwrite=options.overwrite,
    )
    if options.animate and pictures:
        target = out / f"animation.{options.animate}"
        frames = there_and_back(pictures)
        data = encode_animation(frames, options.animate, seconds=options.seconds)
        if not options.overwrite:
            check_new(target, data)
        write(target, data)
        say(str(target))
    return SOME_FAILED if failed else DONE


def verb_directions(options: argparse.Namespace) -> int:
    """List the kept directions of a generator, or keep, show and write one."""
    from jaxinv.edits.catalogue import CATALOGUE
    from jaxinv.edits.kept import kept_direction, kept_names
    from jaxinv.io.checkpoints import stored_spec
    from jaxinv.metrics.labels import label_attributes
    from jaxinv.models.zoo import ZOO, is_present

    name = options.generator
    for each in [options.export] if options.export else kept_names(name):
        direction = kept_direction(name, each)
        for line in described(direction):
            say(line)
        if options.export and options.out:
            _export(direction, name, options.out, overwrite=options.overwrite)
    if not kept_names(name):
        say(f"no directions are kept for generator {name!r}")
        if name in ZOO and is_present(name) and stored_spec(name).alignment == "ffhq":
            say(LEARNED + ", ".join(CATALOGUE))
        elif labels := label_attributes(name):
            say(LEARNED + ", ".join(labels))
    return DONE


def described(direction: Way) -> list[str]:
    """Lines about a way: where it moves and how far, its effects, and where it is from."""
    from jaxinv.edits.walks import Walk, told_walk

    low, high = direction.usable or (None, None)
    held = None if isinstance(direction, Walk) else direction.rows
    rows = "all rows" if held is None else f"rows {','.join(map(str, held))}"
    rows = told_walk(direction) if isinstance(direction, Walk) else rows
    usable = "not measured" if direction.usable is None else f"{low:g} to {high:g}"
    effects = (f"{name} {value:+.3g}" for name, value in direction.effects.items())
    told = ", ".join(effects) or "not measured"
    unit = f"; 1 is {direction.unit}" if direction.unit else ""
    return [
        f"{direction.name:20} {direction.space} ({rows}), usable {usable}{unit}",
        f"{'':20} effect of 1: {told}",
        *([f"{'':20} from {direction.source}"] if direction.source else []),
    ]


def _export(direction: Way, generator: str, out: str, *, overwrite: bool) -> None:
    import numpy as np

    from jaxinv.edits.directions import Direction
    from jaxinv.edits.published import published_array
    from jaxinv.io.checkpoints import read_metadata, read_spec, weights_file
    from jaxinv.io.files import atomic_write
    from jaxinv.io.output_folder import check_free, check_target

    spec = read_spec(read_metadata(weights_file(generator)))
    if not isinstance(direction, Direction):
        raise ValueError(f"{direction.name!r} is a walk; allowed in .npy files: directions")
    array = published_array(direction, spec)
    check_target(out, [])
    check_free(out, overwrite=overwrite)
    say(str(atomic_write(out, lambda file: np.save(file, array))))


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that edit."""
    edit = verbs.add_parser("edit", help="move inverted pictures along directions")
    edit.set_defaults(run=verb_edit)
    edit.add_argument(
        "latents", nargs="+", metavar="RUN|LATENT", help="results of invert, or files"
    )
    direction_options(
        edit,
        amounts,
        "A|A:B:N",
        direction="a kept direction or walk, a file (with #NUMBER where it holds several), or a "
        "channel of S as s:LAYER:CHANNEL; several combine",
        far="how far, in the direction's units; N steps from A to B; one for all, or one for each",
    )
    edit.add_argument(
        "--recipe", metavar="FILE.json", help="do instead what was done in the studio"
    )
    edit.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    edit.add_argument("-g", "--generator", metavar="NAME", help="default: what the latents say")
    edit.add_argument(
        "--rows", metavar="R", help="rows of w+ that move: 0-3,7, or coarse, middle, fine"
    )
    edit.add_argument(
        "--condition",
        dest="conditions",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="a direction along which nothing may move",
    )
    edit.add_argument(
        "--hold",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="a direction whose score stays on every picture: it is measured, and corrected",
    )
    edit.add_argument(
        "--keep", choices=("identity",), help="shorten amounts until the face stays within --bound"
    )
    edit.add_argument(
        "--bound", type=float, metavar="B", help="distance of identity (default: 0.6)"
    )
    edit.add_argument(
        "--mask",
        metavar="M",
        help="file, or folder of files, that is white where the edit may show",
    )
    edit.add_argument(
        "--space", choices=("z", "w", "w+", "p", "p+", "s"), help="of files that do not say theirs"
    )
    add_animation(edit)
    replacing(edit, "replace what an earlier edit has left there")
    paste = verbs.add_parser("paste", help="put edited pictures back into their photographs")
    paste.set_defaults(run=verb_paste)
    paste.add_argument("results", nargs="+", metavar="RUN", help="results of edit or invert")
    paste.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    paste.add_argument("--photo", metavar="P", help="the photograph, or a folder of photographs")
    paste.add_argument(
        "--border", type=float, default=0.12, metavar="B", help="width of the fade, in sides"
    )
    paste.add_argument(
        "--mask", metavar="M", help="file, or folder of files, that is white where to paste"
    )
    add_animation(paste)
    replacing(paste, "replace pictures that are there")
    listed = verbs.add_parser("directions", help="list the kept directions of a generator")
    listed.set_defaults(run=verb_directions)
    listed.add_argument("-g", "--generator", default="ffhq", metavar="NAME")
    listed.add_argument("--export", metavar="NAME", help="only this one; with -o as an .npy file")
    listed.add_argument("-o", "--out", metavar="FILE.npy", help="for other tools: [1, d], length 1")
    replacing(listed, "replace that file")


def add_animation(verb: argparse.ArgumentParser) -> None:
    """The options of animations."""
    from jaxinv.specs.vocabulary import ANIMATIONS

    verb.add_argument("--animate", choices=ANIMATIONS, help="also write all steps as an animation")
    verb.add_argument("--seconds", type=above_zero, default=3.0, metavar="S", help="its length")
