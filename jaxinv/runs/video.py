"""A video inverted, edited and written again, frame by frame and all frames together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.applications.video import border_mask, invert_frames, smoothed_landmarks, stitched
from jaxinv.edits.pasting import BORDER, paste
from jaxinv.edits.paths import Path as EditPath
from jaxinv.edits.paths import apply_all
from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.io import images
from jaxinv.io.animations import encode_animation
from jaxinv.io.face_frame import ffhq_quad
from jaxinv.io.face_search import find_face
from jaxinv.io.files import write_json
from jaxinv.io.image_ops import box_quad, crop
from jaxinv.io.latent_files import save_latents
from jaxinv.io.output_folder import SEARCHES, VIDEO, output_folder
from jaxinv.io.progress import track
from jaxinv.io.videos import iter_frames, read_rate
from jaxinv.models.arguments import samples_of
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render_uint8
from jaxinv.runs.results import write
from jaxinv.specs.checks import check_choice, check_whole
from jaxinv.specs.vocabulary import ANIMATIONS

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

POINTS = 68  # landmarks of a face


@dataclass(frozen=True)
class VideoRequest:
    """What is asked of a video.

    Attributes:
        source: a video or animation.
        out: the folder for the results.
        generator: name of the one that draws.
        preset: the search for the codes of frames; then weights are tuned that all share.
        steps: evaluations of that search, instead of the preset's.
        size: side in px at which frames are compared.
        limit: only the first frames.
        directions: names or files of directions, and an amount for each.
        amounts: how far.
        stitch: tune every edited frame so that its border fits.
        kind: one of `ANIMATIONS`, of what is written.
        seed: of random draws.
    """

    source: str
    out: str
    generator: str = "ffhq"
    preset: str = "default"
    steps: int | None = None
    size: int = 256
    limit: int | None = None
    directions: tuple[str, ...] = ()
    amounts: tuple[float, ...] = ()
    stitch: bool = False
    kind: str = "mp4"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("animation", self.kind, ANIMATIONS)
        check_whole("size", self.size, 16)
        if len(self.directions) != len(self.amounts):
            raise ValueError(
                f"{len(self.amounts)} amounts for {len(self.directions)} directions; allowed: one "
                "for each"
            )


@dataclass(frozen=True)
class Cut:
    """Where the part of a video lies that is searched for.

    quads: [T, 4, 2], the corners in every frame; faces: which frames show a face (all, where none
    is looked for).
    """

    quads: np.ndarray
    faces: np.ndarray


def run_video(
    request: VideoRequest,
    ways: Callable[[Generator, Params], list[EditPath]],
    say: Callable[[str], object],
) -> tuple[int, int]:
    """Carry out a request; returns (frames with a face, frames without).

    `ways` gives the paths of the request's directions. Written are latents/ and images/ by frame,
    inverted.KIND and, of an edit, edited.KIND, both put back into the frames. The same command goes
    on with a search that was cut. Raises `ValueError` where the video cannot be read, has no face,
    or directions do not fit.
    """
    gen, params = load_generator(request.generator)
    paths = ways(gen, params)
    frames = read_frames(request)
    with output_folder(request.out, VIDEO, inputs=[request.source]) as out:
        write_json(out / "video.json", {"schema": 1} | asdict(request))
        cut = find_cut(frames, faces=gen.spec.alignment == "ffhq", say=say)
        side = min(request.size, gen.spec.resolution)
        seen = [crop(frame, quad, side)[0] for frame, quad in zip(frames, cut.quads, strict=True)]
        searches = SearchCheckpoints(out / SEARCHES)
        latents = invert_frames(
            gen,
            params,
            np.clip(np.stack(seen), -1, 1),
            preset=request.preset,
            steps=request.steps,
            seed=request.seed,
            checkpoints=searches,
            report=_lines(say),
        )
        each = list(samples_of(latents))
        drawn = partial(render_uint8, gen, params)
        pictures = list(map(drawn, each))
        _write_frames(request, out, each, pictures, cut)
        write_video(request, out / f"inverted.{request.kind}", frames, cut, pictures)
        if paths:
            moves = list(zip(paths, request.amounts, strict=True))
            edited = [apply_all(gen, params, one, moves) for one in each]
            if request.stitch:
                edited = _stitched(gen, params, edited, seen, say)
            write_video(request, out / f"edited.{request.kind}", frames, cut, map(drawn, edited))
        searches.clear()
    return int(cut.faces.sum()), int((~cut.faces).sum())


def read_frames(request: VideoRequest) -> list[np.ndarray]:
    """The frames of the request's file, uint8 [h, w, 3] each; `ValueError` where there is none."""
    frames: list[np.ndarray] = []
    for frame in iter_frames(request.source):
        frames.append(frame)
        if len(frames) == request.limit:
            break
    if not frames:
        raise ValueError(f"{request.source} has no frames; allowed: a video or an animation")
    if len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"{request.source} has frames of several sizes; allowed: one size")
    return frames


