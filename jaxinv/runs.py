"""A folder of photographs -> latents, images, one line of results per file, and a report.

Every input file gets exactly one line in `results.jsonl`, broken ones included; a line is on disk
before the next batch starts, so that nothing computed is lost when a run ends early.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv import __version__, checkpoints, images
from jaxinv.align import check_mode
from jaxinv.checkpoints import weights_file
from jaxinv.doctor import version
from jaxinv.folders import find_images
from jaxinv.inversion import Inversion, default_batch, invert, with_steps
from jaxinv.loading import load_features, load_generator
from jaxinv.memory import MOST
from jaxinv.outcome import (
    DIFFERENCE_GAIN,
    Outcome,
    copy_outcome,
    judge,
    picture,
    report_item,
    save_outcome,
)
from jaxinv.preparation import equipped
from jaxinv.progress import Display, announce
from jaxinv.report import ReportItem, write_report
from jaxinv.requirements import check_preset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Params

SMALLEST = 32
LONGEST_NAME = 180  # bytes: most file systems allow 255, and suffixes are added
METRIC_NETS = ("alexnet", "vgg16")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow", "dlib-bin")
DIVERGED = "the loss left the finite numbers; the best point before is kept"


@dataclass(frozen=True)
class Request:
    """What `jaxinv invert` was asked for; all of it goes into run.json."""

    paths: tuple[str, ...]
    out: str
    generator: str = "ffhq"
    preset: str = "default"
    steps: int | None = None
    restarts: int | None = None
    batch: int | str | None = None
    seed: int = 0
    label: int | None = None
    size: int | None = None
    align: str = "auto"
    fit: images.Fit = "crop"
    limit: int | None = None
    export: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """One file of the run: its output name, and the photo or the reason why there is none."""

    file: str
    name: str
    photo: images.Photo | None = None
    reason: str = ""

    @property
    def content(self) -> str:
        """Equal for photos with equal pixels: the bytes of the file and how they were cut."""
        photo = self.photo
        return "" if photo is None else f"{photo.sha256} {json.dumps(photo.transform)}"


@dataclass(frozen=True)
class Job:
    """Everything that stays the same for all files of a run."""

    request: Request
    preset: Preset
    gen: Generator
    params: Params
    nets: dict[str, Params]
    out: Path
    facts: dict[str, Any]


Result = tuple[Outcome, ReportItem]


def unique_names(files: list[Path]) -> list[str]:
    """Output names: the files' stems, numbered where two are equal (without regard to case)."""
    taken: dict[str, int] = {}
    names = []
    for file in files:
        name = stem = output_stem(file)
        while name.lower() in taken:
            taken[stem.lower()] += 1
            name = f"{stem}-{taken[stem.lower()]}"
        taken[name.lower()] = 1
        names.append(name)
    return names


def output_stem(file: Path) -> str:
    """The file's stem without what other systems forbid, short enough to be extended."""
    kept = (c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in file.stem)
    return "".join(kept).encode()[:LONGEST_NAME].decode(errors="ignore") or "_"


def list_files(request: Request) -> list[Path]:
    """The files to invert, without pictures that an earlier run left in the output folder.

    Raises `ValueError` when there is none.
    """
    own = (Path(request.out) / "images").resolve()
    given = {path: Path(path).resolve() for path in request.paths}
    left = [
        Path(path) / own.relative_to(place)
        for path, place in given.items()
        if own != place and own.is_relative_to(place)
    ]
    found = find_images(request.paths)
    files = [file for file in found if not any(file.is_relative_to(folder) for folder in left)]
    if not files:
        raise ValueError(f"no image files in {', '.join(request.paths)}")
    return files[: request.limit]


def loss_size(own: int, asked: int | None, resolution: int) -> int:
    """Resolution of the comparison: `asked`, or the largest power of two within the own size.

    An image as large as the generator's is compared at that.
    """
    if asked is not None:
        return asked
    if own >= resolution:
        return resolution
    return 1 << (min(max(own, SMALLEST), resolution).bit_length() - 1)


def read_inputs(job: Job, files: list[Path]) -> Iterator[Input]:
    """Read every file at its loss size; a bad one becomes a reason, never an exception."""
    request, resolution = job.request, job.gen.spec.resolution
    for file, name in zip(files, unique_names(files), strict=True):
        shown = os.fspath(file).encode(errors="surrogateescape").decode(errors="replace")
        try:
            photo = images.read_photo(file, size=request.size, align=request.align, fit=request.fit)
        except images.ImageError as error:
            yield Input(shown, name, reason=error.reason)
            continue
        size = loss_size(len(photo.pixels), request.size, resolution)
        yield Input(shown, name, photo=at_size(photo, size))


