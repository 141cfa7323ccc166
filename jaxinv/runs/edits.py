"""Kept latents moved along directions: pictures, strips, animations, and the moved latents."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jaxinv.edits.blending import rows_of
from jaxinv.edits.editing import beyond, largest_share
from jaxinv.edits.holding import Correction, Held, corrected, held_ways, scores_of
from jaxinv.edits.pasting import behind_mask
from jaxinv.edits.paths import Path as EditPath
from jaxinv.edits.stated_facts import kind_of
from jaxinv.edits.ways import Way, way_path
from jaxinv.io import images
from jaxinv.io.animations import encode_animation, encode_strip, there_and_back
from jaxinv.io.files import BadFile, json_lines, read_bytes, write_json
from jaxinv.io.latent_files import save_latents
from jaxinv.io.output_folder import EDITS, output_folder
from jaxinv.metrics.identity import identity, measurable
from jaxinv.models.rendering import render_uint8
from jaxinv.runs.kept_latents import Generators, Kept, Reader, list_latents, mask_for, one_file
from jaxinv.runs.results import write
from jaxinv.specs.checks import check_at_least, check_choice, check_number

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

KEEPS = ("identity",)
IDENTITY_BOUND = 0.6  # below it dlib's authors call two faces one person
IDENTITY_SIDE = 256  # px at which faces are compared
# Finds a direction or walk by the name or file that the user gave, for a generator of that name.
Finder = Callable[[str, str, "Generator", "Params"], Way]
Amounts = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class EditRequest:
    """What is asked of an edit.

    Attributes:
        places: folders of results, and files of latents.
        out: the folder for the results.
        directions: names or files of directions and walks.
        amounts: for every step one amount for each direction.
        generator: name of the one that draws; None: what the latents say.
        rows: text for `rows_of`; None: the directions' own.
        conditions: names or files of directions along which nothing may move.
        hold: names or files of directions whose scores stay on every picture.
        keep: "identity": amounts are shortened until the face stays within `bound`.
        bound: largest distance of identity from the picture before the edit.
        mask: file, or folder of files, that is white where the edit may show.
        animate: one of `ANIMATIONS`, or None.
        seconds: how long an animation lasts.
    """

    places: tuple[str, ...]
    out: str
    directions: tuple[str, ...]
    amounts: Amounts
    generator: str | None = None
    rows: str | None = None
    conditions: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    keep: str | None = None
    bound: float = IDENTITY_BOUND
    mask: str | None = None
    animate: str | None = None
    seconds: float = 3.0

    def __post_init__(self) -> None:
        if not self.directions or not self.amounts:
            raise ValueError("no direction or no amount; allowed: at least one of each")
        for step in self.amounts:
            if len(step) != len(self.directions):
                raise ValueError(f"{len(step)} amounts; allowed: {len(self.directions)}, one each")
            for amount in step:
                check_number("amount", amount)
        check_at_least("bound", self.bound, 0)
        if self.keep is not None:
            check_choice("quality to keep", self.keep, KEEPS)


class Shown(Protocol):
    """What the pictures of several steps are shown by: a folder, an animation and its length."""

    @property
    def out(self) -> str:
        """The folder for the results."""
        ...

    @property
    def animate(self) -> str | None:
        """One of `ANIMATIONS`, or None."""
        ...

    @property
    def seconds(self) -> float:
        """How long an animation lasts."""
        ...


@dataclass(frozen=True)
class Job:
    """An edit with all that it needs: generators, and by their names paths and what is held."""

    request: EditRequest
    generators: Generators
    ways: dict[str, list[EditPath]]
    held: dict[str, list[Held]]
    notes: dict[str, list[str]]


@dataclass(frozen=True)
class EditResult:
    """What became of one sample; the field names are those of edits.jsonl.

    `amounts` are those that were walked, for every step one for each direction; `identity` is the
    distance of every step from the picture before the edit, where it was asked for; `held` are the
    scores that were to stay, by name: before the edit, and of every step.
    """

    file: str
    name: str
    status: str
    reason: str = ""
    generator: str = ""
    amounts: Amounts = ()
    identity: tuple[float, ...] = ()
    held: dict[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def run_edits(
    request: EditRequest,
    find: Finder,
    *,
    read: Reader = one_file,
    ready: Callable[[str], object] | None = None,
    say: Callable[[str], object] = lambda line: None,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Carry out an edit; returns (samples done, samples failed).

    `find` reads directions, `read` files of latents, `ready` is called with every generator's name
    before it is loaded, and `say` gets the warnings. One sample's fault costs that sample. Raises
    `ValueError` before anything is drawn for directions, rows and settings that cannot be used, and
    where other edits are in the folder, unless with `overwrite`.
    """
    if request.keep and not measurable():
        raise ValueError(
            "keeping identity needs dlib and its files: run 'jaxinv pull landmarks identity'"
        )
    if request.mask and not Path(request.mask).exists():
        raise ValueError(f"no mask {request.mask}; allowed: a file, or a folder of files")
    found = list_latents(request.places, read)
    job = prepare(request, found, find, Generators(request.generator, ready))
    for note in dict.fromkeys(note for notes in job.notes.values() for note in notes):
        say(f"warning: {note}")
    one = partial(edit_one, job, say=say)
    return write_edits(request.out, asdict(request), found, one, say=say, overwrite=overwrite)


