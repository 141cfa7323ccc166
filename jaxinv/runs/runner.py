"""A folder of photographs -> latents, images, one line of results per file, and a report.

Every input file gets exactly one line in `results.jsonl`, broken ones included; a line is on disk
before the next batch starts, so that nothing computed is lost when a run ends early. The same
command goes on from there.
"""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Progress
from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.io.files import write_json
from jaxinv.io.image_ops import PixelRangeWarning
from jaxinv.io.output_folder import RUN, SEARCHES, output_folder
from jaxinv.io.progress import announce
from jaxinv.io.reading_ahead import reading_ahead
from jaxinv.io.stopping import Stopped, Stopping, stop_signals
from jaxinv.io.text import json_text
from jaxinv.reports.html import FOLDER, write_report
from jaxinv.reports.items import ItemFile
from jaxinv.runs.earlier import (
    MANIFEST,
    Earlier,
    finished_results,
    read_earlier,
    rewrite,
    set_aside,
    traces,
)
from jaxinv.runs.encoding import VERB, encoded
from jaxinv.runs.finish import finish_image, repeated_result, skipped
from jaxinv.runs.inputs import (
    Input,
    absolute,
    batches,
    check_mask,
    deduplicated,
    files_read,
    list_files,
    read_inputs,
    unique_names,
)
from jaxinv.runs.job import Job, params_for, prepare_job, preset_for, read_ahead
from jaxinv.runs.packing import Packer
from jaxinv.runs.progress import Display
from jaxinv.runs.request import Request
from jaxinv.runs.results import COLUMNS, DIFFERENCE_GAIN
from jaxinv.runs.status import StatusFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.inversion.result import Inversion
    from jaxinv.runs.finish import Result
    from jaxinv.runs.observations import Observation
    from jaxinv.specs import Preset

ITEMS = "items.jsonl"  # of the report


@dataclass
class Work:
    """A run while it goes on: what it says, when it shall stop, and what it has found.

    `finished` has the file whose results stand for each content.
    """

    job: Job
    display: Display
    stopping: Stopping
    searches: SearchCheckpoints
    finished: dict[str, str] = field(default_factory=dict[str, str])


def run(
    request: Request, preset: Preset, *, fresh: bool = False, retry_failed: bool = False
) -> tuple[int, int]:
    """Carry out a request, or what is left of it; returns (files done, files failed).

    With `fresh`, earlier results in its folder are set aside; with `retry_failed` files that could
    not be used, and searches that diverged, are tried again. Raises `ValueError` before any work if
    it cannot start, if results might replace a file that is read, if another run writes into `out`,
    or has written there; `OSError` if `out` cannot be written; `Stopped` if a signal ended it.
    """
    with stop_signals(announce) as stopping:
        files = list_files(request)
        with output_folder(request.out, RUN, inputs=files_read(request, files)) as out:
            check_mask(request, files)
            job = prepare_job(request, preset)
            stopping.check()
            if fresh:
                set_aside(out)
            earlier = read_earlier(job.manifest, retry_failed=retry_failed)
            return write_results(job, files, earlier, stopping)


