"""A folder of photographs -> latents, images, one line of results per file, and a report.

Every input file gets exactly one line in `results.jsonl`, broken ones included; a line is on disk
before the next batch starts, so that nothing computed is lost when a run ends early. The same
command goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Progress
from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.io.files import write_json
from jaxinv.io.image_ops import PixelRangeWarning
from jaxinv.io.launchers import ALONE, Share
from jaxinv.io.output_folder import SEARCHES, hold
from jaxinv.io.progress import announce
from jaxinv.io.reading_ahead import reading_ahead
from jaxinv.io.stopping import Stopped, Stopping, stop_signals
from jaxinv.io.text import json_text
from jaxinv.reports.html import write_report
from jaxinv.reports.items import ItemFile
from jaxinv.runs.earlier import (
    MANIFEST,
    Earlier,
    finished_results,
    read_earlier,
    rewrite,
    set_aside,
    standing,
    traces,
)
from jaxinv.runs.encoding import VERB, encoded
from jaxinv.runs.finish import finish_images, repeated_result, skipped
from jaxinv.runs.inputs import (
    FROM_DATA,
    Input,
    absolute,
    batches,
    check_mask,
    classes_tried,
    deduplicated,
    files_read,
    list_files,
    read_inputs,
    unique_names,
)
from jaxinv.runs.job import (
    Job,
    check_one_process,
    params_for,
    prepare_job,
    preset_for,
    read_ahead,
)
from jaxinv.runs.packing import Packer
from jaxinv.runs.progress import Display
from jaxinv.runs.request import Request
from jaxinv.runs.results import COLUMNS, DIFFERENCE_GAIN, ImageResult
from jaxinv.runs.status import DONE, STOPPED, Count, StatusFile, files_of_all
from jaxinv.runs.tables import (
    WAIT,
    Tables,
    forget_workers,
    living,
    open_tables,
    take_items,
    worker_folders,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxinv.inversion.result import Inversion
    from jaxinv.runs.finish import Result
    from jaxinv.runs.manifest import Manifest
    from jaxinv.runs.observations import Observation
    from jaxinv.specs import Preset


@dataclass
class Work:
    """A run while it goes on: what it says, when it shall stop, and what it has found.

    `finished` has the file whose results stand for each content; `tell` is told every result.
    """

    job: Job
    tables: Tables
    display: Display
    status: StatusFile
    stopping: Stopping
    searches: SearchCheckpoints
    finished: dict[bytes, str] = field(default_factory=dict[bytes, str])
    tell: Callable[[ImageResult], object] = lambda _: None


def run(
    request: Request,
    preset: Preset,
    *,
    fresh: bool = False,
    retry_failed: bool = False,
    share: Share = ALONE,
) -> tuple[int, int]:
    """Carry out a request, or what is left of it; returns (files done, files failed).

    With `fresh`, earlier results in its folder are set aside; with `retry_failed` files that could
    not be used, and searches that diverged, are tried again. Of several processes each does its
    `share`, and the last one gathers what all have written. Raises `ValueError` before any work if
    it cannot start, if results might replace a file that is read, if another run writes into `out`,
    or has written there; `OSError` if `out` cannot be written; `Stopped` if a signal ended it.
    """
    if fresh and not share.alone:
        raise ValueError(f"--fresh by {share}; allowed: a run of one process")
    if not share.alone:
        check_one_process(preset, str(share))
    job, at_once = None, False
    try:
        with stop_signals(announce) as stopping:
            files = list_files(request)
            with open_tables(request.out, share, files_read(request, files)) as tables:
                check_mask(request, files)
                job = prepare_job(request, preset)
                stopping.check()
                if fresh:
                    set_aside(tables.out)
                earlier = begin(job.manifest, tables, retry_failed=retry_failed)
                return write_results(job, files, earlier, (tables, share, stopping))
    except KeyboardInterrupt:
        at_once = True
        raise
    finally:
        if job is not None and not (share.alone or at_once):
            leave(job.manifest)


def begin(manifest: Manifest, tables: Tables, *, retry_failed: bool) -> Earlier:
    """Make the folders of a run, or find what stands in them; `ValueError` if another run's does.

    A process that is alone takes over what workers have written.
    """
    with tables.whole_folder():
        earlier = read_earlier(manifest, retry_failed=retry_failed)
        for folder in (tables.out / "latents", tables.out / "images", tables.items.parent):
            folder.mkdir(exist_ok=True)
        if tables.shared:
            (tables.out / tables.results.name).touch()
        else:
            take_items(tables)
        rewrite(tables, earlier)
        write_json(manifest.out / MANIFEST, manifest.to_json())
        if not tables.shared:
            forget_workers(tables.out)
    return earlier


def write_results(
    job: Job, files: list[Path], earlier: Earlier, how: tuple[Tables, Share, Stopping]
) -> tuple[int, int]:
    """Do what is left of this process's share; returns (files done, files failed), of all in it."""
    (tables, share, stopping), manifest = how, job.manifest
    left = files_left(files, earlier)
    all_files = len(earlier.lines) + len(left)
    left = [(f, n) for f, n in left if share.takes(absolute(f))]
    kept = [line for path, line in earlier.lines.items() if share.takes(path)]
    failed = sum(line["status"] != "ok" for line in kept)
    count = Count(len(kept) + len(left), len(kept), failed)
    display = Display(count.files, manifest.preset.steps, finished=count.done)
    status = StatusFile(tables.place, count, share, all_files=all_files)
    searches = SearchCheckpoints(manifest.out / SEARCHES, urgent=lambda: stopping.asked)
    work = Work(job, tables, display, status, stopping, searches)
    items = ItemFile(tables.items)
    items.keep(earlier.files)
    work.finished |= earlier.contents(tables, items.names)
    packer = Packer(manifest.out, manifest.request.shard_size if share.alone else None)
    packer.start(earlier.names.values())
    try:
        with display, status:
            if kept:
                display.say(f"{len(kept)} of {count.files} files have results from before")
            record(work, left, items, packer)
    except Stopped:
        if status.done < count.files:
            raise
    finally:
        if share.alone:
            report(manifest, items)
    if share.alone:
        searches.clear()
    return status.done - status.failed, status.failed