def at_size(photo: images.Photo, size: int) -> images.Photo:
    """The photo (and its mask) resized to `size` px."""
    if len(photo.pixels) == size:
        return photo
    mask = photo.mask
    if mask is not None:
        mask = images.resize(np.repeat(mask[..., None], 3, axis=2), size)[..., 0]
    return replace(photo, pixels=images.resize(photo.pixels, size), mask=mask)


def together(batch: int | str | None) -> int:
    """Images that are read before any is searched for; `invert` may split them further."""
    if isinstance(batch, int):
        return batch
    return default_batch() if batch is None or jax.default_backend() == "cpu" else MOST


def batches(inputs: Iterator[Input], batch: int) -> Iterator[list[Input]]:
    """Batches of one resolution, all with or all without a mask; bad inputs come alone."""
    waiting: dict[tuple[int, bool], list[Input]] = {}
    for item in inputs:
        if item.photo is None:
            yield [item]
            continue
        group = waiting.setdefault((len(item.photo.pixels), item.photo.mask is None), [])
        group.append(item)
        if len(group) == batch:
            yield waiting.pop((len(item.photo.pixels), item.photo.mask is None))
    yield from waiting.values()


def first_of_each(inputs: Iterator[Input], repeated: list[Input]) -> Iterator[Input]:
    """Inputs whose content has not come before; the others go to `repeated`, without pixels."""
    seen: set[str] = set()
    for item in inputs:
        if item.photo is None or item.content not in seen:
            seen.add(item.content)
            yield item
        else:
            bare = replace(item.photo, pixels=np.empty((0, 0, 3), np.float32), mask=None)
            repeated.append(replace(item, photo=bare))


def run(request: Request, preset: Preset) -> tuple[int, int]:
    """Carry out a request; returns (files done, files failed).

    Raises `ValueError` before any work if it cannot start, `OSError` if `out` cannot be written.
    """
    files = list_files(request)
    job = prepare_job(request, preset)
    write_json(job.out / "run.json", job.facts)
    settings = {name: job.facts["request"][name] for name in ("seed", "preset", "generator")}
    items: list[ReportItem] = []
    lines = (job.out / "results.jsonl").open("w", encoding="utf-8")
    try:
        with lines, Display(len(files), job.preset.steps) as display:
            for results in work(job, files, display):
                for outcome, item in results:
                    record = outcome.record() | settings
                    lines.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
                    items.append(item)
                lines.flush()
                os.fsync(lines.fileno())
    finally:
        items.sort(key=lambda item: item.name)
        write_report(job.out / "report.html", headline(job), items, difference_gain=DIFFERENCE_GAIN)
    failed = sum(item.status != "ok" for item in items)
    return len(items) - failed, failed


def work(job: Job, files: list[Path], display: Display) -> Iterator[Iterator[Result]]:
    """Results of all files, batch by batch; files with the same content are inverted once."""
    finished: dict[str, Result] = {}
    repeated: list[Input] = []
    inputs = first_of_each(read_inputs(job, files), repeated)
    for group in batches(inputs, together(job.request.batch)):
        yield finish_batch(job, group, display, finished)
    for item in repeated:
        yield iter([repeat(job, item, finished[item.content])])
        display.done()


