"""A folder of photographs -> latents, images, one line of results per file, and a report.

Every input file gets exactly one line in `results.jsonl`, broken ones included; a line is on disk
before the next batch starts, so that nothing computed is lost when a run ends early.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv import __version__, checkpoints
from jaxinv.align import check_mode
from jaxinv.checkpoints import weights_file
from jaxinv.doctor import version
from jaxinv.inputs import (
    Input,
    Request,
    batches,
    check_mask,
    first_of_each,
    list_files,
    read_inputs,
)
from jaxinv.inversion import Inversion, invert, usual_batch, with_steps
from jaxinv.loading import load_features, load_generator
from jaxinv.memory import MOST
from jaxinv.offers import FAINT, Degradation, Offer, check_operator, loss_size
from jaxinv.outcome import (
    DIFFERENCE_GAIN,
    Outcome,
    copy_outcome,
    judge,
    numbers,
    picture,
    report_item,
    save_outcome,
)
from jaxinv.preparation import equipped
from jaxinv.progress import Display, announce
from jaxinv.report import ReportItem, write_report
from jaxinv.requirements import check_preset
from jaxinv.restored import (
    degraded_again,
    misfit,
    missing_psnr,
    ranked,
    restored_item,
    save_degraded,
    save_samples,
    view,
)
from jaxinv.specs import read_operator
from jaxinv.tailoring import tailored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Params

METRIC_NETS = ("alexnet", "vgg16")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow", "dlib-bin")
DIVERGED = "the loss left the finite numbers; the best point before is kept"


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
    what: Degradation
    measured: dict[tuple[str, ...], Params] = field(default_factory=dict[tuple[str, ...], "Params"])


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


def prepare_job(request: Request, preset: Preset) -> Job:
    """Make folders, load weights, and write down all that is needed to repeat the run."""
    preset = with_steps(preset, request.steps)
    if request.operator is not None:
        preset = replace(preset, operator=read_operator(request.operator))
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
    what = Degradation(
        gen.spec.resolution,
        request.size,
        preset.operator,
        request.border,
        bool(request.simulate),
        request.discrepancy,
    )
    usual = loss_size(0, request.size, gen.spec.resolution)
    noise = FAINT if isinstance(request.discrepancy, str) else request.discrepancy
    check_preset(gen.spec, tailored(preset, (usual, usual, 3), noise), usual)
    if preset.operator is not None:
        check_operator(preset.operator, gen.spec.resolution, request.size)
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
    return Job(request, preset, gen, params, load_features(names), out, facts, what)


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


def measured(job: Job, preset: Preset) -> Params:
    """The parameters with what a tailored preset needs: other nets, other statistics.

    With the nets of the preset as it was, its own statistics serve, wherever it looks now.
    """
    if preset.nets not in job.measured:
        like = job.preset if preset.nets == job.preset.nets else preset
        known = equipped(job.gen, job.params, like, job.nets, report=announce)
        job.measured[preset.nets] = known
    return job.measured[preset.nets]


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


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    # File names that are not UTF-8 hold lone surrogates, for which JSON has its own escape.
    text = json.dumps(value, indent=2, ensure_ascii=False)
    data = text.encode("utf-8", "backslashreplace")
    checkpoints.atomic_write(path, lambda file: file.write(data))