def find_cut(frames: Sequence[np.ndarray], *, faces: bool, say: Callable[[str], object]) -> Cut:
    """The cut of every frame: its largest face, smoothed in time, or its central square.

    A frame without a face is cut as those around it. Raises `ValueError` where no frame has one.
    """
    height, width = frames[0].shape[:2]
    if not faces:
        side = min(height, width)
        quad = box_quad((width - side) / 2, (height - side) / 2, side, side)
        return Cut(np.stack([quad] * len(frames)), np.ones(len(frames), bool))
    found = np.full((len(frames), POINTS, 2), np.nan)
    for number, frame in enumerate(track(frames, len(frames), "looking for the face", say)):
        landmarks, _ = find_face(frame)
        if landmarks is not None:
            found[number] = landmarks
    known = np.asarray(np.isfinite(found).all((1, 2)))
    missing = ", ".join(map(str, np.flatnonzero(~known)))
    if not known.any():
        raise ValueError(f"no face in {len(frames)} frames; allowed: a video that shows one")
    if missing:
        say(f"no face in frames {missing}: they are cut as those around them")
    return Cut(np.stack([ffhq_quad(one) for one in smoothed_landmarks(found)]), known)


def write_video(
    request: VideoRequest,
    place: Path,
    frames: Sequence[np.ndarray],
    cut: Cut,
    pictures: Any,
) -> None:
    """Write the frames with pictures, uint8 [n, n, 3] each, in the place of their cuts."""
    pasted = [
        paste(frame, picture, quad)
        for frame, picture, quad in zip(frames, pictures, cut.quads, strict=True)
    ]
    seconds = len(frames) / read_rate(request.source)
    write(place, encode_animation(pasted, request.kind, seconds=seconds))


def _write_frames(
    request: VideoRequest,
    out: Path,
    each: Sequence[Latents],
    pictures: Sequence[np.ndarray],
    cut: Cut,
) -> None:
    (out / "latents").mkdir(exist_ok=True)
    for number, (latents, picture) in enumerate(zip(each, pictures, strict=True)):
        facts = {
            "generator": request.generator,
            "space": ",".join(sorted(latents)),
            "preset": request.preset,
            "verb": "video",
            "source": f"{request.source}#{number}",
            "transform": json.dumps({"kind": "align", "quad": cut.quads[number].tolist()}),
        }
        save_latents(out / "latents" / f"{number:05d}.safetensors", latents, facts)
        write(out / "images" / f"{number:05d}.png", images.encode_png(picture))


def _stitched(
    gen: Generator,
    params: Params,
    edited: Sequence[Latents],
    seen: Sequence[np.ndarray],
    say: Callable[[str], object],
) -> list[Latents]:
    side = len(seen[0])
    border, found = border_mask(side, BORDER), []
    pairs = zip(edited, seen, strict=True)
    for latents, frame in track(pairs, len(seen), "stitching borders", say):
        full = images.from_uint8(render_uint8(gen, params, latents))
        picture = images.resize(full, side)
        found.append(stitched(gen, params, frame, (latents, picture), border))
    return found


def _lines(say: Callable[[str], object]) -> Callable[[Any], None]:
    """Tells how far the searches are, a line for every stage of every batch."""
    told: set[tuple[int, int, int]] = set()

    def report(progress: Any) -> None:
        now = progress.finished, progress.stage, progress.steps
        if now not in told:
            told.add(now)
            say(f"frames from {progress.finished}, stage {progress.stage} of {progress.stages}")

    return report