def files_left(files: list[Path], earlier: Earlier) -> list[tuple[Path, str]]:
    """The files that have no result yet, each with the name of its results."""
    names = unique_names(files, earlier.names)
    return [(f, n) for f, n in zip(files, names, strict=True) if absolute(f) not in earlier.lines]


def record(
    work: Work, files: list[tuple[Path, str]], items: ItemFile, packer: Packer | None = None
) -> None:
    """Search for files, by batches, and put down what was found, each batch before the next."""
    manifest, status = work.job.manifest, work.status
    packer = packer or Packer(manifest.out, None)
    inputs = read_inputs(manifest.request, work.job.observation_model, files)
    with work.tables.results.open("a", encoding="utf-8") as lines, reading_ahead(inputs) as read:
        for found in iter_results(work, read, len(files)):
            names_done: list[str] = []
            for result, item in found:
                marks = traces(manifest.out, result.file, result.name)
                items.add([item])
                lines.write(json_text(result.record() | manifest.settings | marks) + "\n")
                status.add(result.status)
                work.tell(result)
                names_done.append(result.name)
            lines.flush()
            os.fsync(lines.fileno())
            packer.add(*names_done)
            status.write()
            work.searches.forget()
            work.stopping.check()
    packer.finish()


def report(manifest: Manifest, items: ItemFile) -> None:
    """Write the report of all that is in the run's own tables."""
    page = manifest.out / "report.html"
    write_report(page, manifest.headline(), items, COLUMNS, difference_gain=DIFFERENCE_GAIN)


def leave(manifest: Manifest) -> None:
    """Gather what all workers have written into one, unless some of them are still at it.

    Until then, and where another one holds the folder for long, it is left to those that come.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(hold(manifest.out, WAIT))
        except ValueError:
            return
        if worker_folders(manifest.out) and not living(manifest.out):
            gather(manifest, files_of_all(manifest.out))


def gather(manifest: Manifest, files: int) -> None:
    """Make the tables of all workers, who had `files` together, those of the run; and report.

    Results are packed only now, where that is asked for: shards are written by one process.
    """
    tables, found = Tables(manifest.out, manifest.out), standing(manifest.out)
    done = len(found.lines)
    count = Count(max(done, files), done, found.failed)
    take_items(tables)
    rewrite(tables, found)
    items = ItemFile(tables.items)
    items.keep(found.files)
    packer = Packer(manifest.out, manifest.request.shard_size)
    packer.start(found.names.values())
    packer.finish()
    report(manifest, items)
    StatusFile(manifest.out, count).write(DONE if done == count.files else STOPPED)
    forget_workers(manifest.out)
    if done == count.files:
        SearchCheckpoints(manifest.out / SEARCHES).clear()


def iter_results(work: Work, found: Iterator[Input], files: int) -> Iterator[Iterator[Result]]:
    """Results of all files, batch by batch; files with the same content are inverted once."""
    job, repeated = work.job, list[Input]()
    known = list(work.finished)  # another thread reads the files
    for group in batches(deduplicated(found, repeated, known), read_ahead(job, files)):
        yield finish_batch(work, group)
    if not repeated:
        return
    first = finished_results(work.tables, {work.finished[item.dedup_key] for item in repeated})
    items = ItemFile(work.tables.items)
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
        if preset is None:
            display.say(f"skipped: {item.file}: {item.reason}")
        for warning in item.photo.warnings if preset and item.photo else ():
            display.say(f"warning: {item.file}: {warning}")
        work.finished[item.dedup_key] = item.file
    if preset is None:
        yield from map(skipped, group)
    else:
        began = time.monotonic()
        found = search(work, preset, given)
        share = (time.monotonic() - began) / len(given)
        yield from finish_images(job, group, given, found, seconds=share)
    display.done(len(group))


def _labels(job: Job, given: list[Observation]) -> list[Any] | None:
    """The class of each, or those that are tried for each; None without classes."""
    asked = job.manifest.request.label
    if isinstance(asked, str) and asked != FROM_DATA:
        return [classes_tried(asked, job.gen.spec.labels)] * len(given)
    return None if asked is None else [seen.label or 0 for seen in given]


def search(work: Work, preset: Preset, given: list[Observation]) -> Inversion:
    """Latents for one batch of what was seen."""
    job, request = work.job, work.job.manifest.request
    if request.verb == VERB and job.encoder is not None:
        also = {"attribute": request.attribute, "passes": request.passes}
        return encoded(job.encoder, (job.gen, job.params), given, preset, **also)
    masks = [seen.mask for seen in given if seen.mask is not None]

    def look(progress: Progress) -> None:
        work.display.step(progress)
        work.status.write()
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
            named_images={
                name: np.stack([seen.named_images[name] for seen in given])
                for name in request.image_places
            },
            named_vectors={name: np.stack([v] * len(given)) for name, v in job.vectors.items()},
            init=job.encoder,
            labels=_labels(job, given),
            seed=request.seed,
            restarts=max(request.samples or 1, request.restarts or job.manifest.preset.restarts),
            batch=request.batch,
            precision=request.precision,
            keep_all_restarts=request.samples is not None,
            report=look,
            checkpoints=work.searches,
        )
