"""What `invert` returns, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv.specs import Preset

if TYPE_CHECKING:
    from jaxinv.types import Latents


@dataclass(frozen=True)
class Progress:
    """Told to the caller after every chunk; stages count from 1, `losses` are the lanes' best.

    The lanes are those of `images` images, `finished` others of the same call came before them.
    """

    stage: int
    stages: int
    step: int
    steps: int
    losses: np.ndarray
    finished: int = 0
    images: int = 1


class Restarts(NamedTuple):
    """What all R restarts of B images reached: latents lead with [B, R], the others are [B, R]."""

    latents: Latents
    loss: np.ndarray
    evaluations: np.ndarray
    diverged: np.ndarray


@dataclass(frozen=True)
class Inversion:
    """What `invert` found for B images and R restarts.

    latents: the best restart's, with a leading axis B; losses [B, R, T] of every evaluation (NaN
    after a lane ended); best [B] index of the best restart; loss [B] its loss; status [B] "ok" or
    "diverged"; evaluations [B] of the best restart. Where they were asked for: terms [B, R, T] by
    label, the values of single terms at every evaluation, and the end of `all_restarts`.
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
