"""What `invert` returns, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv.specs import Preset

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Latents


@dataclass(frozen=True)
class Progress:
    """How far `invert` is, told to its `report` after every few steps.

    `stage` of `stages`, from 1; `step` of the stage's `steps`; `losses`: the lowest loss so far of
    each search that runs. The searches are those of `images` images, and `finished` others of the
    same call came before them. `latents()` gives the best of each search so far, with a leading
    axis; it may be called as long as `report` has not returned.
    """

    stage: int
    stages: int
    step: int
    steps: int
    losses: np.ndarray
    finished: int = 0
    images: int = 1
    latents: Callable[[], Latents] | None = None


class Restarts(NamedTuple):
    """What all R restarts of B images reached: latents [B, R, ...], the others [B, R]."""

    latents: Latents
    loss: np.ndarray
    evaluations: np.ndarray
    diverged: np.ndarray


@dataclass(frozen=True)
class Inversion:
    """What `invert` found for B images, each searched for from R starts, in T evaluations.

    Attributes:
        latents: those of the best restart, by space, each with a leading axis B; `render` draws
            them.
        losses: [B, R, T] of every evaluation, NaN after a search ended.
        best: [B], the number of the best restart.
        loss: [B], its loss.
        status: [B], "ok" or "diverged" (the loss left the finite numbers: the best point is kept).
        evaluations: [B], how many the best restart made.
        preset: the method as it was run.
        terms: with `record_terms`: [B, R, T] by label, the values of single terms.
        all_restarts: with `keep_all_restarts`: where each restart ended.
    """

    latents: Latents
    losses: np.ndarray
    best: np.ndarray
    loss: np.ndarray
    status: tuple[str, ...]
    evaluations: np.ndarray
    preset: Preset
    terms: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    all_restarts: Restarts | None = None


def gather(preset: Preset, parts: list[dict[str, Any]]) -> Inversion:
    """One `Inversion` of the results of all batches."""

    def join(*arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(arrays)

    whole: dict[str, Any] = jax.tree.map(join, *parts)
    diverged: list[bool] = whole.pop("diverged").tolist()
    status = tuple("diverged" if lost else "ok" for lost in diverged)
    return Inversion(**whole, status=status, preset=preset)
