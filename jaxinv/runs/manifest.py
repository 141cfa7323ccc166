"""What a run was asked for and what it ran on: all that is needed to repeat it."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxinv import __version__
from jaxinv.encoders.loading import without_empty
from jaxinv.io.checkpoints import content_sha256, weights_file
from jaxinv.io.files import sha256_file
from jaxinv.metrics.table import NETS
from jaxinv.specs.vocabulary import CALLABLES

if TYPE_CHECKING:
    from jaxinv.runs.request import Request
    from jaxinv.specs import GeneratorSpec, Preset
    from jaxinv.types import Params

SCHEMA = 2  # of run.json; it rises when names in it change
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "pillow", "dlib-bin")
REPEATED = ("seed", "preset", "generator", "verb", "operator")  # in every line of results


def version(package: str) -> str:
    """Installed version of a package, or "not installed"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@dataclass(frozen=True)
class Manifest:
    """The contents of run.json. `nets_sha256` names all feature nets of the preset and the scores.

    `versions` are those of packages, `started` is local time as ISO 8601 writes it.
    """

    request: Request
    preset: Preset
    generator: GeneratorSpec
    generator_sha256: str
    nets_sha256: dict[str, str]
    encoder_sha256: str
    versions: dict[str, str]
    python: str
    device: str
    backend: str
    started: str

    @property
    def out(self) -> Path:
        """The folder for the results."""
        return Path(self.request.out)

    @property
    def settings(self) -> dict[str, Any]:
        """What every line of results repeats of the request."""
        return {name: getattr(self.request, name) for name in REPEATED}

    def to_json(self) -> dict[str, Any]:
        """Plain data with the number of their schema."""
        return {"schema": SCHEMA} | asdict(self)

    def headline(self) -> dict[str, object]:
        """The run in a few words, for the report."""
        shown = ("paths", "out", "generator", "preset")  # elsewhere in the report, or its place
        options = {k: v for k, v in asdict(self.request).items() if k not in shown}
        words = (f"{k} {v}" for k, v in options.items() if v not in (None, ()))
        return {
            "generator": self.request.generator,
            "preset": f"{self.request.preset}: {self.preset.summary}",
            "evaluations per image": self.preset.steps,
            "options": ", ".join(words),
            "started": self.started,
            "versions": ", ".join(f"{k} {v}" for k, v in self.versions.items()),
            "device": self.device,
        }


def manifest_for(
    request: Request, preset: Preset, spec: GeneratorSpec, encoder: Params | None = None
) -> Manifest:
    """The manifest of a run that starts now; `ValueError` where weights are not in place.

    `encoder` are the parameters of the encoder that the request names.
    """
    nets = sorted({*(NETS if request.scores else ()), *preset.nets} - {*CALLABLES})
    return Manifest(
        request=request,
        preset=preset,
        generator=spec,
        generator_sha256=sha256_file(weights_file(request.generator)),
        nets_sha256={name: sha256_file(weights_file(name)) for name in nets},
        encoder_sha256="" if encoder is None else content_sha256(without_empty(encoder)),
        versions={"jaxinv": __version__} | {name: version(name) for name in PACKAGES},
        python=platform.python_version(),
        device=jax.devices()[0].device_kind,
        backend=jax.default_backend(),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
