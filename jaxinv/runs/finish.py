"""What the search found for one file -> its pictures, scores and files, and its part of the report.

Plain inversions and restorations are finished alike; a restoration is also degraded again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import jax

from jaxinv.metrics.table import look
from jaxinv.models.rendering import render_uint8
from jaxinv.runs.restoration_results import best_restarts, finish_restoration
from jaxinv.runs.results import (
    ImageResult,
    compared_item,
    copy_result,
    report_item,
    save_result,
    score,
)

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from jaxinv.inversion.result import Inversion
    from jaxinv.reports.items import ReportItem
    from jaxinv.runs.inputs import Input
    from jaxinv.runs.job import Job
    from jaxinv.runs.observations import Observation

    Result = tuple[ImageResult, ReportItem]

DIVERGED = "the loss left the finite numbers; the best point before is kept"


def skipped(item: Input) -> Result:
    """Result of a file that could not be used."""
    result = ImageResult(file=item.file, name=item.name, status="skipped", reason=item.reason)
    return result, report_item(result)


def finish_image(
    job: Job, item: Input, seen: Observation, found: Inversion, index: int, *, seconds: float
) -> Result:
    """Draw, score and save one result; `seconds` is its share of the search."""
    began = time.monotonic()
    latents = jax.tree.map(lambda a: a[index], found.latents)
    full = render_uint8(job.gen, job.params, latents)
    target, losses = seen.reference, found.losses[index]
    result = ImageResult(
        file=item.file,
        name=item.name,
        status=found.status[index],
        reason="" if found.status[index] == "ok" else DIVERGED,
        sha256=item.photo.sha256 if item.photo else "",
        size=seen.side,
        warnings=item.photo.warnings if item.photo else (),
        scores=scores_of(job, full, target),
        loss=float(found.loss[index]),
        evaluations=int(found.evaluations[index]),
        transform=item.photo.transform if item.photo else None,
    )
    if job.manifest.request.verb == "invert" and target is not None:
        shown = compared_item(result, full, target, losses)
    else:
        kept = best_restarts(found, index, job.manifest.request.samples or 1)
        answers = [(one, render_uint8(job.gen, job.params, one)) for one in kept]
        answers = answers or [(latents, full)]
        result, shown = finish_restoration(job.manifest, result, seen, answers, losses)
    save_result(job.manifest, result, latents, full)
    result = replace(result, seconds=round(seconds + time.monotonic() - began, 3))
    return result, replace(shown, metrics=result.metrics)


def scores_of(job: Job, full: np.ndarray, target: np.ndarray | None) -> dict[str, float]:
    """Scores of a written picture, against its target where there is one; {} if none are wanted."""
    if not job.manifest.request.scores:
        return {}
    return look(full[None]) if target is None else score(job.nets, full, target)


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