def write_results(
    job: Job, files: list[Path], earlier: Earlier, stopping: Stopping
) -> tuple[int, int]:
    """Fill the folder for results; returns (files done, files failed), of all in the folder."""
    manifest = job.manifest
    for folder in ("latents", "images", FOLDER):
        (manifest.out / folder).mkdir(exist_ok=True)
    names = unique_names(files, earlier.names)
    left = [(f, n) for f, n in zip(files, names, strict=True) if absolute(f) not in earlier.lines]
    results = rewrite(manifest, earlier)
    write_json(manifest.out / MANIFEST, manifest.to_json())
    items = ItemFile(manifest.out / FOLDER / ITEMS)
    items.keep(earlier.files)
    kept, total = len(earlier.lines), len(earlier.lines) + len(left)
    display = Display(total, manifest.preset.steps, finished=kept)
    status = StatusFile(manifest.out, total, kept, earlier.failed)
    searches = SearchCheckpoints(manifest.out / SEARCHES, urgent=lambda: stopping.asked)
    work = Work(job, display, stopping, searches)
    packer = Packer(manifest.out, manifest.request.shard_size)
    packer.start(earlier.names.values())
    inputs = read_inputs(manifest.request, job.observation_model, left)
    try:
        with (
            results.open("a", encoding="utf-8") as lines,
            display,
            status,
            reading_ahead(inputs) as read,
        ):
            for found in iter_results(work, read, len(left)):
                names_done: list[str] = []
                for result, item in found:
                    marks = traces(manifest.out, result.file, result.name)
                    record = result.record() | manifest.settings | marks
                    items.add([item])
                    lines.write(json_text(record) + "\n")
                    status.add(result.status)
                    names_done.append(result.name)
                lines.flush()
                os.fsync(lines.fileno())
                packer.add(*names_done)
                status.write()
                stopping.check()
            packer.finish()
    except Stopped:
        if status.done < total:
            raise
    finally:
        page = manifest.out / "report.html"
        write_report(page, manifest.headline(), items, COLUMNS, difference_gain=DIFFERENCE_GAIN)
    searches.clear()
    return status.done - status.failed, status.failed


def iter_results(work: Work, found: Iterator[Input], files: int) -> Iterator[Iterator[Result]]:
    """Results of all files, batch by batch; files with the same content are inverted once."""
    job, repeated = work.job, list[Input]()
    for group in batches(deduplicated(found, repeated), read_ahead(job, files)):
        yield finish_batch(work, group)
    if not repeated:
        return
    first = finished_results(job.manifest, {work.finished[item.dedup_key] for item in repeated})
    items = ItemFile(job.manifest.out / FOLDER / ITEMS)
    for item in repeated:
        result = first[work.finished[item.dedup_key]]
        yield iter([repeated_result(job.manifest.out, item, (result, items.of(result.file)))])
        work.display.done()


def finish_batch(work: Work, group: list[Input]) -> Iterator[Result]:
    """Invert one batch and give a result for each of its inputs; good ones go to `finished`.

    What can be said of one input of a batch can be said of all: its `batch_key` is theirs.
    """
    job, display = work.job, work.display
    given = [item.observation for item in group if item.observation is not None]
    preset = None
    try:
        preset = preset_for(job, given[0]) if given else None
    except ValueError as error:
        group = [replace(item, reason=str(error)) for item in group]
    for item in group:
        for warning in item.photo.warnings if preset and item.photo else (item.reason,):
            display.say(f"warning: {item.file}: {warning}")
        work.finished[item.dedup_key] = item.file
    if preset is None:
        yield from map(skipped, group)
    else:
        began = time.monotonic()
        found = search(work, preset, given)
        share = (time.monotonic() - began) / len(given)
        for index, (item, seen) in enumerate(zip(group, given, strict=True)):
            yield finish_image(job, item, seen, found, index, seconds=share)
    display.done(len(group))


def search(work: Work, preset: Preset, given: list[Observation]) -> Inversion:
    """Latents for one batch of what was seen."""
    job, request = work.job, work.job.manifest.request
    if request.verb == VERB and job.encoder is not None:
        also = {"attribute": request.attribute, "passes": request.passes}
        return encoded(job.encoder, (job.gen, job.params), given, preset, **also)
    masks = [seen.mask for seen in given if seen.mask is not None]

    def report(progress: Progress) -> None:
        work.display.step(progress)
        work.stopping.check()

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
            labels=None if request.label is None else [seen.label or 0 for seen in given],
            seed=request.seed,
            restarts=max(request.samples or 1, request.restarts or job.manifest.preset.restarts),
            batch=request.batch,
            precision=request.precision,
            keep_all_restarts=request.samples is not None,
            report=report,
            checkpoints=work.searches,
        )
