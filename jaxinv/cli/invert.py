"""`jaxinv invert`, and what all verbs share that go through folders of pictures."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv.cli.argument_types import (
    batch_size,
    label,
    positive,
    resource,
    seed,
    shard_size,
    whole,
)
from jaxinv.cli.console import DONE, SOME_FAILED, say
from jaxinv.cli.weights import ensure, ready_generator
from jaxinv.specs.vocabulary import PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.io.launchers import Share
    from jaxinv.runs.request import Request
    from jaxinv.specs import GeneratorSpec, Preset
    from jaxinv.specs.encoders import EncoderSpec


def verb_invert(options: argparse.Namespace) -> int:
    """Find latents for photographs."""
    return carry_out(options, lambda request: request)


def carry_out(options: argparse.Namespace, of: Callable[[Request], Request]) -> int:
    """Run a verb over folders of pictures; `of` adds what is its own to the request."""
    from jaxinv.inversion.presets import find_preset, with_steps
    from jaxinv.io.face_alignment import check_mode

    # Whatever can be wrong with the command comes before any download.
    preset = find_preset(options.preset or options.usual)
    with_steps(preset, options.steps)
    check_mode(options.align)
    if options.init is not None:
        held_encoder(options.init)
    elif preset.encoder:
        raise ValueError(
            f"preset {preset.name!r} begins at the codes of an encoder: give --init encoder:NAME; "
            f"`jaxinv train-encoder {preset.encoder} -g {options.generator} -o RUN` trains one"
        )
    request = of(request_of(options, preset.name))
    spec = ready_generator(options.generator)
    if options.preset is None and not spec.w_dim:
        preset = find_preset("z")
    return run_request(options, replace(request, preset=preset.name), preset, spec)


def held_encoder(init: str) -> EncoderSpec:
    """The facts of the encoder in "encoder:NAME"; `ValueError` unless its file is in place."""
    from jaxinv.encoders.loading import encoder_file, read_encoder_spec
    from jaxinv.encoders.starts import encoder_name
    from jaxinv.io.checkpoints import read_metadata

    return read_encoder_spec(read_metadata(encoder_file(encoder_name(init))))


def request_of(options: argparse.Namespace, preset: str) -> Request:
    """What a command asks for."""
    from jaxinv.runs.request import Request

    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(options).items()
    }
    fields["preset"] = preset
    return Request(**{k: fields[k] for k in Request.__dataclass_fields__ if k in fields})


def run_request(
    options: argparse.Namespace, request: Request, preset: Preset, spec: GeneratorSpec
) -> int:
    """Fetch the nets that scores need, go through the pictures, and say what became of them."""
    aligned = options.align == "auto" and spec.alignment != "none" and find_spec("dlib")
    faces = aligned or any(mask.source == "face" for mask in preset.masks)
    seen = ["lpips"] if request.scores or {"alexnet", "vgg16"} & set(preset.nets) else []
    ensure(*seen, *(["landmarks"] if faces else []))
    share, (done, failed) = started(options, request, preset)
    noun = "image" if done == 1 else "images"
    found = {"invert": "inverted", "encode": "encoded"}.get(request.verb, "restored")
    whose = "" if share.alone else f"worker {share.index} of {share.count}: "
    page = Path(options.out) / "report.html"
    say(f"{whose}{done} {noun} {found}, {failed} failed; see {page}")
    return SOME_FAILED if failed else DONE


def started(
    options: argparse.Namespace, request: Request, preset: Preset
) -> tuple[Share, tuple[int, int]]:
    """Run by the engine that was asked for: the share of this process, and (done, failed)."""
    from jaxinv.io.launchers import ALONE, find_share, join_processes
    from jaxinv.io.progress import announce

    also: dict[str, Any] = {"fresh": options.fresh, "retry_failed": options.retry_failed}
    index, count = options.worker_index, options.num_workers
    if options.engine == "ray":
        from jaxinv.runs.ray_engine import Cluster, run_with_ray

        if index is not None:
            raise ValueError(f"--worker-index {index} with --engine ray; allowed: --num-workers")
        cluster = Cluster(count, tuple(options.ray_resource))
        return ALONE, run_with_ray(request, preset, cluster, **also)
    from jaxinv.runs.runner import run

    of = join_processes if options.engine == "distributed" else find_share
    share = of(index, count)
    if not share.alone:
        announce(str(share))
    return share, run(request, preset, share=share, **also)


def add(verbs: argparse._SubParsersAction) -> None:
    """The main verb."""
    verb = verbs.add_parser("invert", help="find the latents of photographs")
    verb.set_defaults(run=verb_invert)
    add_run(verb)
    add_align(verb)
    verb.add_argument(
        "--named-mask",
        dest="named_masks",
        action="append",
        default=[],
        metavar="NAME=PLACE",
        help="file, or folder of files, that is WHITE WHERE the preset's mask NAME holds",
    )
    verb.add_argument(
        "--named-image",
        dest="named_images",
        action="append",
        default=[],
        metavar="NAME=PLACE",
        help="file, or folder of files, with the picture that the preset calls NAME",
    )
    verb.add_argument(
        "--text", metavar="WORDS", help="what the picture shall show, for styleclip and tedigan"
    )


def add_align(verb: argparse.ArgumentParser) -> None:
    """How photographs of faces are cut."""
    verb.add_argument(
        "--align",
        default="auto",
        metavar="auto|none|LANDMARKS.json",
        help="cut faces as the generator's training images were cut",
    )


def add_run(verb: argparse.ArgumentParser, usual: str = "default") -> None:
    """What all verbs take that search for pictures; `usual` is their method."""
    add_pictures(verb)
    verb.set_defaults(usual=usual)
    verb.add_argument(
        "-g",
        "--generator",
        default="ffhq",
        metavar="NAME",
        help="zoo name or weights file (default: ffhq)",
    )
    verb.add_argument(
        "-p",
        "--preset",
        metavar="NAME|FILE.json",
        help=f"method, see `jaxinv presets` (default: {usual}, or z where there is no W)",
    )
    verb.add_argument(
        "--init",
        metavar="encoder:NAME|FILE|RUN",
        help="an encoder whose codes the search sets out from",
    )
    verb.add_argument(
        "--steps", type=positive, metavar="N", help="evaluations per image, instead of the preset's"
    )
    verb.add_argument(
        "--restarts", type=positive, metavar="R", help="starts per image, the best is kept"
    )
    verb.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="type of kernels and activations while searching; bfloat16 is for accelerators",
    )
    verb.add_argument("--seed", type=seed, default=0, metavar="S")
    verb.add_argument(
        "--label",
        type=label,
        metavar="L|L,L|any|dataset",
        help="class of the images, from 0; several are tried; or what dataset.json says",
    )


def add_pictures(verb: argparse.ArgumentParser) -> None:
    """What all verbs take that go through folders of pictures."""
    verb.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="image files, folders, zips, plain tars, or lists of paths (.txt, one a line)",
    )
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument(
        "--batch",
        type=batch_size,
        metavar="B|auto",
        help="images per batch; auto: as many as the device's memory holds",
    )
    verb.add_argument(
        "--size",
        type=positive,
        metavar="PX",
        help="side at which images are compared (default: their own, at most the generator's)",
    )
    verb.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch", "refuse"),
        default="crop",
        help="what to do with images that are not square",
    )
    verb.add_argument("--limit", type=positive, metavar="N", help="only the first N files")
    verb.add_argument(
        "--fresh",
        action="store_true",
        help="start over: results that are in OUT are moved to OUT/earlier",
    )
    verb.add_argument(
        "--retry-failed",
        action="store_true",
        help="when a run goes on, try again what was skipped or diverged",
    )
    verb.add_argument(
        "--no-scores",
        dest="scores",
        action="store_false",
        help="do not score the results, which takes most of the time of a small generator",
    )
    add_workers(verb)
    verb.add_argument(
        "--shard-size",
        type=shard_size,
        metavar="N",
        help="pack results N to a file, in OUT/shards; for runs of very many images",
    )
    verb.add_argument(
        "--export",
        action="append",
        default=[],
        choices=("npz",),
        help="also write latents in this layout",
    )


def add_workers(verb: argparse.ArgumentParser) -> None:
    """Which process this is of several, and what they run on."""
    verb.add_argument(
        "--num-workers",
        type=positive,
        metavar="N",
        help="processes that share the files, into the same OUT (default: what a launcher such as "
        "srun or mpirun says, or 1)",
    )
    verb.add_argument(
        "--worker-index",
        type=whole,
        metavar="I",
        help="which of them this is, from 0 (default: what the launcher says)",
    )
    verb.add_argument(
        "--engine",
        choices=("local", "ray", "distributed"),
        default="local",
        help="ray: actors of a Ray cluster, --num-workers at most; distributed: the processes of "
        "jax.distributed (default: local)",
    )
    verb.add_argument(
        "--ray-resource",
        type=resource,
        action="append",
        default=[],
        metavar="NAME=N",
        help="what an actor needs: GPU=1, TPU=4, CPU=2 (default: one accelerator, or one CPU)",
    )
