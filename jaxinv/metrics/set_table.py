"""All scores of two sets of pictures in one table, as `table` has those of pairs.

Scores of features are called after their net. FID, KID, Inception Score and Frechet Segmentation
Distance are names for one net each, and stand for no other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.metrics.distributions import (
    SUBSET,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from jaxinv.metrics.neighbours import Neighbourhoods, neighbourhoods
from jaxinv.metrics.sliced import texture_distance
from jaxinv.reports.columns import Column

if TYPE_CHECKING:
    from collections.abc import Callable

INCEPTION, PARTS = "inception-fid", "bisenet-faces"  # nets that have names of their own here
SCORED = ("pictures", "features", "logits")


@dataclass
class TwoSets:
    """Generated and real pictures uint8 [n, s, s, 3], [m, s, s, 3], what a net saw in them.

    `net` is its name; `fake_features` [n, d] and `real_features` [m, d] are None without a net,
    `logits` [n, classes], of the generated pictures, where it has none.
    """

    fake: np.ndarray
    real: np.ndarray
    net: str = ""
    fake_features: np.ndarray | None = None
    real_features: np.ndarray | None = None
    logits: np.ndarray | None = None

    @property
    def held(self) -> tuple[str, ...]:
        """What can be scored: of `SCORED`."""
        given = (self.fake, self.fake_features, self.logits)
        return tuple(name for name, one in zip(SCORED, given, strict=True) if one is not None)

    @property
    def features(self) -> tuple[np.ndarray, np.ndarray]:
        """Features of generated and of real pictures; `ValueError` without a net."""
        if self.fake_features is None or self.real_features is None:
            raise ValueError("no features; allowed: those of a net")
        return self.fake_features, self.real_features

    @cached_property
    def around(self) -> Neighbourhoods:
        """Precision, recall, density and coverage."""
        fake, real = self.features
        return neighbourhoods(real, fake)


@dataclass(frozen=True)
class SetMetric(Column):
    """A score of two sets: a column, what it needs (of `SCORED`), and what measures it.

    `own` are its names on some nets; on others the net's name is added to the label.
    """

    needs: str = "features"
    own: tuple[tuple[str, str], ...] = ()
    measure: Callable[[TwoSets], float] | None = None

    def on(self, net: str) -> Column:
        """The column for what this net saw."""
        if self.needs == "pictures":
            return self
        return replace(self, label=dict(self.own).get(net, f"{self.label} ({net})"))


def _kernel(sets: TwoSets) -> float:
    fake, real = sets.features
    return kernel_distance(fake, real, size=max(min(SUBSET, len(fake), len(real)), 2)).mean


def _texture(sets: TwoSets) -> float:
    count = min(len(sets.fake), len(sets.real))
    return float(np.mean(list(texture_distance(sets.real[:count], sets.fake[:count]).values())))


def _score(sets: TwoSets) -> float:
    if sets.logits is None:
        raise ValueError("no logits; allowed: those of a net that has classes")
    return inception_score(sets.logits).mean


SET_METRICS = {
    "frechet": SetMetric(
        "Frechet distance",
        ".2f",
        "",
        True,
        own=((INCEPTION, "FID"), (PARTS, "Frechet Segmentation Distance")),
        measure=lambda x: frechet_distance(*x.features),
    ),
    "kernel": SetMetric(
        "kernel distance", ".4f", "", True, own=((INCEPTION, "KID"),), measure=_kernel
    ),
    "inception": SetMetric(
        "score of classes", ".2f", "", False, "logits", ((INCEPTION, "Inception Score"),), _score
    ),
    "precision": SetMetric("precision", ".3f", "", False, measure=lambda x: x.around.precision),
    "recall": SetMetric("recall", ".3f", "", False, measure=lambda x: x.around.recall),
    "density": SetMetric("density", ".3f", "", False, measure=lambda x: x.around.density),
    "coverage": SetMetric("coverage", ".3f", "", False, measure=lambda x: x.around.coverage),
    "texture": SetMetric("SWD x 1000", ".1f", "", True, "pictures", measure=_texture),
}


def measure_sets(sets: TwoSets) -> tuple[dict[str, float], list[str]]:
    """All scores of two sets that can be measured, by name, and why others are left out."""
    found, reasons = {}, []
    for name, metric in SET_METRICS.items():
        if metric.measure is None or metric.needs not in sets.held:
            continue
        try:
            found[name] = metric.measure(sets)
        except ValueError as error:
            reasons.append(f"no {metric.on(sets.net).label}: {error}")
    return found, reasons
