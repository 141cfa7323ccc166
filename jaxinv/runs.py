"""A folder of photographs -> a folder of latents, images, one line of results per file, and a report.

Every input file gets exactly one line in `results.jsonl`, broken ones included; a line is on disk before
the next batch starts, so that nothing computed is lost when a run ends early.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv import __version__, checkpoints, images
from jaxinv.folders import find_images
from jaxinv.inversion import Inversion, default_batch, invert, with_steps
from jaxinv.loading import load_features, load_generator, weights_file
from jaxinv.outcome import Outcome, judge, picture, report_item, save_outcome
from jaxinv.progress import Display
from jaxinv.report import ReportItem, write_report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Params

SMALLEST = 32
METRIC_NETS = ("alexnet", "vgg16")


@dataclass(frozen=True)
class Request:
    """What `jaxinv invert` was asked for; all of it goes into run.json."""

    paths: tuple[str, ...]
    out: str
    generator: str = "ffhq"
    preset: str = "default"
    steps: int | None = None
    restarts: int | None = None
    batch: int | None = None
    seed: int = 0
    size: int | None = None
    align: str = "auto"
    fit: str = "crop"
    limit: int | None = None
    export: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """One file of the run: its output name, and the photo or the reason why there is none."""

    file: str
    name: str
    photo: images.Photo | None = None
    reason: str = ""


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


def unique_names(files: list[Path]) -> list[str]:
    """Output names: the files' stems, numbered where two are equal (without regard to case)."""
    taken: dict[str, int] = {}
    names = []
    for file in files:
        name = stem = (
            "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in file.stem)
            or "_"
        )
        while name.lower() in taken:
            taken[stem.lower()] += 1
            name = f"{stem}-{taken[stem.lower()]}"
        taken[name.lower()] = 1
        names.append(name)
    return names


def loss_size(own: int, asked: int | None, resolution: int) -> int:
    """Resolution at which an image is compared: `asked`, or the largest power of two within its own size."""
    if asked is not None:
        return asked
    return 1 << (min(max(own, SMALLEST), resolution).bit_length() - 1)


def read_inputs(request: Request, files: list[Path], resolution: int) -> Iterator[Input]:
    """Read every file; a bad one becomes a reason, never an exception. Photos come at their loss resolution."""
    for file, name in zip(files, unique_names(files), strict=True):
        shown = os.fspath(file).encode(errors="surrogateescape").decode(errors="replace")
        try:
            photo = images.read_photo(file, size=request.size, align=request.align, fit=request.fit)  # pyright: ignore[reportArgumentType]
        except images.ImageError as error:
            yield Input(shown, name, reason=error.reason)
            continue
        yield Input(
            shown,
            name,
            photo=at_size(photo, loss_size(len(photo.pixels), request.size, resolution)),
        )


def at_size(photo: images.Photo, size: int) -> images.Photo:
    """The photo (and its mask) resized to `size` px."""
    if len(photo.pixels) == size:
        return photo
    mask = photo.mask
    if mask is not None:
        mask = images.resize(np.repeat(mask[..., None], 3, axis=2), size)[..., 0]
    return replace(photo, pixels=images.resize(photo.pixels, size), mask=mask)


def batches(inputs: Iterator[Input], batch: int) -> Iterator[list[Input]]:
    """Group inputs into batches of one resolution, all with or all without a mask; bad inputs come alone."""
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


def run(request: Request, preset: Preset) -> tuple[int, int]:
    """Carry out a request; returns (files done, files failed). Raises `ValueError` before any work if it cannot start."""
    job = prepare_job(request, preset)
    files = find_images(request.paths, limit=request.limit)
    if not files:
        raise ValueError(f"no image files in {', '.join(request.paths)}")
    write_json(job.out / "run.json", job.facts)
    items: list[ReportItem] = []
    lines = (job.out / "results.jsonl").open("w", encoding="utf-8")
    try:
        with lines, Display(len(files), job.preset.steps) as display:
            for group in batches(
                read_inputs(request, files, job.gen.spec.resolution),
                request.batch or default_batch(),
            ):
                for record, item in finish_batch(job, group, display):
                    lines.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
                    items.append(item)
                lines.flush()
                os.fsync(lines.fileno())
    finally:
        write_report(
            job.out / "report.html", headline(job), sorted(items, key=lambda item: item.name)
        )
    failed = sum(item.status != "ok" for item in items)
    return len(items) - failed, failed


