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
from jaxinv.io.files import atomic_write
from jaxinv.io.latent_files import save_latents
from jaxinv.operators import build as build_operator
from jaxinv.runs.results import ImageResult, latent_metadata, report_item, thumbnail

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from jaxinv.inversion.result import Restarts
    from jaxinv.reports.html import ReportItem
    from jaxinv.runs.observations import Observation
    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array, Latents

Solution = tuple["Latents", np.ndarray]  # latents, and their picture uint8 [H, W, 3]


@partial(jax.jit, static_argnums=0)
def _apply(operator: OperatorSpec, image: Array) -> Array:
    return build_operator(operator, image.shape).apply(image)


def remeasured(operator: OperatorSpec | None, full: np.ndarray, given: Observation) -> np.ndarray:
    """What would have been seen of the picture uint8 [H, W, 3], in the shape of `given.seen`."""
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


def ranked(ends: Restarts, index: int, count: int) -> list[Latents]:
    """Latents of the `count` restarts of one image with the lowest losses, the best first."""
    order = np.argsort(ends.loss[index], kind="stable")[:count]
    return [jax.tree.map(lambda a, r=r: a[index, r], ends.latents) for r in order]


def save_degraded(
    out: Path, name: str, operator: OperatorSpec | None, pair: tuple[np.ndarray, Observation]
) -> None:
    """Write degraded/NAME.png (or .npy) and again/NAME.png."""
    again, given = pair
    drawn = {"remeasured": as_image(operator, again, given.side)}
    if given.measurement.ndim == 3 and given.measurement.shape[0] == given.measurement.shape[1]:
        drawn["degraded"] = as_image(None, given.measurement, given.side)
    else:
        data = io.BytesIO()
        np.save(data, given.measurement, allow_pickle=False)
        write(out / "degraded" / f"{name}.npy", data.getvalue())
    for folder, picture in drawn.items():
        write(out / folder / f"{name}.png", images.encode_png(picture))


def save_samples(
    out: Path, result: ImageResult, answers: list[Solution], facts: dict[str, Any]
) -> None:
    """Write samples/NAME/1.png, 1.safetensors, 2.png, ...: the answers, the best first."""
    for rank, (latents, picture) in enumerate(answers, start=1):
        place = out / "samples" / result.name
        write(place / f"{rank}.png", images.encode_png(picture))
        save_latents(
            place / f"{rank}.safetensors", latents, latent_metadata(result, latents, facts)
        )


def restored_item(
    result: ImageResult,
    answers: list[np.ndarray],
    views: dict[str, np.ndarray],
    losses: np.ndarray,
) -> ReportItem:
    """The outcome as the report shows it: the input, the best answer, other views, other answers.

    The first of `views`, by caption, is the degraded input.
    """
    (caption, first), *others = views.items()
    others += [(f"answer {rank}", picture) for rank, picture in enumerate(answers[1:], start=2)]
    return replace(
        report_item(result),
        captions=(caption, "answer"),
        target=thumbnail(first),
        reconstruction=thumbnail(answers[0]),
        more=[(text, thumbnail(picture)) for text, picture in others],
        losses=losses.tolist(),
    )


def write(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda file: file.write(data))
