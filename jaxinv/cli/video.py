"""`jaxinv video`: a video inverted, edited, and put back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxinv.cli.argument_types import direction_options, number, positive, seed
from jaxinv.cli.console import DONE, SOME_FAILED, complain, say
from jaxinv.cli.foreign_files import find_direction
from jaxinv.cli.weights import ensure, ready_generator
from jaxinv.specs.vocabulary import ANIMATIONS

if TYPE_CHECKING:
    from jaxinv.edits.paths import Path as EditPath
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params


def verb_video(options: argparse.Namespace) -> int:
    """Invert the frames of a video together, edit them, and write the video again."""
    from jaxinv.edits.ways import way_path
    from jaxinv.io.files import check_exists
    from jaxinv.runs.video import VideoRequest, run_video

    check_exists(options.source)
    request = VideoRequest(
        source=options.source,
        out=options.out,
        generator=options.generator,
        preset=options.preset,
        steps=options.steps,
        size=options.size,
        limit=options.limit,
        directions=tuple(options.directions),
        amounts=tuple(options.amounts),
        stitch=options.stitch,
        kind=options.kind,
        seed=options.seed,
    )
    spec = ready_generator(options.generator)
    ensure("lpips", *(["landmarks"] if spec.alignment == "ffhq" else []))

    def ways(gen: Generator, params: Params) -> list[EditPath]:
        found = [find_direction(one, options.generator, gen, params) for one in request.directions]
        return [way_path(one, gen, params) for one in found]

    done, missing = run_video(request, ways, complain)
    noun = "frame" if done == 1 else "frames"
    say(f"{done} {noun} inverted, {missing} without a face; see {Path(options.out)}")
    return SOME_FAILED if missing else DONE


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb."""
    verb = verbs.add_parser("video", help="invert and edit a video")
    verb.set_defaults(run=verb_video)
    verb.add_argument("source", metavar="VIDEO", help="mp4 and the like, gif, webp")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="folder for the results")
    verb.add_argument("-g", "--generator", default="ffhq", metavar="NAME")
    verb.add_argument(
        "-p", "--preset", default="default", metavar="NAME", help="search for the codes of frames"
    )
    verb.add_argument("--steps", type=positive, metavar="N", help="evaluations of that search")
    verb.add_argument("--size", type=positive, default=256, metavar="PX", help="(default: 256)")
    verb.add_argument("--limit", type=positive, metavar="N", help="only the first N frames")
    direction_options(
        verb,
        number,
        "A",
        direction="as of edit; several combine",
        far="how far, one for each direction",
    )
    verb.add_argument(
        "--stitch", action="store_true", help="tune every edited frame so that its border fits"
    )
    verb.add_argument("--kind", choices=ANIMATIONS, default="mp4", help="(default: mp4)")
    verb.add_argument("--seed", type=seed, default=0, metavar="S")
