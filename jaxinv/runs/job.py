"""What stays the same for all files of a run: generator, weights, preset, and the manifest."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxinv import __version__
from jaxinv.inversion.compatibility import check_preset
from jaxinv.inversion.preset_adaptation import adapt_preset
from jaxinv.inversion.presets import with_steps
from jaxinv.inversion.statistics import with_statistics
from jaxinv.io.checkpoints import weights_file
from jaxinv.io.face_alignment import check_mode
from jaxinv.io.files import sha256_file
from jaxinv.models.loading import load_features, load_generator
from jaxinv.runs.observations import MIN_NOISE, ObservationModel, check_operator, loss_size
from jaxinv.runs.progress import announce
from jaxinv.runs.request import Request
from jaxinv.specs import read_operator

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Params


def version(package: str) -> str:
    """Installed version of a package, or "not installed"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


METRIC_NETS = ("alexnet", "vgg16")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow", "dlib-bin")


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
    observation_model: ObservationModel
    prepared_params: dict[tuple[str, ...], Params] = field(
        default_factory=dict[tuple[str, ...], "Params"]
    )


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
    observation_model = ObservationModel(
        gen.spec.resolution,
        request.size,
        preset.operator,
        request.border,
        bool(request.simulate),
        request.discrepancy,
    )
    usual = loss_size(0, request.size, gen.spec.resolution)
    noise = MIN_NOISE if isinstance(request.discrepancy, str) else request.discrepancy
    check_preset(gen.spec, adapt_preset(preset, (usual, usual, 3), noise), usual)
    if preset.operator is not None:
        check_operator(preset.operator, gen.spec.resolution, request.size)
    if request.align == "auto" and gen.spec.alignment == "none":
        request = replace(request, align="none")
    names = tuple(sorted({*METRIC_NETS, *preset.nets}))
    facts = {
        "request": asdict(request),
        "preset": asdict(preset),
        "generator": asdict(gen.spec),
        "generator_sha256": sha256_file(weights_file(request.generator)),
        "nets_sha256": {name: sha256_file(weights_file(name)) for name in names},
        "versions": {"jaxinv": __version__} | {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return Job(request, preset, gen, params, load_features(names), out, facts, observation_model)


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


def params_for(job: Job, preset: Preset) -> Params:
    """The parameters with what a tailored preset needs: other nets, other statistics.

    With the nets of the preset as it was, its own statistics serve, wherever it looks now.
    """
    if preset.nets not in job.prepared_params:
        like = job.preset if preset.nets == job.preset.nets else preset
        known = with_statistics(job.gen, job.params, like, job.nets, report=announce)
        job.prepared_params[preset.nets] = known
    return job.prepared_params[preset.nets]
