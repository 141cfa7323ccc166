"""One finished image: its scores, its files and its line in the results."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.io import images
from jaxinv.io.files import atomic_write, read_bytes
from jaxinv.io.latent_files import load_latents, save_latents, save_npz
from jaxinv.metrics import table
from jaxinv.reports.columns import Column
from jaxinv.reports.items import ReportItem
from jaxinv.runs.packing import held_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.runs.manifest import Manifest
    from jaxinv.types import Latents, Params

# What a line of results and the report say beside the scores: fields of `ImageResult`.
SEARCH = {
    "loss": Column("loss", ".4g", lower_is_better=True),
    "evaluations": Column("evaluations", ",.0f"),
    "seconds": Column("time", ".1f", " s"),
}
COLUMNS: dict[str, Column] = {**table.METRICS, **SEARCH}
REPORT_SIZE = 384
DETAIL_SIZE = (384, 640)  # of the part that is shown pixel for pixel
DIFFERENCE_GAIN = 2.0


@dataclass(frozen=True)
class ImageResult:
    """What became of one input file; the field names of `record` are those of results.jsonl."""

    file: str
    name: str
    status: str
    reason: str = ""
    sha256: str = ""
    size: int | None = None
    warnings: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    loss: float = math.nan
    evaluations: int = 0
    seconds: float = 0.0
    transform: dict[str, Any] | None = None
    content: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """Scores and effort, by the names of `COLUMNS`."""
        return self.scores | {name: getattr(self, name) for name in SEARCH}

    def record(self) -> dict[str, Any]:
        """JSON-able part of a line; numbers that JSON cannot hold (infinite, NaN) become null."""
        line = {
            "file": self.file,
            "name": self.name,
            "sha256": self.sha256 or None,
            "content": self.content or None,
            "status": self.status,
            "reason": self.reason,
            "size": self.size,
            **dict.fromkeys(table.ALWAYS),
            **self.metrics,
            "warnings": list(self.warnings),
        }
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in line.items()
        }


def result_of(line: dict[str, Any]) -> ImageResult:
    """The result that a line of `ImageResult.record` tells; how the photo was cut is not in it."""
    scores = {k: _value(line[k]) for k in table.METRICS if line.get(k) is not None}
    return ImageResult(
        file=line["file"],
        name=line["name"],
        status=line["status"],
        reason=line.get("reason", ""),
        sha256=line.get("sha256") or "",
        content=line.get("content") or "",
        size=line.get("size"),
        warnings=tuple(line.get("warnings", ())),
        scores=scores,
        loss=_value(line.get("loss")),
        evaluations=int(line.get("evaluations") or 0),
    )


def _value(number: float | None) -> float:
    return math.nan if number is None else float(number)


def score(nets: dict[str, Params], full: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Scores of the written 8-bit image: against the 8-bit target at its size, and by itself."""
    return score_each(nets, [full], [target])[0]


def score_each(
    nets: dict[str, Params], fulls: Sequence[np.ndarray], targets: Sequence[np.ndarray]
) -> list[dict[str, float]]:
    """`score` of several images whose targets have one size, which nets look at together."""
    side = len(targets[0])
    ours = [images.to_uint8(images.resize(images.from_uint8(full), side)) for full in fulls]
    against = [images.to_uint8(target) for target in targets]
    found = table.measure_each(np.stack(ours), np.stack(against), nets)
    return [one | table.look(full[None]) for one, full in zip(found, fulls, strict=True)]


def save_result(
    manifest: Manifest, result: ImageResult, latents: Latents, full: np.ndarray
) -> None:
    """Write images/NAME.png, latents/NAME.safetensors, and npz/NAME/projected_w.npz if asked."""
    out, spec = manifest.out, manifest.generator
    write(out / "images" / f"{result.name}.png", images.encode_png(full))
    place = out / "latents" / f"{result.name}.safetensors"
    save_latents(place, latents, latent_metadata(result, latents, manifest))
    if "npz" in manifest.request.export:
        rows = latents.get("w+")
        if rows is None:
            rows = np.broadcast_to(latents["w"], (spec.rows, spec.w_dim))
        save_npz(out / "npz" / result.name / "projected_w.npz", spec, np.asarray(rows))


def latent_metadata(result: ImageResult, latents: Latents, manifest: Manifest) -> dict[str, str]:
    """What a file of latents says about them."""
    request = manifest.request
    return {
        "generator": request.generator,
        "generator_sha256": manifest.generator_sha256,
        "space": ",".join(sorted(latents)),
        "preset": request.preset,
        "seed": str(request.seed),
        "source": result.file,
        "source_sha256": result.sha256,
        "status": result.status,
        "size": str(result.size),
        "transform": json.dumps(result.transform),
        "verb": request.verb,
        "operator": request.operator or "",
        "versions": json.dumps(manifest.versions),
    }


def copy_result(out: Path, first: str, again: ImageResult) -> None:
    """Write the files of `again` as copies of those of the result called `first`."""
    latents, metadata = load_latents(out / "latents" / f"{first}.safetensors")
    save_latents(
        out / "latents" / f"{again.name}.safetensors", latents, metadata | {"source": again.file}
    )
    for file in map(Path, held_files(out, first)):  # FOLDER/NAME.png, or FOLDER/NAME/1.png
        target = again.name + (file.suffix if len(file.parts) == 2 else f"/{file.name}")
        write(out / file.parts[0] / target, read_bytes(out / file))


def write(path: Path, data: bytes) -> None:
    """Write a file atomically, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda file: file.write(data))


def report_item(result: ImageResult) -> ReportItem:
    """The result in the report, without pictures; of a file that was skipped nothing is counted."""
    metrics = {} if result.status == "skipped" else result.metrics
    return ReportItem(result.file, result.status, result.reason, result.warnings, metrics)


def compared_item(
    result: ImageResult, full: np.ndarray, target: np.ndarray, losses: np.ndarray
) -> ReportItem:
    """The result in the report beside its target, with the difference drawn around mid-grey."""
    ours = images.resize(images.from_uint8(full), len(target))
    difference = np.clip(DIFFERENCE_GAIN * (ours - target), -1, 1)
    return replace(
        report_item(result),
        target=thumbnail(images.to_uint8(target)),
        reconstruction=thumbnail(images.to_uint8(ours)),
        difference=thumbnail(images.to_uint8(difference)),
        losses=losses.tolist(),
        detail=detail(full),
    )


def detail(full: np.ndarray) -> bytes:
    """JPEG file of the middle of a written picture uint8 [n, n, 3], as it is; of small ones, none.

    In the frame of FFHQ that is from the eyes to the mouth.
    """
    height, width = full.shape[:2]
    if min(height, width) <= REPORT_SIZE:
        return b""
    top, left = (height - DETAIL_SIZE[0]) // 2, (width - DETAIL_SIZE[1]) // 2
    part = full[max(top, 0) :, max(left, 0) :][: DETAIL_SIZE[0], : DETAIL_SIZE[1]]
    return images.encode_jpeg(part, 90)


def thumbnail(u8: np.ndarray) -> bytes:
    """JPEG file of a square picture uint8 [n, n, 3], no larger than a report needs."""
    if len(u8) > REPORT_SIZE and u8.shape[0] == u8.shape[1]:
        u8 = images.to_uint8(images.resize(images.from_uint8(u8), REPORT_SIZE))
    return images.encode_jpeg(u8, 90)