def prepare_job(request: Request, preset: Preset) -> Job:
    """Make folders, load weights, and write down all that is needed to repeat the run."""
    preset = with_steps(preset, request.steps)
    check_mode(request.align)
    held = {variable.space for stage in preset.stages for variable in stage.variables}
    if request.export and not held & {"w", "w+"}:
        raise ValueError(
            f"--export {request.export[0]} needs latents w or w+; found: {sorted(held)}"
        )
    out = Path(request.out)
    for folder in ("latents", "images"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    gen, params = load_generator(request.generator)
    if request.size is not None and not 16 <= request.size <= gen.spec.resolution:
        raise ValueError(f"--size {request.size}; allowed: 16 to {gen.spec.resolution}")
    check_preset(gen.spec, preset, loss_size(0, request.size, gen.spec.resolution))
    if request.align == "auto" and gen.spec.alignment == "none":
        request = replace(request, align="none")
    names = tuple(sorted({*METRIC_NETS, *preset.nets}))
    facts = {
        "request": asdict(request),
        "preset": asdict(preset),
        "generator": asdict(gen.spec),
        "generator_sha256": checkpoints.sha256_file(weights_file(request.generator)),
        "nets_sha256": {name: checkpoints.sha256_file(weights_file(name)) for name in names},
        "versions": {"jaxinv": __version__} | {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    nets = load_features(names)
    params = equipped(gen, params, preset, nets, report=announce)
    return Job(request, preset, gen, params, nets, out, facts)


def headline(job: Job) -> dict[str, object]:
    """The run in a few words, for the report."""
    request = job.request
    chosen = {
        k: v
        for k, v in asdict(request).items()
        if v not in (None, ()) and k not in ("paths", "out")
    }
    words = {k: v for k, v in chosen.items() if k not in ("generator", "preset")}
    return {
        "generator": request.generator,
        "preset": f"{request.preset}: {job.preset.summary}",
        "evaluations per image": job.preset.steps,
        "options": ", ".join(f"{k} {v}" for k, v in words.items()),
        "started": job.facts["started"],
        "versions": ", ".join(f"{k} {v}" for k, v in job.facts["versions"].items()),
        "device": job.facts["device"],
    }


def finish_batch(
    job: Job, group: list[Input], display: Display, finished: dict[str, Result]
) -> Iterator[Result]:
    """Invert one batch and give a result for each of its inputs; good ones go to `finished`."""
    for item in group:
        for warning in item.photo.warnings if item.photo else (item.reason,):
            display.say(f"warning: {item.file}: {warning}")
    photos = [item.photo for item in group if item.photo is not None]
    if not photos:
        yield from (skipped(item) for item in group)
        display.done(len(group))
        return
    began = time.monotonic()
    masks = [photo.mask for photo in photos if photo.mask is not None]
    found = invert(
        job.gen,
        job.params,
        np.stack([photo.pixels for photo in photos]),
        preset=job.preset,
        nets=job.nets,
        masks=np.stack(masks) if masks else None,
        labels=None if job.request.label is None else [job.request.label] * len(photos),
        seed=job.request.seed,
        restarts=job.request.restarts,
        batch=job.request.batch,
        report=lambda step: display.step(step, len(photos)),
    )
    share = (time.monotonic() - began) / len(photos)
    for index, (item, photo) in enumerate(zip(group, photos, strict=True)):
        finished[item.content] = conclude(job, (item, photo), found, index, share)
        yield finished[item.content]
    display.done(len(group))


def skipped(item: Input) -> Result:
    """Result of a file that could not be read."""
    outcome = Outcome(file=item.file, name=item.name, status="skipped", reason=item.reason)
    return outcome, report_item(outcome)


def conclude(
    job: Job, given: tuple[Input, images.Photo], found: Inversion, index: int, seconds: float
) -> Result:
    """Draw, score and save one result; `seconds` is its share of the search."""
    began = time.monotonic()
    item, photo = given
    latents = jax.tree.map(lambda a: a[index], found.latents)
    full = picture(job.gen, job.params, latents)
    outcome = Outcome(
        file=item.file,
        name=item.name,
        status=found.status[index],
        reason="" if found.status[index] == "ok" else DIVERGED,
        sha256=photo.sha256,
        size=len(photo.pixels),
        warnings=photo.warnings,
        scores=judge(job.nets, full, photo.pixels),
        loss=float(found.loss[index]),
        evaluations=int(found.evaluations[index]),
        transform=photo.transform,
    )
    save_outcome(
        job.out, outcome, latents, full, job.gen.spec, facts=job.facts, export=job.request.export
    )
    outcome = replace(outcome, seconds=seconds + time.monotonic() - began)
    return outcome, report_item(outcome, full, photo.pixels, found.losses[index])


def repeat(job: Job, item: Input, first: Result) -> Result:
    """Result of a file with the same content as an earlier one: that one's, under its own name."""
    outcome, shown = first
    note = f"same content as {outcome.file}, whose result is reused"
    again = replace(outcome, file=item.file, name=item.name, seconds=0.0)
    again = replace(again, warnings=(*outcome.warnings, note))
    copy_outcome(job.out, outcome.name, again)
    return again, replace(shown, name=item.file, warnings=again.warnings)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    # File names that are not UTF-8 hold lone surrogates, for which JSON has its own escape.
    text = json.dumps(value, indent=2, ensure_ascii=False)
    data = text.encode("utf-8", "backslashreplace")
    checkpoints.atomic_write(path, lambda file: file.write(data))
