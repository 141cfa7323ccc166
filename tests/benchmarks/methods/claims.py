"""A claim of a paper, how it is measured, and its row in the table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Inversion
from jaxinv.io.image_ops import to_uint8
from jaxinv.metrics import psnr
from jaxinv.models.rendering import render
from jaxinv.presets import PRESETS
from jaxinv.reports.markdown import line
from jaxinv.specs import Preset, Stage
from jaxinv.types import Latents
from tests.tiny import Pair

HEAD = ("method", "claim", "images", "evaluations", "measured", "holds")
TOGETHER = 8  # lanes of small networks that go through one program
# What is drawn without what stands between the render and the image that was seen.
BEHIND = ("transform", "surrogate")


@dataclass(frozen=True)
class Found:
    """What was measured; `evaluations` is per image, of each side where they differ."""

    measured: str
    holds: bool
    evaluations: str
    images: str


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper that figures can support or contradict.

    `methods` are names of presets, `words` the claim, `goal` the bar that counts as support, and
    `reason` why it is missed, where it is.
    """

    name: str
    methods: tuple[str, ...]
    paper: str
    words: str
    goal: str
    measure: Callable[[], Found]
    reason: str = ""


def row(claim: Claim) -> str:
    """Measure a claim; its line of the table, also where files of others are missing."""
    method = f"{', '.join(claim.methods)} ({claim.paper})"
    words = f"{claim.words} (goal: {claim.goal})"
    began = time.monotonic()
    try:
        found = claim.measure()
    except OSError as error:
        return line(method, words, "", "", f"not measured: {error}", "")
    told = f"{found.measured} ({time.monotonic() - began:.0f} s)"
    verdict = "yes" if found.holds else f"no: {claim.reason or 'not understood yet'}"
    return line(method, words, found.images, found.evaluations, told, verdict)


def search(pair: Pair, images: np.ndarray, preset: Preset | str, **others: Any) -> Inversion:
    """`invert` with all images in one batch, several lanes at once."""
    settings = {"nets": {}, "batch": len(images), "width": TOGETHER, **others}
    return invert(*pair, images, preset=preset, **settings)


def decibels(pair: Pair, found: Inversion | Latents, images: np.ndarray) -> np.ndarray:
    """PSNR [B] of what the latents draw, without any transform or surrogate."""
    latents = found.latents if isinstance(found, Inversion) else found
    plain = {name: value for name, value in latents.items() if name not in BEHIND}
    return psnr(to_uint8(render(*pair, plain)), to_uint8(images))


def spread(values: np.ndarray) -> str:
    """Mean and worst of decibels."""
    return f"{np.mean(values):.2f} dB (worst {np.min(values):.2f})"


def spent(found: Inversion) -> str:
    """Evaluations per image, over all restarts; the mean where they differ."""
    starts = found.losses.shape[1]
    return f"{starts * np.mean(found.evaluations):.0f}"


def restated(name: str, *stages: Stage, **others: Any) -> Preset:
    """A preset of the library with other stages."""
    return replace(PRESETS[name], stages=stages or PRESETS[name].stages, **others)
