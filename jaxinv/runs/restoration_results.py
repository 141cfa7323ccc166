"""A finished restoration: the answer degraded again, the other answers, and what is shown of it."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io import images
from jaxinv.io.latent_files import save_latents
from jaxinv.operators import build as build_operator
from jaxinv.runs.combined import combined
from jaxinv.runs.results import (
    ImageResult,
    detail,
    latent_metadata,
    report_item,
    thumbnail,
    write,
)

if TYPE_CHECKING:
    from jaxinv.inversion.result import Inversion
    from jaxinv.reports.items import ReportItem
    from jaxinv.runs.manifest import Manifest
    from jaxinv.runs.observations import Observation
    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array, Latents

Answer = tuple["Latents", np.ndarray]  # latents, and their picture uint8 [H, W, 3]


@partial(jax.jit, static_argnums=0)
def _apply(operator: OperatorSpec, image: Array) -> Array:
    return build_operator(operator, image.shape).apply(image)


def remeasured(operator: OperatorSpec | None, full: np.ndarray, given: Observation) -> np.ndarray:
    """What would have been seen of the picture uint8 [H, W, 3], shaped like the measurement."""
    image = images.resize(images.from_uint8(full), given.side)
    seen = image if operator is None else np.asarray(_apply(operator, jnp.asarray(image)))
    return seen if given.mask is None else seen * (given.mask[..., None] > 0)


def data_misfit(again: np.ndarray, given: Observation) -> float:
    """Mean squared difference, over what is known, of the answer degraded again and the input."""
    squares = np.square(again - given.measurement)
    if given.mask is None:
        return float(np.mean(squares))
    return float(np.average(squares.mean(-1), weights=given.mask))


def missing_psnr(full: np.ndarray, given: Observation) -> dict[str, float]:
    """PSNR over the pixels without weight, where they and the clean picture are known."""
    if given.mask is None or given.reference is None or given.mask.all():
        return {}
    ours = images.to_uint8(images.resize(images.from_uint8(full), given.side)).astype(float)
    error = np.square(ours - images.to_uint8(given.reference))[given.mask == 0]
    with np.errstate(divide="ignore"):
        return {"psnr_missing": float(10 * np.log10(255**2 / error.mean()))} if error.size else {}


def as_image(operator: OperatorSpec | None, seen: np.ndarray, side: int) -> np.ndarray:
    """Measurements as a picture, uint8 [h, w, 3]."""
    if operator is not None:
        seen = np.asarray(build_operator(operator, (side, side, 3)).show(jnp.asarray(seen)))
    shown = np.clip(np.nan_to_num(seen), -1, 1)
    return images.to_uint8(np.broadcast_to(shown, (*shown.shape[:2], 3)))


def best_restarts(found: Inversion, index: int, count: int) -> list[Latents]:
    """Latents of the `count` restarts of one image with the lowest losses, the best first.

    None where the search has not kept every restart.
    """
    if found.all_restarts is None:
        return []
    order = np.argsort(found.all_restarts.loss[index], kind="stable")[:count]
    latents = found.all_restarts.latents
    return [jax.tree.map(lambda a, r=r: a[index, r], latents) for r in order]


def finish_restoration(
    manifest: Manifest,
    result: ImageResult,
    given: Observation,
    answers: list[Answer],
    losses: np.ndarray,
) -> tuple[ImageResult, ReportItem]:
    """Degrade the best of the answers again, score that, and save it and the other answers."""
    operator, full = manifest.preset.operator, answers[0][1]
    again = remeasured(operator, full, given)
    scores = missing_psnr(full, given) | {"misfit": data_misfit(again, given)}
    scores |= {} if given.noise is None else {"noise": given.noise}
    result = replace(result, scores=result.scores | scores)
    save_degraded(manifest, result.name, again, given)
    whole = combined(operator, full, again, given)
    if whole is not None:
        write(manifest.out / "combined" / f"{result.name}.png", images.encode_png(whole))
    if manifest.request.samples is not None:
        save_samples(manifest, result, answers)
    views = [] if whole is None else [("answer with what is known put back", whole)]
    views.append(("answer degraded again", as_image(operator, again, given.side)))
    if given.reference is not None:
        views.append(("clean picture", as_image(None, given.reference, given.side)))
    views += [(f"answer {rank}", one) for rank, (_, one) in enumerate(answers[1:], start=2)]
    shown = replace(
        report_item(result),
        captions=("degraded input", "answer"),
        target=thumbnail(as_image(operator, given.measurement, given.side)),
        reconstruction=thumbnail(full),
        more=[(text, thumbnail(picture)) for text, picture in views],
        losses=losses.tolist(),
        detail=detail(full),
    )
    return result, shown


def save_degraded(manifest: Manifest, name: str, again: np.ndarray, given: Observation) -> None:
    """Write degraded/NAME.png (or .npy) and remeasured/NAME.png."""
    drawn = {"remeasured": as_image(manifest.preset.operator, again, given.side)}
    if given.measurement.ndim == 3 and given.measurement.shape[0] == given.measurement.shape[1]:
        drawn["degraded"] = as_image(None, given.measurement, given.side)
    else:
        data = io.BytesIO()
        np.save(data, given.measurement, allow_pickle=False)
        write(manifest.out / "degraded" / f"{name}.npy", data.getvalue())
    for folder, picture in drawn.items():
        write(manifest.out / folder / f"{name}.png", images.encode_png(picture))


def save_samples(manifest: Manifest, result: ImageResult, answers: list[Answer]) -> None:
    """Write samples/NAME/1.png, 1.safetensors, 2.png, ...: the answers, the best first."""
    place = manifest.out / "samples" / result.name
    for rank, (latents, picture) in enumerate(answers, start=1):
        write(place / f"{rank}.png", images.encode_png(picture))
        metadata = latent_metadata(result, latents, manifest)
        save_latents(place / f"{rank}.safetensors", latents, metadata)
