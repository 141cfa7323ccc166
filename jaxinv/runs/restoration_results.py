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
from jaxinv.runs.results import Outcome, described, report_item, thumbnail

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from jaxinv.inversion.result import Restarts
    from jaxinv.reports.html import ReportItem
    from jaxinv.runs.observations import Offer
    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array, Latents

Answer = tuple["Latents", np.ndarray]  # latents, and their picture uint8 [H, W, 3]


@partial(jax.jit, static_argnums=0)
def _apply(operator: OperatorSpec, image: Array) -> Array:
    return build_operator(operator, image.shape).apply(image)


def degraded_again(operator: OperatorSpec | None, full: np.ndarray, given: Offer) -> np.ndarray:
    """What would have been seen of the picture uint8 [H, W, 3], in the shape of `given.seen`."""
    image = images.resize(images.from_uint8(full), given.side)
    seen = image if operator is None else np.asarray(_apply(operator, jnp.asarray(image)))
    return seen if given.mask is None else seen * (given.mask[..., None] > 0)


def misfit(again: np.ndarray, given: Offer) -> float:
    """Mean squared difference, over what is known, of the answer degraded again and the input."""
    squares = np.square(again - given.seen)
    if given.mask is None:
        return float(np.mean(squares))
    return float(np.average(squares.mean(-1), weights=given.mask))


def missing_psnr(full: np.ndarray, given: Offer) -> dict[str, float]:
    """PSNR over the pixels without weight, where they and the clean picture are known."""
    if given.mask is None or given.truth is None or given.mask.all():
        return {}
    ours = images.to_uint8(images.resize(images.from_uint8(full), given.side)).astype(float)
    error = np.square(ours - images.to_uint8(given.truth))[given.mask == 0]
    with np.errstate(divide="ignore"):
        return {"psnr_missing": float(10 * np.log10(255**2 / error.mean()))} if error.size else {}


def view(operator: OperatorSpec | None, seen: np.ndarray, side: int) -> np.ndarray:
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
    out: Path, name: str, operator: OperatorSpec | None, pair: tuple[np.ndarray, Offer]
) -> None:
    """Write degraded/NAME.png (or .npy) and again/NAME.png."""
    again, given = pair
    drawn = {"again": view(operator, again, given.side)}
    if given.seen.ndim == 3 and given.seen.shape[0] == given.seen.shape[1]:
        drawn["degraded"] = view(None, given.seen, given.side)
    else:
        data = io.BytesIO()
        np.save(data, given.seen, allow_pickle=False)
        write(out / "degraded" / f"{name}.npy", data.getvalue())
    for folder, picture in drawn.items():
        write(out / folder / f"{name}.png", images.encode_png(picture))


def save_samples(out: Path, outcome: Outcome, answers: list[Answer], facts: dict[str, Any]) -> None:
    """Write samples/NAME/1.png, 1.safetensors, 2.png, ...: the answers, the best first."""
    for rank, (latents, picture) in enumerate(answers, start=1):
        place = out / "samples" / outcome.name
        write(place / f"{rank}.png", images.encode_png(picture))
        save_latents(place / f"{rank}.safetensors", latents, described(outcome, latents, facts))


def restored_item(
    outcome: Outcome,
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
        report_item(outcome),
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
