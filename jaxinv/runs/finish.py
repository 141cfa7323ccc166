"""What the search found for one file -> its pictures, scores and files, and its part of the report.

Plain inversions and restorations are finished alike; a restoration is also degraded again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from jaxinv.metrics.table import look
from jaxinv.models.arguments import samples_of
from jaxinv.models.rendering import render_uint8
from jaxinv.runs.restoration_results import best_restarts, finish_restoration
from jaxinv.runs.results import (
    ImageResult,
    compared_item,
    copy_result,
    report_item,
    save_result,
    score,
    score_each,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from jaxinv.inversion.result import Inversion
    from jaxinv.reports.items import ReportItem
    from jaxinv.runs.inputs import Input
    from jaxinv.runs.job import Job
    from jaxinv.runs.observations import Observation
    from jaxinv.types import Latents

    Result = tuple[ImageResult, ReportItem]

PLAIN = ("invert", "encode")  # verbs whose pictures are compared as they are
DIVERGED = "the loss left the finite numbers; the best point before is kept"


def skipped(item: Input) -> Result:
    """Result of a file that could not be used."""
    result = ImageResult(file=item.file, name=item.name, status="skipped", reason=item.reason)
    return result, report_item(result)


def finish_images(
    job: Job, group: list[Input], given: list[Observation], found: Inversion, *, seconds: float
) -> Iterator[Result]:
    """Draw, score and save the results of a batch; `seconds` is each one's share of the search."""
    began = time.monotonic()
    codes = list(samples_of(found.latents))
    fulls = [render_uint8(job.gen, job.params, latents) for latents in codes]
    scores = scores_of(job, fulls, [seen.reference for seen in given])
    seconds += (time.monotonic() - began) / len(group)
    for index, (item, seen) in enumerate(zip(group, given, strict=True)):
        drawn = codes[index], fulls[index], scores[index]
        yield finish_image(job, (item, seen), drawn, (found, index), seconds=seconds)


def finish_image(
    job: Job,
    asked: tuple[Input, Observation],
    drawn: tuple[Latents, np.ndarray, dict[str, float]],
    searched: tuple[Inversion, int],
    *,
    seconds: float,
) -> Result:
    """Save one result: its latents, their picture and its scores, as `drawn` and `searched` say."""
    began = time.monotonic()
    (item, seen), (latents, full, scores), (found, index) = asked, drawn, searched
    target, losses = seen.reference, found.losses[index]
    result = ImageResult(
        file=item.file,
        name=item.name,
        status=found.status[index],
        reason="" if found.status[index] == "ok" else DIVERGED,
        sha256=item.photo.sha256 if item.photo else "",
        size=seen.side,
        warnings=item.photo.warnings if item.photo else (),
        scores=scores,
        loss=float(found.loss[index]),
        evaluations=int(found.evaluations[index]),
        transform=item.photo.transform if item.photo else None,
    )
    if job.manifest.request.verb in PLAIN and target is not None:
        shown = compared_item(result, full, target, losses)
    else:
        kept = best_restarts(found, index, job.manifest.request.samples or 1)
        answers = [(one, render_uint8(job.gen, job.params, one)) for one in kept]
        answers = answers or [(latents, full)]
        result, shown = finish_restoration(job.manifest, result, seen, answers, losses)
    save_result(job.manifest, result, latents, full)
    result = replace(result, seconds=round(seconds + time.monotonic() - began, 3))
    return result, replace(shown, metrics=result.metrics)


def scores_of(
    job: Job, fulls: list[np.ndarray], targets: list[np.ndarray | None]
) -> list[dict[str, float]]:
    """Scores of written pictures, against their targets where there are some; {} if not wanted.

    Pictures whose targets are of one size are scored together.
    """
    if not job.manifest.request.scores:
        return [{} for _ in fulls]
    against = [target for target in targets if target is not None]
    if len(against) == len(fulls) and len({target.shape for target in against}) == 1:
        found = score_each(job.nets, fulls, against)
    else:
        found = [
            look(full[None]) if target is None else score(job.nets, full, target)
            for full, target in zip(fulls, targets, strict=True)
        ]
    if job.texture is None:
        return found
    near = [{"fine_patches": job.texture.distance(full)} for full in fulls]
    return [one | more for one, more in zip(found, near, strict=True)]


def repeated_result(out: Path, item: Input, first: Result) -> Result:
    """Result of a file with the same content as an earlier one: that one's, under its own name."""
    result, shown = first
    if result.status == "skipped":
        return skipped(replace(item, reason=result.reason))
    note = f"same content as {result.file}, whose result is reused"
    warnings = (*result.warnings, note)
    again = replace(result, file=item.file, name=item.name, seconds=0.0, warnings=warnings)
    copy_result(out, result.name, again)
    return again, replace(shown, name=item.file, warnings=warnings)