def write_edits(
    place: str,
    asked: dict[str, Any],
    found: Sequence[Kept],
    edit_one: Callable[[Kept], EditResult],
    *,
    say: Callable[[str], object],
    overwrite: bool = False,
) -> tuple[int, int]:
    """Edit one sample after the other into the folder `place`; returns (done, failed).

    It holds what was `asked` in edits.json, and a line for every sample in edits.jsonl. One
    sample's fault costs that sample, and is said. The same can be asked again; raises `ValueError`
    where something else was asked there before, unless with `overwrite`.
    """
    with output_folder(place, EDITS, inputs=[one.file for one in found]) as out:
        if not overwrite:
            _check_same(out / "edits.json", asked)
        write_json(out / "edits.json", {"schema": 1} | asked)
        failed = 0
        with json_lines(out / "edits.jsonl") as put:
            for kept in found:
                result = _one(edit_one, kept)
                if result.status != "ok":
                    failed += 1
                    say(f"warning: {kept.file}: {result.reason}")
                put({k: list(v) if isinstance(v, tuple) else v for k, v in vars(result).items()})
    return len(found) - failed, failed


def _check_same(file: Path, asked: dict[str, Any]) -> None:
    """Raise `ValueError` where `file` says that something else than `asked` was asked."""
    if not file.is_file():
        return
    try:
        earlier = json.loads(read_bytes(file))
    except (ValueError, BadFile):
        earlier = None
    held: dict[str, Any] = earlier if isinstance(earlier, dict) else {}
    wanted: dict[str, Any] = json.loads(json.dumps(asked))
    facts = ({**held, **wanted}).keys() - {"out", "schema"}  # a folder has several names
    names = sorted(name for name in facts if held.get(name) != wanted.get(name))
    if names or not held:
        raise ValueError(
            f"{file.parent} holds other edits (another {names[0] if held else 'file'}); allowed: "
            "the same again, another folder, or --overwrite"
        )


def prepare(
    request: EditRequest, found: Sequence[Kept], find: Finder, generators: Generators
) -> Job:
    """The paths for every generator that the latents need, and what the user should know."""
    job = Job(request, generators, {}, {}, {})
    for name in dict.fromkeys(generators.name_for(one) for one in found if not one.reason):
        gen, params = generators.load(name)
        rows = None if request.rows is None else rows_of(request.rows, gen)
        conditions, hold, directions = (
            [find(one, name, gen, params) for one in asked]
            for asked in (request.conditions, request.hold, request.directions)
        )
        job.ways[name] = [
            way_path(one, gen, params, rows=rows, conditions=conditions) for one in directions
        ]
        job.held[name] = held_ways(gen, params, hold, directions, rows=rows)
        used = [*directions, *conditions, *hold]
        notes = [_unknown(one, name) for one in used if not one.generator]
        for index, one in enumerate(directions):
            notes += [beyond(one, step[index]) for step in request.amounts]
        job.notes[name] = [note for note in dict.fromkeys(notes) if note]
    return job


def _unknown(way: Way, name: str) -> str:
    """Says that nobody knows whether a direction or walk belongs to the generator called `name`."""
    whose = f"is said to be of {way.generator_name!r}" if way.generator_name else ""
    return (
        f"{kind_of(way)} {way.name!r} {whose or 'does not say its generator'}: it is used as one "
        f"of {name!r}, which only its length agrees with"
    )


def _one(edit_one: Callable[[Kept], EditResult], kept: Kept) -> EditResult:
    if kept.reason:
        return EditResult(str(kept.file), kept.name, "skipped", kept.reason)
    try:
        return edit_one(kept)
    except (ValueError, OSError) as error:
        return EditResult(str(kept.file), kept.name, "failed", " ".join(str(error).split()))