def prepare_job(request: Request, preset: Preset) -> Job:
    """Load weights, make folders, and write down all that is needed to repeat the run."""
    preset = with_steps(preset, request.steps)
    gen, params = load_generator(request.generator)
    if request.size is not None and not 16 <= request.size <= gen.spec.resolution:
        raise ValueError(f"--size {request.size}; allowed: 16 to {gen.spec.resolution}")
    nets = load_features(tuple(sorted({*METRIC_NETS, *preset.nets})))
    out = Path(request.out)
    for folder in ("latents", "images"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    facts = {
        "request": asdict(request),
        "preset": asdict(preset),
        "generator": asdict(gen.spec),
        "generator_sha256": checkpoints.sha256_file(weights_file(request.generator)),
        "versions": {"jaxinv": __version__, "jax": jax.__version__, "numpy": np.__version__},
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
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
    job: Job, group: list[Input], display: Display
) -> Iterator[tuple[dict[str, Any], ReportItem]]:
    """Invert one batch and give a record and a report item for each of its inputs."""
    for item in group:
        for warning in item.photo.warnings if item.photo else (item.reason,):
            display.say(f"warning: {item.file}: {warning}")
    photos = [item.photo for item in group if item.photo is not None]
    if not photos:
        display.done(len(group))
        yield from (skipped(job, item) for item in group)
        return
    began = time.monotonic()
    masks = None if photos[0].mask is None else np.stack([photo.mask for photo in photos])
    request = job.request
    found = invert(
        job.gen,
        job.params,
        np.stack([photo.pixels for photo in photos]),
        preset=job.preset,
        nets=job.nets,
        masks=masks,
        seed=request.seed,
        restarts=request.restarts,
        batch=request.batch,
        report=lambda step: display.step(step, len(photos)),
    )
    for index, item in enumerate(group):
        seconds = (time.monotonic() - began) / len(photos)
        yield conclude(job, item, found, index, seconds)
    display.done(len(group))


def skipped(job: Job, item: Input) -> tuple[dict[str, Any], ReportItem]:
    """Record and report item of a file that could not be read."""
    outcome = Outcome(file=item.file, name=item.name, status="skipped", reason=item.reason)
    return outcome.record(job.request), report_item(outcome)


def conclude(
    job: Job, item: Input, found: Inversion, index: int, seconds: float
) -> tuple[dict[str, Any], ReportItem]:
    """Draw, score and save one result."""
    latents = jax.tree.map(lambda a: a[index], found.latents)
    photo = item.photo
    if photo is None:
        return skipped(job, item)
    full = picture(job.gen, job.params, latents)
    outcome = Outcome(
        file=item.file,
        name=item.name,
        status=found.status[index],
        reason=""
        if found.status[index] == "ok"
        else "the loss left the finite numbers; the best point before is kept",
        sha256=photo.sha256,
        warnings=photo.warnings,
        scores=judge(job.nets, full, photo.pixels),
        loss=float(found.loss[index]),
        evaluations=int(found.evaluations[index]),
        seconds=seconds,
        transform=photo.transform,
    )
    save_outcome(
        job.out, outcome, latents, full, job.gen.spec, facts=job.facts, export=job.request.export
    )
    return outcome.record(job.request), report_item(
        outcome, full, photo.pixels, found.losses[index]
    )


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    data = json.dumps(value, indent=2, ensure_ascii=False).encode()
    checkpoints.atomic_write(path, lambda file: file.write(data))
