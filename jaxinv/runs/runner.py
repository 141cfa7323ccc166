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

from jaxinv.inversion.arguments import usual_batch
from jaxinv.inversion.compatibility import check_preset
from jaxinv.inversion.invert import invert
from jaxinv.inversion.memory import MOST
from jaxinv.inversion.preset_adaptation import tailored
from jaxinv.inversion.result import Inversion
from jaxinv.io.files import write_json
from jaxinv.models.rendering import picture
from jaxinv.reports.html import ReportItem, write_report
from jaxinv.runs.inputs import Input, batches, check_mask, first_of_each, list_files, read_inputs
from jaxinv.runs.job import Job, headline, measured, prepare_job
from jaxinv.runs.observations import Offer
from jaxinv.runs.progress import Display
from jaxinv.runs.request import Request
from jaxinv.runs.restoration_results import (
    degraded_again,
    misfit,
    missing_psnr,
    ranked,
    restored_item,
    save_degraded,
    save_samples,
    view,
)
from jaxinv.runs.results import (
    DIFFERENCE_GAIN,
    Outcome,
    copy_outcome,
    judge,
    numbers,
    report_item,
    save_outcome,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.specs import Preset

DIVERGED = "the loss left the finite numbers; the best point before is kept"
Result = tuple[Outcome, ReportItem]


def together(batch: int | str | None, preset: Preset, files: int) -> int:
    """Images that are read before any is searched for; `invert` may split them further."""
    if isinstance(batch, int):
        return batch
    if preset.shared or batch is None or jax.default_backend() == "cpu":
        return usual_batch(preset, files)
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
    inputs = first_of_each(read_inputs(job.request, job.what, files), repeated)
    for group in batches(inputs, together(job.request.batch, job.preset, len(files))):
        yield finish_batch(job, group, display, finished)
    for item in repeated:
        yield iter([repeat(job, item, finished[item.content])])
        display.done()


def finish_batch(
    job: Job, group: list[Input], display: Display, finished: dict[str, Result]
) -> Iterator[Result]:
    """Invert one batch and give a result for each of its inputs; good ones go to `finished`."""
    group = [suitable(job, item) for item in group]
    for item in group:
        for warning in item.photo.warnings if item.offer and item.photo else (item.reason,):
            display.say(f"warning: {item.file}: {warning}")
    offers = [item.offer for item in group if item.offer is not None]
    if not offers:
        for item in group:
            finished[item.content] = skipped(item)
            yield finished[item.content]
        display.done(len(group))
        return
    began = time.monotonic()
    request = job.request
    masks = [offer.mask for offer in offers if offer.mask is not None]
    preset = tailored(job.preset, offers[0].seen.shape, offers[0].noise)
    found = invert(
        job.gen,
        measured(job, preset),
        np.stack([offer.seen for offer in offers]),
        preset=preset,
        nets=job.nets,
        masks=np.stack(masks) if masks else None,
        labels=None if request.label is None else [request.label] * len(offers),
        seed=request.seed,
        restarts=max(request.samples or 1, request.restarts or job.preset.restarts),
        batch=request.batch,
        precision=request.precision,
        every=request.samples is not None,
        report=lambda step: display.step(step, len(offers)),
    )
    share = (time.monotonic() - began) / len(offers)
    for index, (item, offer) in enumerate(zip(group, offers, strict=True)):
        finished[item.content] = conclude(job, (item, offer), found, index, share)
        yield finished[item.content]
    display.done(len(group))


def suitable(job: Job, item: Input) -> Input:
    """The input, without an offer if the preset cannot look at it."""
    if item.offer is None or job.preset.operator is None:
        return item
    shape = item.offer.seen.shape
    try:
        least = min(shape[:2]) if len(shape) == 3 else 1
        check_preset(job.gen.spec, tailored(job.preset, shape, item.offer.noise), least)
    except ValueError as error:
        return replace(item, offer=None, reason=str(error))
    return item


def skipped(item: Input) -> Result:
    """Result of a file that could not be used."""
    outcome = Outcome(file=item.file, name=item.name, status="skipped", reason=item.reason)
    return outcome, report_item(outcome)


def conclude(
    job: Job, given: tuple[Input, Offer], found: Inversion, index: int, seconds: float
) -> Result:
    """Draw, score and save one result; `seconds` is its share of the search."""
    began = time.monotonic()
    item, offer = given
    latents = jax.tree.map(lambda a: a[index], found.latents)
    full = picture(job.gen, job.params, latents)
    outcome = Outcome(
        file=item.file,
        name=item.name,
        status=found.status[index],
        reason="" if found.status[index] == "ok" else DIVERGED,
        sha256=item.photo.sha256 if item.photo else "",
        size=offer.side,
        warnings=item.photo.warnings if item.photo else (),
        scores={} if offer.truth is None else judge(job.nets, full, offer.truth),
        loss=float(found.loss[index]),
        evaluations=int(found.evaluations[index]),
        transform=item.photo.transform if item.photo else None,
    )
    if job.request.verb == "invert" and offer.truth is not None:
        shown = report_item(outcome, full, offer.truth, found.losses[index])
    else:
        outcome, shown = restored(job, outcome, offer, (full, found), index)
    save_outcome(
        job.out, outcome, latents, full, job.gen.spec, facts=job.facts, export=job.request.export
    )
    outcome = replace(outcome, seconds=seconds + time.monotonic() - began)
    return outcome, replace(shown, metrics=numbers(outcome))


def restored(
    job: Job, outcome: Outcome, offer: Offer, best: tuple[np.ndarray, Inversion], index: int
) -> Result:
    """Degrade one answer again, and save that and the other answers."""
    full, found = best
    operator = job.preset.operator
    again = degraded_again(operator, full, offer)
    scores = outcome.scores | missing_psnr(full, offer) | {"misfit": misfit(again, offer)}
    scores |= {} if offer.noise is None else {"noise": offer.noise}
    outcome = replace(outcome, scores=scores)
    save_degraded(job.out, outcome.name, operator, (again, offer))
    pictures = [full]
    if found.every is not None:
        kept = ranked(found.every, index, job.request.samples or 1)
        pictures = [picture(job.gen, job.params, latents) for latents in kept]
        answers = list(zip(kept, pictures, strict=True))
        save_samples(job.out, outcome, answers, job.facts)
    views = {
        "degraded input": view(operator, offer.seen, offer.side),
        "answer degraded again": view(operator, again, offer.side),
    }
    if offer.truth is not None:
        views["clean picture"] = view(None, offer.truth, offer.side)
    return outcome, restored_item(outcome, pictures, views, found.losses[index])


def repeat(job: Job, item: Input, first: Result) -> Result:
    """Result of a file with the same content as an earlier one: that one's, under its own name."""
    outcome, shown = first
    if outcome.status == "skipped":
        return skipped(replace(item, reason=outcome.reason))
    note = f"same content as {outcome.file}, whose result is reused"
    again = replace(outcome, file=item.file, name=item.name, seconds=0.0)
    again = replace(again, warnings=(*outcome.warnings, note))
    copy_outcome(job.out, outcome.name, again)
    return again, replace(shown, name=item.file, warnings=again.warnings)
