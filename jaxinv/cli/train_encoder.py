"""`jaxinv train-encoder`: an encoder of a generator, from its own pictures or from files."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli.argument_types import above_zero, positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.weights import ensure, ready_generator

if TYPE_CHECKING:
    from jaxinv.encoders.objective import Given, Lesson
    from jaxinv.specs import EncoderPreset

SYNTHETIC, REAL = "synthetic", "real"
HELD_SEED = 2**31  # apart from those of training


def verb_train_encoder(options: argparse.Namespace) -> int:
    """Train an encoder."""
    join(options)
    from jaxinv.encoders.lessons import prepare
    from jaxinv.encoders.loading import RUN_FILE, load_encoder
    from jaxinv.encoders.training import encoder_job
    from jaxinv.io.checkpoints import read_metadata, weights_file
    from jaxinv.models.loading import load_generator
    from jaxinv.training.data import batches
    from jaxinv.training.loop import train

    preset, lost = chosen_preset(options)
    if options.stored and options.data != SYNTHETIC:
        raise ValueError(f"--stored with --data {options.data}; allowed: --data {SYNTHETIC}")
    for name in lost:
        complain(f"{name} is left out: pictures of files have no known code")
    before = load_encoder(options.before) if options.before else None
    start = load_encoder(options.start)[1] if options.start else None
    if preset.continues and start is None:
        raise ValueError(
            f"preset {preset.name!r} goes on from one of {preset.continues!r}; allowed: --from RUN "
            f"(`jaxinv train-encoder {preset.continues} -g {options.generator} -o RUN`)"
        )
    generator = trained_generator(options.generator)
    ready_generator(generator)
    if {"alexnet", "vgg16"} & set(preset.nets):
        ensure("lpips")
    gen, params = load_generator(generator)
    sha256 = read_metadata(weights_file(generator)).get("content_sha256", "")
    lesson, given = prepare(gen, params, preset, before=before, generator_sha256=sha256)
    preset = lesson.preset
    sources: list[Any] = []
    if options.data == SYNTHETIC:
        seen, unseen = _drawn(options, lesson, given)
        given_batches = batches(seen, preset.batch, seed=options.seed)
        held = batches(unseen, preset.batch, seed=0, shuffle=False, whole=True)
    else:
        given_batches, held, sources = _of_files(options, lesson)
    job = encoder_job(
        lesson,
        given,
        preset.steps,
        [held[i] for i in range(-(-options.held // preset.batch))],
        generator=generator,
        start=start,
    )

    def problems() -> dict[str, str]:
        return {name: reason for one in sources for name, reason in one.problems.items()}

    train(job, given_batches, _run(options, preset, sha256), complain, problems)
    for name, reason in problems().items():
        complain(f"{name}: {reason}")
    say(str(Path(options.out) / RUN_FILE))
    return SOME_FAILED if problems() else DONE


def join(options: argparse.Namespace) -> None:
    """Meet the other processes, where there are some to train with."""
    if options.engine == "distributed":
        from jaxinv.io.launchers import join_processes
        from jaxinv.training.devices import meet

        complain(str(join_processes()))
        meet()


def add_engine(verb: argparse.ArgumentParser) -> None:
    """Whether other processes take part."""
    verb.add_argument(
        "--engine",
        choices=("local", "distributed"),
        default="local",
        help="distributed: all processes of jax.distributed share each batch (default: local)",
    )


def chosen_preset(options: argparse.Namespace) -> tuple[EncoderPreset, tuple[str, ...]]:
    """The preset with what the command says otherwise, and terms that its pictures cannot have."""
    from jaxinv.encoders.lessons import find_encoder_preset, for_pictures, without_terms

    preset = without_terms(find_encoder_preset(options.preset), options.without)
    kind = SYNTHETIC if options.data == SYNTHETIC else REAL
    preset, lost = for_pictures(preset, kind)
    solver = preset.solver
    if options.rate is not None:
        solver = replace(solver, learning_rate=options.rate)
    steps, batch = options.steps or preset.steps, options.batch or preset.batch
    return replace(preset, solver=solver, steps=steps, batch=batch), lost


def trained_generator(name: str) -> str:
    """The generator's name or file; of the folder of a run that trained one, its file there.

    Raises `ValueError` for a folder without one.
    """
    from jaxinv.training.stylegan2 import FILE

    place = Path(name)
    if not place.is_dir():
        return name
    if not (place / FILE).is_file():
        raise ValueError(f"no {FILE} in the folder {name}; allowed: a run of train-generator")
    return str(place / FILE)


def _drawn(options: argparse.Namespace, lesson: Lesson, given: Given) -> tuple[Any, Any]:
    """Pictures of random codes, and those that are held back: new ones each time, or stored."""
    from jaxinv.encoders.stored import stored_pictures
    from jaxinv.io.output_folder import TRAINING, output_folder
    from jaxinv.training.data import Synthetic

    if options.stored is None:
        return Synthetic(options.seed), Synthetic(HELD_SEED)
    with output_folder(options.out, TRAINING) as folder:
        place = folder / "stored"
        seen, unseen = (
            stored_pictures(lesson, given, count, place / name, seed=number, report=complain)
            for name, count, number in (
                ("seen", options.stored, options.seed),
                ("held", options.held, HELD_SEED),
            )
        )
    return seen, unseen


def _of_files(options: argparse.Namespace, lesson: Lesson) -> tuple[Any, Any, list[Any]]:
    """(batches of training, those that are held back, their sources)."""
    from jaxinv.io.picture_sets import open_set, read_labels
    from jaxinv.specs.picture_sources import MIXED
    from jaxinv.training.data import Joined, Pictures, Synthetic, batches, flip, split

    preset, pictures = lesson.preset, open_set(options.data)
    labels = None
    if lesson.gen.spec.labels or lesson.encoder.spec.output == "label":
        labels = read_labels(pictures, options.labels or None)
    seen, held = split(len(pictures.names))
    sources = [
        Pictures(pictures, lesson.size, indices=part or seen, labels=labels)
        for part in (seen, held)
    ]
    changes = [flip] if preset.source.flip else []
    drawn = preset.source.of_batch(preset.batch) if preset.source.kind == MIXED else 0
    real = preset.batch - drawn
    training = batches(sources[0], real, seed=options.seed, changes=changes)
    held_back = batches(sources[1], real, seed=0, shuffle=False, whole=True)
    if drawn:
        more = batches(Synthetic(options.seed), drawn, seed=options.seed)
        others = batches(Synthetic(HELD_SEED), drawn, seed=0, shuffle=False, whole=True)
        training, held_back = Joined(training, more), Joined(held_back, others)
    return training, held_back, sources


def _run(options: argparse.Namespace, preset: EncoderPreset, sha256: str) -> Any:
    from jaxinv.specs.serialization import plain
    from jaxinv.training.loop import Run

    return Run(
        options.out,
        preset.steps,
        seed=options.seed,
        log_every=options.log_every,
        validate_every=options.validate_every,
        save_every=options.save_every,
        facts={
            "preset": plain(preset, type(preset)),
            "generator_sha256": sha256,
            "data": options.data,
            "labels": options.labels,
            "before": options.before,
            "held": options.held,
            **({"from": options.start} if options.start else {}),
            **({"stored": options.stored} if options.stored else {}),
        },
        notes={"generator": options.generator},
    )


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("train-encoder", help="train an encoder of a generator")
    verb.set_defaults(run=verb_train_encoder)
    verb.add_argument("preset", metavar="PRESET|FILE.json", help="see `jaxinv presets`")
    verb.add_argument("-g", "--generator", default="ffhq", metavar="NAME", help="(default: ffhq)")
    verb.add_argument(
        "-o", "--out", required=True, metavar="RUN", help="a folder; resumed if begun"
    )
    verb.add_argument(
        "--data",
        default=SYNTHETIC,
        metavar="synthetic|DIR|ZIP|TAR",
        help="pictures of random codes (default), or of files",
    )
    verb.add_argument(
        "--stored",
        type=positive,
        metavar="N",
        help="draw so many pictures of random codes once, keep them in RUN and go over them; "
        "default: new ones at every step",
    )
    verb.add_argument("--before", metavar="ENCODER", help="the encoder whose code is corrected")
    verb.add_argument(
        "--from",
        dest="start",
        metavar="ENCODER",
        help="the encoder whose weights this one goes on from",
    )
    verb.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="TERM",
        help="a term to leave out, by its label (embedding-arcface-ir@256)",
    )
    verb.add_argument("--steps", type=positive, metavar="N", help="instead of the preset's")
    verb.add_argument("--batch", type=positive, metavar="B", help="instead of the preset's")
    verb.add_argument("--rate", type=above_zero, metavar="R", help="instead of the preset's")
    verb.add_argument("--seed", type=seed, default=0, metavar="S")
    add_engine(verb)
    verb.add_argument(
        "--labels",
        default="",
        metavar="ATTRIBUTE",
        help="of attributes.jsonl; default: dataset.json, where classes are needed",
    )
    for name, usual, what in (
        ("--held", 32, "pictures that validation sees"),
        ("--log-every", 50, "steps"),
        ("--save-every", 500, "steps"),
        ("--validate-every", 1000, "steps"),
    ):
        verb.add_argument(
            name, type=positive, default=usual, metavar="N", help=f"{what} (default {usual})"
        )
