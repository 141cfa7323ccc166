"""`jaxinv train-generator`: networks from pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli import train_encoder
from jaxinv.cli.argument_types import number, positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.specs.vocabulary import PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.types import Params

ARCHITECTURES = ("stylegan2",)


def verb_train_generator(options: argparse.Namespace) -> int:
    """Train a generator and its discriminator."""
    train_encoder.join(options)
    from jaxinv.io.picture_sets import open_set, read_labels
    from jaxinv.models.weights import use_compilation_cache
    from jaxinv.specs.checks import check_choice
    from jaxinv.training.data import Pictures, batches, flip, random_crop, split
    from jaxinv.training.gan import GanSettings, gan_job
    from jaxinv.training.loop import Run, train
    from jaxinv.training.stylegan2 import FILE, growth, small_stylegan2

    use_compilation_cache()
    check_choice("architecture", options.architecture, ARCHITECTURES)
    settings = GanSettings(
        batch=options.batch,
        parts=options.parts,
        rate=options.rate,
        gamma=options.gamma,
        half_life=options.batch * 10_000 / 32,
        mixing=options.mixing,
        path=options.path,
        dtype=options.dtype,
        augment=options.augment,
    )
    pictures = open_set(options.data)
    labels = read_labels(pictures, options.labels or None) if options.labels is not None else None
    spec = small_stylegan2(
        options.name or Path(options.out).resolve().name,
        options.size,
        options.widths,
        latent=options.latent,
        mapping=options.mapping,
        labels=0 if labels is None else labels.shape[1],
    )
    seen, held = split(len(pictures.names))
    sources = [
        Pictures(pictures, options.size, indices=part, labels=labels, crop=crop)
        for part, crop in ((seen, options.crop), (held, "centre"))
    ]
    changes: list[Any] = [random_crop] if options.crop == "random" else []
    changes += [flip] if options.flip else []
    run = Run(
        options.out,
        options.steps or -(-options.kimg * 1000 // options.batch),
        seed=options.seed,
        log_every=options.log_every,
        validate_every=options.validate_every,
        save_every=options.save_every,
        facts=_facts(options, spec, settings, len(seen)),
        notes={"data": options.data},
    )
    start = _start(options.grow)
    for line in [] if start is None else growth(spec, start):
        complain(line)
    job = gan_job(spec, settings, _stack(sources[1]), start)
    given = batches(sources[0], options.batch, seed=options.seed, changes=changes)

    def problems() -> dict[str, str]:
        return {**sources[0].problems, **sources[1].problems}

    train(job, given, run, complain, problems)
    for name, reason in problems().items():
        complain(f"{name}: {reason}")
    say(str(Path(options.out) / FILE))
    return SOME_FAILED if problems() else DONE


def _stack(source: Any) -> Any:
    import numpy as np

    if not len(source):
        raise ValueError("1 picture to train on; allowed: at least 2, of which one is held out")
    return np.stack([source[i]["image"] for i in range(len(source))])


def _facts(options: argparse.Namespace, spec: Any, settings: Any, count: int) -> dict[str, Any]:
    from dataclasses import asdict

    names = ("architecture", "labels", "crop", "flip", "grow")
    return {
        **{name: getattr(options, name) for name in names},
        "pictures": count,
        "spec": {**asdict(spec), "name": ""},  # a folder may be renamed
        **asdict(settings),
    }


def _start(place: str | None) -> Params | None:
    """Parameters of the generator of a run, or of a file."""
    if place is None:
        return None
    from jaxinv.models.weights import read_weights
    from jaxinv.training.stylegan2 import FILE

    path = Path(place)
    return read_weights(path / FILE if path.is_dir() else path)[0]


def widths(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    return tuple(positive(part) for part in text.split(","))


def add(verbs: argparse._SubParsersAction) -> None:
    """The verbs that train."""
    train_encoder.add(verbs)
    verb = verbs.add_parser("train-generator", help="train a generator on pictures")
    verb.set_defaults(run=verb_train_generator)
    verb.add_argument("architecture", metavar="ARCHITECTURE", help=", ".join(ARCHITECTURES))
    verb.add_argument("--data", required=True, metavar="DIR|ZIP|TAR", help="pictures")
    verb.add_argument(
        "-o", "--out", required=True, metavar="RUN", help="a folder; resumed if begun"
    )
    length = verb.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=positive, metavar="N")
    length.add_argument("--kimg", type=positive, metavar="K", help="thousands of pictures")
    sizes: Sequence[tuple[str, Any, Any, str]] = (
        ("--size", positive, 32, "px"),
        ("--widths", widths, (96, 96, 48, 24), "channels at 4, 8, ... px"),
        ("--latent", positive, 128, "length of z and w"),
        ("--mapping", positive, 4, "layers from z to w"),
        ("--batch", positive, 16, "pictures of a step"),
        ("--parts", positive, 1, "parts of a batch, one after the other, where memory is short"),
        ("--rate", number, 2e-3, "learning rate"),
        ("--gamma", number, 1.0, "weight of the penalty R1"),
        ("--path", number, 0.0, "weight of path length regularisation"),
        ("--mixing", number, 0.9, "probability of two codes in a picture"),
        ("--seed", seed, 0, "of all draws"),
        ("--log-every", positive, 50, "steps"),
        ("--save-every", positive, 500, "steps"),
        ("--validate-every", positive, 1000, "steps"),
    )
    for option, kind, usual, text in sizes:
        verb.add_argument(option, type=kind, default=usual, help=f"{text} (default {usual})")
    verb.add_argument("--name", metavar="NAME", help="of the generator; default: that of RUN")
    verb.add_argument("--grow", metavar="RUN|FILE", help="start with the weights of a smaller one")
    verb.add_argument("--dtype", choices=PRECISIONS, default="float32", help="of convolutions")
    train_encoder.add_engine(verb)
    verb.add_argument("--flip", action="store_true", help="mirror half of the pictures")
    verb.add_argument("--crop", choices=("centre", "random"), default="centre")
    verb.add_argument("--augment", action="store_true", help="adaptive flips and shifts (ADA)")
    verb.add_argument(
        "--labels",
        nargs="?",
        const="",
        metavar="ATTRIBUTE",
        help="classes: of dataset.json, or an attribute of attributes.jsonl",
    )