def edit_one(
    job: Job, kept: Kept, *, say: Callable[[str], object] = lambda line: None
) -> EditResult:
    """Draw and write every step of one sample; `ValueError` if it cannot be edited.

    `say` is told what could not be held.
    """
    request, name = job.request, job.generators.name_for(kept)
    gen, params, latents = job.generators.fit(kept)
    out, ways, held = Path(request.out), job.ways[name], job.held[name]
    needed = request.keep or request.mask
    before = render_uint8(gen, params, latents) if needed else None
    mask = mask_for(Path(request.mask), kept, gen.spec.resolution) if request.mask else None
    start = scores_of(gen, params, latents, held)
    pictures, walked, kept_to, files = [], [], [], []
    corrections: list[Correction] = []

    @cache
    def moved(amounts: tuple[float, ...]) -> tuple[Latents, np.ndarray, Correction]:
        moves = list(zip(ways, amounts, strict=True))
        found, correction = corrected(gen, params, latents, moves, held, before=start)
        picture = render_uint8(gen, params, found)
        if mask is not None and before is not None:
            picture = behind_mask(picture, before, mask)
        return found, picture, correction

    for index, step in enumerate(request.amounts):
        if before is not None and request.keep:
            share, far = largest_share(
                lambda share, step=step: _distance(
                    before, moved(tuple(share * a for a in step))[1]
                ),
                request.bound,
            )
            step = tuple(share * amount for amount in step)  # noqa: PLW2901
            kept_to.append(far)
        code, picture, correction = moved(step)
        stem = kept.name if len(request.amounts) == 1 else f"{kept.name}-{index:03d}"
        moves = [
            {"direction": direction, "amount": amount}
            for direction, amount in zip(request.directions, step, strict=True)
        ] + [
            {"direction": direction, "amount": amount, "holds": one.name}
            for direction, amount, one in zip(request.hold, correction.amounts, held, strict=True)
        ]
        files.append(write_result(out, stem, picture, code, edited_facts(kept, name, code, moves)))
        pictures.append(picture)
        walked.append(step)
        corrections.append(correction)
    files += write_together(request, kept.name, pictures)
    missed = _missed(corrections, request.amounts)
    for note in missed:
        say(f"warning: {kept.file}: {note}")
    return EditResult(
        str(kept.file), kept.name, "ok", "", name, tuple(walked), tuple(kept_to),
        {
            one.name: (float(start[i]), *(each.after[i] for each in corrections))
            for i, one in enumerate(held)
        },
        tuple(files), (*job.notes[name], *missed),
    )  # fmt: skip


def _missed(corrections: Sequence[Correction], steps: Amounts) -> list[str]:
    """What could not be held, step by step."""
    return [
        f"at {', '.join(f'{amount:g}' for amount in step)}: {note}"
        for correction, step in zip(corrections, steps, strict=True)
        for note in correction.notes
    ]


def write_together(request: Shown, name: str, pictures: list[np.ndarray]) -> list[str]:
    """Write the strip and the animation of several steps; returns their names."""
    out, files = Path(request.out), []
    if len(pictures) > 1:
        files.append(f"strips/{name}.png")
        write(out / files[-1], encode_strip(pictures))
    if request.animate is not None:
        files.append(f"animations/{name}.{request.animate}")
        frames = there_and_back(pictures)
        write(out / files[-1], encode_animation(frames, request.animate, seconds=request.seconds))
    return files


def _distance(before: np.ndarray, after: np.ndarray) -> float:
    side = min(IDENTITY_SIDE, len(before))
    small = [
        images.to_uint8(images.resize(images.from_uint8(one), side))[None]
        for one in (before, after)
    ]
    return float(identity(*small)[0])


def write_result(
    out: Path, stem: str, picture: np.ndarray, latents: Latents, facts: dict[str, str]
) -> str:
    """Write a picture with its latents; returns the picture's name in the folder."""
    write(out / "images" / f"{stem}.png", images.encode_png(picture))
    place = out / "latents" / f"{stem}.safetensors"
    place.parent.mkdir(parents=True, exist_ok=True)
    save_latents(place, latents, facts)
    return f"images/{stem}.png"


def edited_facts(
    kept: Kept, generator: str, latents: Latents, edits: Sequence[dict[str, Any]]
) -> dict[str, str]:
    """What a file of edited latents says: all that it said before, and what was done."""
    before: list[dict[str, Any]] = json.loads(kept.metadata.get("edits", "[]"))
    return {
        **kept.metadata,
        "generator": generator,
        "space": ",".join(sorted(latents)),
        "verb": "edit",
        "edits": json.dumps([*before, *edits]),
        "edited": str(kept.file),
    }
