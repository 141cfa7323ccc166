"""`jaxinv study`."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jaxinv.cli.argument_types import batch_size, numbers, positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, say
from jaxinv.cli.weights import ensure, ready_generator


def verb_study(options: argparse.Namespace) -> int:
    """Compare methods on the same images from the same seeds."""
    from jaxinv.io.progress import announce
    from jaxinv.studies.runner import StudyRequest, prepare, run

    fields: dict[str, Any] = vars(options) | {"methods": tuple(options.methods)}
    plan = StudyRequest(**{name: fields[name] for name in StudyRequest.__dataclass_fields__})
    presets = prepare(plan)
    spec = ready_generator(plan.generator)
    aligned = plan.images and plan.align == "auto" and spec.alignment != "none"
    ensure(*(["lpips"] if any(preset.nets for preset in presets) else []))
    ensure(*(["landmarks"] if aligned and find_spec("dlib") else []))
    table, skipped = run(plan, presets, announce)
    say(f"{table}\ntables and plots: {Path(plan.out)}")
    return SOME_FAILED if skipped else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that compares methods."""
    verb = verbs.add_parser(
        "study",
        help="compare methods on the same images from the same seeds",
        description=(
            "Run every method on every image from every seed, and write tables (curves.jsonl, "
            "finals.jsonl, slices.jsonl), plots (PNG) and a summary (summary.md)."
        ),
    )
    verb.set_defaults(run=verb_study)
    verb.add_argument(
        "methods",
        nargs="+",
        metavar="SPEC.py|PRESET",
        help=(
            "presets by name, or a Python file that defines PRESETS, a tuple or dict of Preset; "
            "the file is YOUR code and is executed: run no one else's without reading it"
        ),
    )
    verb.add_argument(
        "-g", "--generator", required=True, metavar="NAME", help="zoo name or weights file"
    )
    verb.add_argument("--images", metavar="DIR", help="pictures to search for")
    verb.add_argument(
        "--self",
        dest="draws",
        type=positive,
        metavar="K",
        help="instead of --images: K draws of the generator itself, which it can reach exactly",
    )
    verb.add_argument(
        "--seeds", type=positive, default=4, metavar="N", help="starts per image (default: 4)"
    )
    verb.add_argument("-o", "--out", default="study", metavar="OUT", help="folder (default: study)")
    verb.add_argument(
        "--steps", type=positive, metavar="N", help="evaluations, instead of the presets'"
    )
    verb.add_argument(
        "--rates",
        type=numbers,
        default=(),
        metavar="R,R",
        help="try each preset at these rates (of lbfgs: those of its warm-up)",
    )
    verb.add_argument(
        "--target",
        metavar="DB|PRESET",
        help=(
            "the PSNR that counts as success, or the preset whose median final PSNR on an image "
            "is that image's (default: the first)"
        ),
    )
    verb.add_argument("--size", type=positive, metavar="PX", help="side of the images")
    verb.add_argument("--limit", type=positive, metavar="N", help="only the first N files")
    verb.add_argument(
        "--batch",
        type=batch_size,
        metavar="B|auto",
        help="images per batch; auto: as many as the device's memory holds",
    )
    verb.add_argument("--seed", type=seed, default=0, metavar="S", help="number of the first seed")
    verb.add_argument("--label", type=int, metavar="L", help="class of the images, from 0")
    verb.add_argument(
        "--align", default="auto", metavar="auto|none|LANDMARKS.json", help="as in invert"
    )
