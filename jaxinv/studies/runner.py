"""`jaxinv study`: methods by name or from a file, on pictures or on the generator's own draws."""

from __future__ import annotations

import runpy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.inversion.arguments import check_labels
from jaxinv.inversion.presets import find_preset, with_steps
from jaxinv.io.checkpoints import stored_spec
from jaxinv.io.files import atomic_write, check_exists, find_images, write_json
from jaxinv.io.images import ImageError, read_photo
from jaxinv.io.output_folder import STUDY, output_folder
from jaxinv.latents.sampling import check_label, sample_latents
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from jaxinv.specs import Preset
from jaxinv.specs.checks import check_above
from jaxinv.studies import plots
from jaxinv.studies.study import study, with_rate
from jaxinv.studies.tables import curve_rows, final_rows, slice_rows, summary, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params


@dataclass(frozen=True)
class StudyRequest:
    """What `jaxinv study` was asked for; all of it goes into study.json."""

    methods: tuple[str, ...]
    generator: str
    images: str | None = None
    draws: int | None = None
    out: str = "study"
    seeds: int = 4
    steps: int | None = None
    rates: tuple[float, ...] = ()
    target: str | None = None
    size: int | None = None
    limit: int | None = None
    batch: int | str | None = None
    seed: int = 0
    label: int | None = None
    align: str = "auto"


@dataclass(frozen=True)
class StudyImages:
    """What is searched for: images [B, S, S, 3], their names, their latents if known.

    `skipped` are the files that cannot be used, with the reasons.
    """

    pixels: np.ndarray
    names: tuple[str, ...]
    truth: Latents | None = None
    skipped: dict[str, str] = field(default_factory=dict[str, str])


def read_methods(methods: Iterable[str]) -> list[Preset]:
    """Presets by name, and those of Python files; `ValueError` for what is neither.

    A file is run: it is the caller's own code.
    """
    return [
        preset
        for method in methods
        for preset in (read_spec(method) if method.endswith(".py") else [find_preset(method)])
    ]


def read_spec(path: str) -> list[Preset]:
    """The presets that a Python file names PRESETS, a tuple, list or dict of `Preset`."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; allowed: a Python file that defines PRESETS")
    try:
        found = runpy.run_path(path).get("PRESETS")
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    presets = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(presets, list | tuple) or not presets:
        held = "no PRESETS" if found is None else f"PRESETS = {found!r}"
        raise ValueError(f"{path} defines {held}; allowed: a tuple, list or dict of Preset")
    for preset in presets:
        if not isinstance(preset, Preset):
            raise ValueError(f"{path}: {preset!r} in PRESETS; allowed: objects of Preset")
    return list(presets)


def prepare(request: StudyRequest) -> list[Preset]:
    """The presets of a plan at its steps and rates; `ValueError` before any weights are loaded."""
    if (request.images is None) == (request.draws is None):
        given = "both" if request.images is not None else "neither"
        raise ValueError(f"--images and --self: {given} given; allowed: one of them")
    if request.images is not None:
        check_exists(request.images)
        if not find_images([request.images], limit=1):
            raise ValueError(f"no image files in {request.images}")
    presets = [with_steps(preset, request.steps) for preset in read_methods(request.methods)]
    for rate in request.rates:
        check_above("learning rate", rate, 0.0)
    if request.rates:
        presets = [with_rate(preset, rate) for preset in presets for rate in request.rates]
    aim = parse_target(request.target)
    names = [preset.name for preset in presets]
    if len(set(names)) < len(names):
        raise ValueError(f"presets {', '.join(names)}; allowed: each name once")
    if isinstance(aim, str) and aim not in names:
        raise ValueError(f"unknown --target {aim!r}; allowed: a number of dB, {', '.join(names)}")
    return presets


def parse_target(text: str | None) -> float | str | None:
    """A number of dB, or the name of the preset to be matched."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def load_images(request: StudyRequest, gen: Generator, params: Params) -> StudyImages:
    """The images of a plan, read or drawn; `ValueError` where there is none."""
    size = request.size or gen.spec.resolution
    if not 16 <= size <= gen.spec.resolution:
        raise ValueError(f"--size {size}; allowed: 16 to {gen.spec.resolution}")
    if request.images is None:
        truth = sample_latents(
            gen, params, request.draws or 1, seed=request.seed, label=request.label
        )
        drawn = render(gen, params, truth, size=size)
        return StudyImages(drawn, tuple(f"draw-{i}" for i in range(len(drawn))), truth)
    align = "none" if gen.spec.alignment == "none" else request.align
    pixels: dict[str, np.ndarray] = {}
    skipped: dict[str, str] = {}
    for file in find_images([request.images], limit=request.limit):
        try:
            pixels[str(file)] = read_photo(file, size=size, align=align).pixels
        except ImageError as error:
            skipped[str(file)] = error.reason
    if not pixels:
        listed = "; ".join(f"{file}: {reason}" for file, reason in skipped.items())
        raise ValueError(f"no image can be used: {listed}")
    return StudyImages(np.stack(list(pixels.values())), tuple(pixels), skipped=skipped)


def run(
    request: StudyRequest, presets: list[Preset], report: Callable[[str], object]
) -> tuple[str, int]:
    """Carry a plan out and write all into its folder; the summary, and how many files were skipped.

    Raises `ValueError` for what cannot be studied, if results might replace a file that is read, or
    if another run writes into the folder; `OSError` if the folder cannot be written.
    """
    names = [*(request.methods), request.generator, request.align]
    pictures = find_images([request.images]) if request.images else []
    with output_folder(request.out, STUDY, inputs=[*pictures, *map(Path, names)]) as out:
        return write_study(request, presets, out, report=report)


def write_study(
    request: StudyRequest, presets: list[Preset], out: Path, *, report: Callable[[str], object]
) -> tuple[str, int]:
    """Fill the folder of a study; the summary, and how many files were skipped."""
    spec = stored_spec(request.generator)
    labels = None if request.label is None else [request.label]
    if request.draws and spec.labels:
        check_label(spec, request.label)
    for preset in presets:
        check_labels(spec, preset, labels, 1)
    gen, params = load_generator(request.generator)
    given = load_images(request, gen, params)
    for file, reason in given.skipped.items():
        report(f"warning: {file}: {reason}")
    facts: dict[str, Any] = {"plan": asdict(request), "presets": [asdict(p) for p in presets]}
    facts |= {"skipped": given.skipped, "device": jax.devices()[0].device_kind}
    write_json(out / "study.json", facts)
    found = study(
        gen,
        params,
        given.pixels,
        presets,
        seeds=request.seeds,
        target=parse_target(request.target),
        labels=None if request.label is None else [request.label] * len(given.names),
        truth=given.truth,
        seed=request.seed,
        batch=request.batch,
        report=report,
    )
    for name, rows in (("curves", curve_rows), ("finals", final_rows), ("slices", slice_rows)):
        write_rows(out, name, rows(found, given.names))
    table = summary(found)
    data = f"{table}\n".encode()
    atomic_write(out / "summary.md", lambda file: file.write(data))
    if plots.can_draw():
        plots.draw_all(found, out)
    else:
        report(plots.INSTALL)
    return table, len(given.skipped)
