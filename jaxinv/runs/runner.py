"""A folder of photographs -> latents, images, one line of results per file, and a report.

Every input file gets exactly one line in `results.jsonl`, broken ones included; a line is on disk
before the next batch starts, so that nothing computed is lost when a run ends early.
"""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.io.files import open_new, write_json
from jaxinv.io.image_ops import PixelRangeWarning
from jaxinv.io.output_folder import RUN, output_folder
from jaxinv.io.text import json_text
from jaxinv.reports.html import ReportItem, write_report
from jaxinv.runs.encoding import VERB, encoded
from jaxinv.runs.finish import finish_image, repeated_result, skipped
from jaxinv.runs.inputs import (
    Input,
    batches,
    check_mask,
    deduplicated,
    files_read,
    list_files,
    read_inputs,
)
from jaxinv.runs.job import Job, params_for, prepare_job, preset_for, read_ahead
from jaxinv.runs.progress import Display
from jaxinv.runs.request import Request
from jaxinv.runs.results import COLUMNS, DIFFERENCE_GAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.inversion.result import Inversion
    from jaxinv.runs.finish import Result
    from jaxinv.runs.observations import Observation
    from jaxinv.specs import Preset


def run(request: Request, preset: Preset) -> tuple[int, int]:
    """Carry out a request; returns (files done, files failed).

    Raises `ValueError` before any work if it cannot start, if results might replace a file that is
    read, or if another run writes into `out`; `OSError` if `out` cannot be written.
    """
    files = list_files(request)
    with output_folder(request.out, RUN, inputs=files_read(request, files)):
        check_mask(request, files)
        return write_results(prepare_job(request, preset), files)


def write_results(job: Job, files: list[Path]) -> tuple[int, int]:
    """Fill the folder for results; returns (files done, files failed)."""
    manifest = job.manifest
    for folder in ("latents", "images"):
        (manifest.out / folder).mkdir(exist_ok=True)
    write_json(manifest.out / "run.json", manifest.to_json())
    items: list[ReportItem] = []
    lines = open_new(manifest.out / "results.jsonl")
    try:
        with lines, Display(len(files), manifest.preset.steps) as display:
            for results in iter_results(job, files, display):
                for result, item in results:
                    record = result.record() | manifest.settings
                    lines.write(json_text(record) + "\n")
                    items.append(item)
                lines.flush()
                os.fsync(lines.fileno())
    finally:
        items.sort(key=lambda item: item.name)
        page = manifest.out / "report.html"
        write_report(page, manifest.headline(), items, COLUMNS, difference_gain=DIFFERENCE_GAIN)
    failed = sum(item.status != "ok" for item in items)
    return len(items) - failed, failed


def iter_results(job: Job, files: list[Path], display: Display) -> Iterator[Iterator[Result]]:
    """Results of all files, batch by batch; files with the same content are inverted once."""
    finished: dict[str, Result] = {}
    repeated: list[Input] = []
    found = read_inputs(job.manifest.request, job.observation_model, files)
    for group in batches(deduplicated(found, repeated), read_ahead(job, len(files))):
        yield finish_batch(job, group, display, finished)
    for item in repeated:
        yield iter([repeated_result(job.manifest.out, item, finished[item.dedup_key])])
        display.done()


def finish_batch(
    job: Job, group: list[Input], display: Display, finished: dict[str, Result]
) -> Iterator[Result]:
    """Invert one batch and give a result for each of its inputs; good ones go to `finished`.

    What can be said of one input of a batch can be said of all: its `batch_key` is theirs.
    """
    given = [item.observation for item in group if item.observation is not None]
    preset = None
    try:
        preset = preset_for(job, given[0]) if given else None
    except ValueError as error:
        group = [replace(item, reason=str(error)) for item in group]
    for item in group:
        for warning in item.photo.warnings if preset and item.photo else (item.reason,):
            display.say(f"warning: {item.file}: {warning}")
    if preset is None:
        for item in group:
            finished[item.dedup_key] = skipped(item)
            yield finished[item.dedup_key]
    else:
        began = time.monotonic()
        found = search(job, preset, given, display)
        share = (time.monotonic() - began) / len(given)
        for index, (item, seen) in enumerate(zip(group, given, strict=True)):
            result = finish_image(job, item, seen, found, index, seconds=share)
            finished[item.dedup_key] = result
            yield result
    display.done(len(group))


def search(job: Job, preset: Preset, given: list[Observation], display: Display) -> Inversion:
    """Latents for one batch of what was seen."""
    request = job.manifest.request
    if request.verb == VERB and job.encoder is not None:
        also = {"attribute": request.attribute, "passes": request.passes}
        return encoded(job.encoder, (job.gen, job.params), given, preset, **also)
    masks = [seen.mask for seen in given if seen.mask is not None]
    with warnings.catch_warnings(action="ignore", category=PixelRangeWarning):
        return invert(
            job.gen,
            params_for(job, preset),
            np.stack([seen.measurement for seen in given]),
            preset=preset,
            nets=job.nets,
            masks=np.stack(masks) if masks else None,
            named_masks={
                name: np.stack([seen.named_masks[name] for seen in given])
                for name in request.mask_places
            },
            init=job.encoder,
            labels=None if request.label is None else [request.label] * len(given),
            seed=request.seed,
            restarts=max(request.samples or 1, request.restarts or job.manifest.preset.restarts),
            batch=request.batch,
            precision=request.precision,
            keep_all_restarts=request.samples is not None,
            report=display.step,
        )
