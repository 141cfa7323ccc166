"""A folder of photographs -> latents, images, one line of results per file, and a report.

Every input file gets exactly one line in `results.jsonl`, broken ones included; a line is on disk
before the next batch starts, so that nothing computed is lost when a run ends early.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxinv.inversion.arguments import batch_for
from jaxinv.inversion.compatibility import check_preset
from jaxinv.inversion.invert import invert
from jaxinv.inversion.memory import MOST
from jaxinv.inversion.preset_adaptation import adapt_preset
from jaxinv.inversion.result import Inversion
from jaxinv.io.files import write_json
from jaxinv.models.rendering import render_uint8
from jaxinv.reports.html import ReportItem, write_report
from jaxinv.runs.inputs import Input, batches, check_mask, deduplicated, list_files, read_inputs
from jaxinv.runs.job import Job, headline, params_for, prepare_job
from jaxinv.runs.observations import Observation
from jaxinv.runs.progress import Display
from jaxinv.runs.request import Request
from jaxinv.runs.restoration_results import (
    as_image,
    data_misfit,
    missing_psnr,
    ranked,
    remeasured,
    restored_item,
    save_degraded,
    save_samples,
)
from jaxinv.runs.results import (
    COLUMNS,
    DIFFERENCE_GAIN,
    ImageResult,
    copy_result,
    report_item,
    save_result,
    score,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.specs import Preset

DIVERGED = "the loss left the finite numbers; the best point before is kept"
Result = tuple[ImageResult, ReportItem]


def read_ahead(batch: int | str | None, preset: Preset, files: int) -> int:
    """Images that are read before any is searched for; `invert` may split them further."""
    if isinstance(batch, int):
        return batch
    if preset.shared or batch is None or jax.default_backend() == "cpu":
        return batch_for(preset, files)
    return MOST


def run(request: Request, preset: Preset) -> tuple[int, int]:
    """Carry out a request; returns (files done, files failed).

    Raises `ValueError` before any work if it cannot start, `OSError` if `out` cannot be written.
    """
    files = list_files(request)
    check_mask(request, files)
    job = prepare_job(request, preset)
    write_json(job.out / "run.json", job.facts)
    named = ("seed", "preset", "generator", "verb", "operator")
    settings = {name: job.facts["request"][name] for name in named}
    items: list[ReportItem] = []
    lines = (job.out / "results.jsonl").open("w", encoding="utf-8")
    try:
        with lines, Display(len(files), job.preset.steps) as display:
            for results in iter_results(job, files, display):
                for result, item in results:
                    record = result.record() | settings
                    lines.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
                    items.append(item)
                lines.flush()
                os.fsync(lines.fileno())
    finally:
        items.sort(key=lambda item: item.name)
        page = job.out / "report.html"
        write_report(page, headline(job), items, COLUMNS, difference_gain=DIFFERENCE_GAIN)
    failed = sum(item.status != "ok" for item in items)
    return len(items) - failed, failed


def iter_results(job: Job, files: list[Path], display: Display) -> Iterator[Iterator[Result]]:
    """Results of all files, batch by batch; files with the same content are inverted once."""
    finished: dict[str, Result] = {}
    repeated: list[Input] = []
    inputs = deduplicated(read_inputs(job.request, job.observation_model, files), repeated)
    for group in batches(inputs, read_ahead(job.request.batch, job.preset, len(files))):
        yield finish_batch(job, group, display, finished)
    for item in repeated:
        yield iter([repeat(job, item, finished[item.dedup_key])])
        display.done()


def finish_batch(
    job: Job, group: list[Input], display: Display, finished: dict[str, Result]
) -> Iterator[Result]:
    """Invert one batch and give a result for each of its inputs; good ones go to `finished`."""
    group = [checked_input(job, item) for item in group]
    for item in group:
        for warning in item.photo.warnings if item.observation and item.photo else (item.reason,):
            display.say(f"warning: {item.file}: {warning}")
    observations_made = [item.observation for item in group if item.observation is not None]
    if not observations_made:
        for item in group:
            finished[item.dedup_key] = skipped(item)
            yield finished[item.dedup_key]
        display.done(len(group))
        return
    began = time.monotonic()
    request = job.request
    masks = [observation.mask for observation in observations_made if observation.mask is not None]
    preset = adapt_preset(
        job.preset, observations_made[0].measurement.shape, observations_made[0].noise
    )
    found = invert(
        job.gen,
        params_for(job, preset),
        np.stack([observation.measurement for observation in observations_made]),
        preset=preset,
        nets=job.nets,
        masks=np.stack(masks) if masks else None,
        labels=None if request.label is None else [request.label] * len(observations_made),
        seed=request.seed,
        restarts=max(request.samples or 1, request.restarts or job.preset.restarts),
        batch=request.batch,
        precision=request.precision,
        every=request.samples is not None,
        report=lambda step: display.step(step, len(observations_made)),
    )
    share = (time.monotonic() - began) / len(observations_made)
    for index, (item, observation) in enumerate(zip(group, observations_made, strict=True)):
        finished[item.dedup_key] = finish_image(job, (item, observation), found, index, share)
        yield finished[item.dedup_key]
    display.done(len(group))


def checked_input(job: Job, item: Input) -> Input:
    """The input, without an offer if the preset cannot look at it."""
    if item.observation is None or job.preset.operator is None:
        return item
    shape = item.observation.measurement.shape
    try:
        least = min(shape[:2]) if len(shape) == 3 else 1
        check_preset(job.gen.spec, adapt_preset(job.preset, shape, item.observation.noise), least)
    except ValueError as error:
        return replace(item, observation=None, reason=str(error))
    return item


def skipped(item: Input) -> Result:
    """Result of a file that could not be used."""
    result = ImageResult(file=item.file, name=item.name, status="skipped", reason=item.reason)
    return result, report_item(result)


def finish_image(
    job: Job, given: tuple[Input, Observation], found: Inversion, index: int, seconds: float
) -> Result:
    """Draw, score and save one result; `seconds` is its share of the search."""
    began = time.monotonic()
    item, observation = given
    latents = jax.tree.map(lambda a: a[index], found.latents)
    full = render_uint8(job.gen, job.params, latents)
    result = ImageResult(
        file=item.file,
        name=item.name,
        status=found.status[index],
        reason="" if found.status[index] == "ok" else DIVERGED,
        sha256=item.photo.sha256 if item.photo else "",
        size=observation.side,
        warnings=item.photo.warnings if item.photo else (),
        scores={}
        if observation.reference is None
        else score(job.nets, full, observation.reference),
        loss=float(found.loss[index]),
        evaluations=int(found.evaluations[index]),
        transform=item.photo.transform if item.photo else None,
    )
    if job.request.verb == "invert" and observation.reference is not None:
        shown = report_item(result, full, observation.reference, found.losses[index])
    else:
        result, shown = finish_restoration(job, result, observation, (full, found), index)
    save_result(
        job.out, result, latents, full, job.gen.spec, facts=job.facts, export=job.request.export
    )
    result = replace(result, seconds=round(seconds + time.monotonic() - began, 3))
    return result, replace(shown, metrics=result.metrics)


def finish_restoration(
    job: Job,
    result: ImageResult,
    observation: Observation,
    best: tuple[np.ndarray, Inversion],
    index: int,
) -> Result:
    """Degrade one answer again, and save that and the other answers."""
    full, found = best
    operator = job.preset.operator
    again = remeasured(operator, full, observation)
    scores = (
        result.scores
        | missing_psnr(full, observation)
        | {"misfit": data_misfit(again, observation)}
    )
    scores |= {} if observation.noise is None else {"noise": observation.noise}
    result = replace(result, scores=scores)
    save_degraded(job.out, result.name, operator, (again, observation))
    pictures = [full]
    if found.every is not None:
        kept = ranked(found.every, index, job.request.samples or 1)
        pictures = [render_uint8(job.gen, job.params, latents) for latents in kept]
        answers = list(zip(kept, pictures, strict=True))
        save_samples(job.out, result, answers, job.facts)
    views = {
        "degraded input": as_image(operator, observation.measurement, observation.side),
        "answer degraded again": as_image(operator, again, observation.side),
    }
    if observation.reference is not None:
        views["clean picture"] = as_image(None, observation.reference, observation.side)
    return result, restored_item(result, pictures, views, found.losses[index])


def repeat(job: Job, item: Input, first: Result) -> Result:
    """Result of a file with the same content as an earlier one: that one's, under its own name."""
    result, shown = first
    if result.status == "skipped":
        return skipped(replace(item, reason=result.reason))
    note = f"same content as {result.file}, whose result is reused"
    again = replace(result, file=item.file, name=item.name, seconds=0.0)
    again = replace(again, warnings=(*result.warnings, note))
    copy_result(job.out, result.name, again)
    return again, replace(shown, name=item.file, warnings=again.warnings)
