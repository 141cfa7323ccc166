"""`jaxinv discover`: directions of a generator, by a method's name."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli.argument_types import number, positive, replacing
from jaxinv.cli.console import DONE, complain, say
from jaxinv.cli.weights import ready_generator

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params


TABLE = "samples.csv"  # beside the samples' pictures, for their scores
NEEDS = {
    "scores": "--attribute",
    "edit": "--edit",
    "move": "-d --amount",
    "text": "--text",
    "texts": "--text --neutral",
}


def verb_discover(options: argparse.Namespace) -> int:
    """Find directions, walks or a student, and write each as a file."""
    from jaxinv.edits.blending import rows_of
    from jaxinv.edits.discovery.methods import METHODS, discover
    from jaxinv.io.output_folder import check_free, check_target
    from jaxinv.specs.checks import check_choice

    if options.list:
        for name, method in METHODS.items():
            needs = NEEDS.get(method.needs, "")
            takes = "".join(f" [--{one}]" for one in method.takes)
            say(f"{name:18} {needs + takes:35} {','.join(method.spaces):6} {method.reference}")
        return DONE
    if not options.out and not options.pictures:
        raise ValueError("no place for the result; allowed: -o DIR.safetensors, or --pictures DIR")
    check_choice("method", options.method, tuple(METHODS))
    if options.out and Path(options.out).suffix != ".safetensors":
        raise ValueError(f"-o {options.out}; allowed: a name that ends in .safetensors")
    whose = (options.generator, options.seed)
    scores, kept = attribute(options.attribute, *whose), kept_scores(options.keep, *whose)
    move, text = _checked_move(options), _checked_text(options)
    if options.out:
        read = (options.attribute, options.generator, options.direction, *options.keep)
        check_target(options.out, [f for f in read if f])
        for target in _targets(options):
            check_free(target, overwrite=options.overwrite)
    tables = [one for one in (scores, *kept.values()) if hasattr(one, "__len__")]
    samples = len(tables[0]) if tables else options.samples
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
        keep=kept,
        edit=options.edit or "",
        move=None if move is None else (_found_way(move[0], options, gen, params), move[1]),
        text=text,
        space=options.space,
        samples=samples,
        count=options.count,
        name=options.name or (Path(options.attribute).stem if options.attribute else ""),
        rows=None if options.rows is None else rows_of(options.rows, gen),
        cut=options.cut or "",
        estimator=options.estimator,
        layer=options.layer or "",
        steps=options.steps,
        seed=options.seed,
        report=complain,
    )
    several = len(found) > 1
    for index, one in enumerate(found):
        say(str(_saved(_target(Path(options.out), index if several else None), one)))
    return DONE


def _target(place: Path, index: int | None) -> Path:
    """The file of one result: with its number in its name where there are several."""
    return place if index is None else place.with_stem(f"{place.stem}-{index:02d}")


def _targets(options: argparse.Namespace) -> list[Path]:
    """All files that a search may write: of one result or of several."""
    place = Path(options.out)
    return [place, *(_target(place, i) for i in range(options.count) if options.count > 1)]


def _saved(target: Path, found: Any) -> Path:
    from jaxinv.edits.students import Student, save_student
    from jaxinv.edits.ways import save_way

    return save_student(target, found) if isinstance(found, Student) else save_way(target, found)


def _checked_move(options: argparse.Namespace) -> tuple[str, float] | None:
    """The edit that a student learns; `ValueError` for half of one."""
    given = (options.direction, options.amount)
    if (given[0] is None) != (given[1] is None):
        raise ValueError("a student learns a direction by an amount; allowed: both -d and --amount")
    return None if given[0] is None else given


def _checked_text(options: argparse.Namespace) -> Any:
    """What a text asks for, or None; `ValueError` before any generator is loaded."""
    from jaxinv.edits.discovery.requests import Text
    from jaxinv.models.joint_embedding import clip_embedding

    if options.text is None:
        if options.neutral or options.templates:
            raise ValueError("--neutral and --templates go with --text; allowed: all of them")
        return None
    more: dict[str, Any] = {}
    if options.templates:
        lines = Path(options.templates).read_text("utf-8").splitlines()
        more["templates"] = tuple(one.strip() for one in lines if one.strip())
    settings = {"threshold": options.threshold, "probes": options.probes}
    more |= {name: value for name, value in settings.items() if value is not None}
    found = Text(options.text, options.neutral or "", **more)
    return replace(found, joint=clip_embedding())


def _found_way(text: str, options: argparse.Namespace, gen: Generator, params: Params) -> Any:
    from jaxinv.cli.foreign_files import find_direction

    return find_direction(text, options.generator, gen, params)


def kept_scores(given: list[str], generator: str, seed: int = 0) -> dict[str, Any]:
    """What each `--keep` means, by its name: see `attribute`. `ValueError` for one named twice."""
    found = {
        Path(one).stem if Path(one).suffix else one: attribute(one, generator, seed)
        for one in given
    }
    if len(found) < len(given):
        raise ValueError(f"--keep {', '.join(given)}; allowed: each name once")
    return found


def verb_student(options: argparse.Namespace) -> int:
    """Run a student on pictures."""
    from jaxinv.edits.students import apply_student, load_student
    from jaxinv.io.files import find_images
    from jaxinv.io.images import read_photo, write_images

    found = load_student(options.student)
    for file in find_images(options.pictures):
        photo = read_photo(file, size=options.size, fit=options.fit)
        for note in photo.warnings:
            complain(f"warning: {file}: {note}")
        made = apply_student(found, photo.pixels[None])
        say(str(write_images(options.out, made, names=[file.stem], overwrite=options.overwrite)[0]))
    return DONE


def attribute(given: str | None, generator: str, seed: int = 0) -> Any:
    """What `--attribute` means: scores of a file, or a function that scores pictures by a name.

    Names are those of the labels of the generator's pictures, where a net knows them, before those
    of any pictures. Raises `ValueError` for what is neither, and for a file that scores samples of
    another seed.
    """
    from jaxinv.edits.discovery.scores import TABLES, read_table
    from jaxinv.metrics.attributes import ATTRIBUTES, attribute_scores
    from jaxinv.metrics.labels import label_attributes, label_scores
    from jaxinv.specs.checks import check_choice

    if given is None:
        return None
    if Path(given).suffix in TABLES or Path(given).is_file():
        return read_table(given, seed=seed)
    kinds = ", ".join(TABLES)
    labels = label_attributes(generator)
    check_choice(f"attribute (or table {kinds})", given, tuple({**labels, **ATTRIBUTES}))
    if given in labels:
        return partial(label_scores, generator, given)
    return partial(attribute_scores, given)


def _write_pictures(options: argparse.Namespace, gen: Generator, params: Params) -> int:
    """The samples' pictures, in the order in which a table gives their scores."""
    from jaxinv.edits.discovery.samples import draw_codes, pictures, usual_space
    from jaxinv.io.files import atomic_write
    from jaxinv.io.images import write_images
    from jaxinv.io.output_folder import check_new

    space = options.space or usual_space(gen)
    _, latents = draw_codes(gen, params, space, options.samples, options.seed)
    done = 0
    for stack in pictures(gen, params, latents):
        names = [f"{done + i:06d}.png" for i in range(len(stack))]
        write_images(
            options.pictures, stack / 127.5 - 1.0, names=names, overwrite=options.overwrite
        )
        done += len(stack)
    lines = ["picture,seed", *(f"{i:06d}.png,{options.seed}" for i in range(done))]
    table, data = Path(options.pictures, TABLE), "\n".join([*lines, ""]).encode()
    if not options.overwrite:
        check_new(table, data)
    atomic_write(table, lambda file: file.write(data))
    say(f"{done} pictures in {options.pictures}; add a column of scores to {table}")
    return DONE


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
    verb.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="an attribute that must not move, as --attribute; may be repeated",
    )
    verb.add_argument("--edit", metavar="NAME", help="what a walk is to do, such as zoom")
    verb.add_argument(
        "-d", "--direction", metavar="NAME|FILE", help="what a student learns to do, by --amount"
    )
    verb.add_argument("--amount", type=number, metavar="A", help="of --direction")
    verb.add_argument("--text", metavar="WORDS", help="what pictures shall show, by CLIP")
    verb.add_argument("--neutral", metavar="WORDS", help="what they show anyway, such as 'a face'")
    verb.add_argument(
        "--templates", metavar="FILE", help="sentences in which texts are said, with {}, one a line"
    )
    verb.add_argument(
        "--threshold",
        type=number,
        metavar="B",
        help="of styleclip: the least relevance of a channel that moves (default 0.15)",
    )
    verb.add_argument(
        "--probes",
        type=positive,
        metavar="N",
        help="of styleclip: pictures in which each channel is tried (default 100)",
    )
    verb.add_argument("--cut", metavar="STEP", help="the step whose features are looked at")
    verb.add_argument(
        "--estimator", default="pca", metavar="NAME", help="of ganspace: pca, ica, sparse ..."
    )
    verb.add_argument("--layer", metavar="NAME", help="the array that weights changes")
    verb.add_argument("--samples", type=positive, default=2000, metavar="N")
    verb.add_argument("--space", choices=("z", "w", "s"), help="default: w, or z without a W")
    verb.add_argument("--count", type=positive, default=1, metavar="K", help="directions to find")
    verb.add_argument("--rows", metavar="R", help="of W+, for sefa: 0,1,4-7, or coarse ...")
    verb.add_argument("--steps", type=positive, default=1000, metavar="N", help="of training")
    verb.add_argument("--name", metavar="NAME", help="what to call it")
    verb.add_argument("--seed", type=int, default=0, metavar="S")
    verb.add_argument(
        "--pictures",
        metavar="DIR",
        help="write the samples' pictures here instead, to be scored elsewhere",
    )
    replacing(verb, "replace what an earlier search has left there")
    run = verbs.add_parser("student", help="run a student of an edit on pictures")
    run.set_defaults(run=verb_student)
    run.add_argument("student", metavar="STUDENT", help="what `discover distillation` has written")
    run.add_argument("pictures", nargs="+", metavar="PICTURE", help="files and folders")
    run.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    run.add_argument("--size", type=positive, metavar="N", help="side of the results, in px")
    run.add_argument("--fit", choices=("crop", "pad", "stretch", "refuse"), default="crop")
    replacing(run, "replace pictures that are there")
