"""All scores of a result in one table: their names, how they are shown, and how they are measured.

The keys are those of results.jsonl. A new score is one entry here, beside its function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.metrics.identity import identity, measurable
from jaxinv.metrics.naturalness import TILE, grid_energy
from jaxinv.metrics.perceptual import lpips
from jaxinv.metrics.reconstruction import MS_SSIM_WHOLE, l1, ms_ssim, mse, psnr, ssim
from jaxinv.reports.columns import Column

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.metrics.reconstruction import Scores, Stack
    from jaxinv.types import Params

    Measure = Callable[[Stack, Stack, dict[str, Params]], Scores]
    Look = Callable[[Stack], Scores]


@dataclass(frozen=True)
class Metric(Column):
    """A score: a column, the function that measures it, and what that needs.

    `measure` is of the answers, the targets (both uint8 [B, h, w, 3], of one size) and the
    parameters of `nets` by name; None where the run itself measures (see `runs.finish`).
    `available` says whether files are here that not everybody has; without them there is no score.
    Below `least` px there is none either. `look` is instead of the answer alone, at the size that
    is written.
    """

    measure: Measure | None = None
    nets: tuple[str, ...] = ()
    available: Callable[[], bool] | None = None
    least: int = 1
    look: Look | None = None


def _lpips(net: str) -> Measure:
    return lambda answer, target, nets: lpips(net, nets[net], answer, target)


METRICS = {
    "psnr": Metric("PSNR", ".2f", " dB", False, lambda x, y, _: psnr(x, y)),
    "ssim": Metric("SSIM", ".3f", "", False, lambda x, y, _: ssim(x, y)),
    "ms_ssim": Metric(
        "MS-SSIM", ".3f", "", False, lambda x, y, _: ms_ssim(x, y), least=MS_SSIM_WHOLE
    ),
    "lpips_alex": Metric("LPIPS (Alex)", ".3f", "", True, _lpips("alexnet"), ("alexnet",)),
    "lpips_vgg": Metric("LPIPS (VGG)", ".3f", "", True, _lpips("vgg16"), ("vgg16",)),
    "mse": Metric("MSE", ".4f", "", True, lambda x, y, _: mse(x, y)),
    "l1": Metric("L1", ".4f", "", True, lambda x, y, _: l1(x, y)),
    "identity": Metric(
        "identity distance", ".3f", "", True, lambda x, y, _: identity(x, y), available=measurable
    ),
    "grid_2": Metric("grid of 2 px", ".1f", " dB", True, look=lambda x: grid_energy(x, 2)),
    "grid_4": Metric("grid of 4 px", ".1f", " dB", True, look=lambda x: grid_energy(x, 4)),
    "fine_patches": Metric("fine patches (1: a sample's)", ".2f", "", True),
    "psnr_missing": Metric("PSNR of what was missing", ".2f", " dB", False),
    "misfit": Metric("misfit", ".3g", "", True),
    "noise": Metric("noise", ".2g"),
}
NETS = tuple(sorted({net for metric in METRICS.values() for net in metric.nets}))
# A line of results has these even where there is no picture to compare with: null.
ALWAYS = tuple(name for name, one in METRICS.items() if one.measure and not one.available)


def measure(answer: Stack, target: Stack, nets: dict[str, Params]) -> dict[str, float]:
    """All scores of one answer uint8 [1, h, w, 3] that can be measured here, by name.

    Raises `ValueError` where the target has another shape or type.
    """
    return measure_each(answer, target, nets)[0]


def measure_each(answers: Stack, targets: Stack, nets: dict[str, Params]) -> list[dict[str, float]]:
    """`measure` of each of B answers uint8 [B, h, w, 3], which nets look at together."""
    side = min(np.shape(targets)[1:3], default=0)
    found = {
        name: metric.measure(answers, targets, nets)
        for name, metric in METRICS.items()
        if metric.measure and metric.least <= side
        if metric.available is None or metric.available()
    }
    return [{name: float(of[row]) for name, of in found.items()} for row in range(len(answers))]


def look(full: Stack) -> dict[str, float]:
    """Scores of one picture uint8 [1, h, w, 3] by itself; none where it is below a tile."""
    if min(full.shape[1:3]) < TILE:
        return {}
    return {name: float(one.look(full)[0]) for name, one in METRICS.items() if one.look}
