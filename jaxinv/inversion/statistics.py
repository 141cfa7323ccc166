"""What is measured once per generator before a preset can run, and kept: one table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from jaxinv.encoders import ridge_regression
from jaxinv.inversion import curvature, gradient_samples
from jaxinv.inversion.gradient_samples import Samples
from jaxinv.inversion.problem import NetworkParams, image_terms
from jaxinv.latents.codecs import CURVATURE, GRADIENT_AXES, P_CODECS
from jaxinv.models import statistics
from jaxinv.models.statistics import STATISTICS, P
from jaxinv.models.weights import disk_cached
from jaxinv.specs import Term
from jaxinv.specs.serialization import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset, Stage
    from jaxinv.types import Params, Tree


@dataclass(frozen=True)
class Subject:
    """What a statistic is measured on; `stage` is the first of the preset that needs it."""

    gen: Generator
    params: Params
    nets: dict[str, Params]
    preset: Preset
    stage: Stage
    report: Callable[[str], object] | None = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms whose gradients are measured."""
        return gradient_samples.rounded(image_terms(self.stage))

    @property
    def sampled(self) -> str:
        """What samples depend on beside arrays; unused or new fields of terms do not change it."""
        terms = json.dumps(plain(self.terms, tuple[Term, ...]), sort_keys=True)
        return f"{gradient_samples.SAMPLES}-{gradient_samples.SEED}-{terms}"

    @property
    def ridge_nets(self) -> dict[str, Params]:
        """The nets that a learned start looks with."""
        return ridge_regression.usable_nets(self.gen, self.preset, self.nets)

    @property
    def drawn_by(self) -> tuple[Params, Params]:
        """The parameters from z to an image."""
        return self.params["mapping"], self.params["synthesis"]

    @property
    def content(self) -> Tree:
        """The arrays that samples depend on."""
        return (*self.drawn_by, {name: self.nets[name] for name in self.preset.nets})

    @cached_property
    def samples(self) -> Samples:
        """Gradients, codes and features, from the cache folder or measured and put there."""

        def compute() -> Params:
            weights, seen_by = NetworkParams(self.params, self.nets), tuple(self.ridge_nets)
            given = self.gen, weights, self.terms, seen_by
            return gradient_samples.measure(*given, self.report)._asdict()

        label = f"samples-{'-'.join(self.ridge_nets)}-{self.sampled}"
        names = gradient_samples.Samples._fields
        found = disk_cached(label, self.content, compute, names=names)
        return Samples(**jax.tree.map(np.asarray, found))


class Statistic(NamedTuple):
    """One entry of `params["statistics"]`, under `key`.

    Its file holds the arrays called `names` (the key itself where the entry is one array) and is
    found by a hash of `label`, the settings that it depends on, and of the arrays of `content`.
    """

    key: str
    names: tuple[str, ...]
    needed_by: Callable[[Stage], bool]
    label: Callable[[Subject], str]
    content: Callable[[Subject], Tree]
    measure: Callable[[Subject], Params]


def _has_codec(stage: Stage, *codecs: str) -> bool:
    return any(variable.codec in codecs for variable in stage.variables)


# In the order in which they depend on one another.
TABLE = (
    Statistic(
        key=P,
        names=("mean", "axes", "scales", "deviations"),
        needed_by=lambda stage: (
            _has_codec(stage, *P_CODECS) or any("p" in t.kind.statistics for t in stage.terms)
        ),
        label=lambda on: f"p-{statistics.P_SAMPLES}-{statistics.SEED}",
        content=lambda on: on.params["mapping"],
        measure=lambda on: statistics.p_statistics(on.gen, on.params, on.report),
    ),
    Statistic(
        key=GRADIENT_AXES,
        names=(GRADIENT_AXES,),
        needed_by=lambda stage: _has_codec(stage, "gradient-axes", "preconditioned"),
        label=lambda on: f"axes-{on.sampled}",
        content=lambda on: on.content,
        measure=lambda on: {
            GRADIENT_AXES: curvature.gradient_axes(on.gen, on.params, on.samples.gradients)
        },
    ),
    Statistic(
        key=CURVATURE,
        names=("step_scale", "shared_directions", "step_excess"),
        needed_by=lambda stage: _has_codec(stage, "preconditioned"),
        label=lambda on: f"curvature-{on.sampled}",
        content=lambda on: (*on.content, on.params[STATISTICS][GRADIENT_AXES]),
        measure=lambda on: curvature.preconditioner(
            on.samples.gradients, np.asarray(on.params[STATISTICS][GRADIENT_AXES])
        ),
    ),
    Statistic(
        key=ridge_regression.RIDGE,
        names=("mean", "centre", "matrix"),
        needed_by=ridge_regression.begins_learned,
        label=lambda on: f"start-{'-'.join(on.ridge_nets)}-{on.sampled}",
        content=lambda on: on.content,
        measure=lambda on: ridge_regression.regress(on.samples.features, on.samples.codes),
    ),
)


def with_statistics(
    gen: Generator,
    params: Params,
    preset: Preset,
    nets: dict[str, Params],
    *,
    report: Callable[[str], object] | None = None,
) -> Params:
    """The parameters with all of `TABLE` that `preset` needs under `params["statistics"]`.

    What is neither there nor in the cache folder is measured, on the stage that needs it first;
    lines about that go to `report`, or to stderr. Parameters that have it all are returned as they
    are.
    """
    for one in TABLE:
        stage = next(filter(one.needed_by, preset.stages), None)
        if stage is not None and one.key not in params[STATISTICS]:
            on = Subject(gen, params, nets, preset, stage, report)
            found = disk_cached(
                one.label(on), one.content(on), partial(one.measure, on), names=one.names
            )
            params = {
                **params,
                STATISTICS: {**params[STATISTICS], one.key: found.get(one.key, found)},
            }
    return params
