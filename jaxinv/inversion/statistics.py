"""What is measured once per generator before a preset can run, and kept: one table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from jaxinv.encoders import ridge_regression
from jaxinv.inversion import curvature, gradient_axes
from jaxinv.inversion.problem import image_terms
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


class Subject(NamedTuple):
    """What a statistic is measured on; `stage` is the first of the preset that needs it."""

    gen: Generator
    params: Params
    nets: dict[str, Params]
    preset: Preset
    stage: Stage

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms whose gradients are measured."""
        return image_terms(self.stage)

    @property
    def terms_text(self) -> str:
        """The terms as text; a field that they do not use, or that is new, does not change it."""
        return json.dumps(plain(self.terms, tuple[Term, ...]), sort_keys=True)

    @property
    def ridge_nets(self) -> dict[str, Params]:
        """The nets that a learned start looks with."""
        return ridge_regression.usable_nets(self.gen, self.preset, self.nets)

    @property
    def drawn_by(self) -> tuple[Params, Params]:
        """The parameters from z to an image."""
        return self.params["mapping"], self.params["synthesis"]


class Statistic(NamedTuple):
    """One entry of `params["statistics"]`, under `key`.

    Its file holds the arrays called `names` (the key itself where the entry is one array) and is
    found by a hash of `label`, the settings that it depends on, and of the arrays of `content`.
    `message` names the generator and says how long `measure` takes.
    """

    key: str
    names: tuple[str, ...]
    needed_by: Callable[[Stage], bool]
    label: Callable[[Subject], str]
    content: Callable[[Subject], Tree]
    measure: Callable[[Subject], Params]
    message: str


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
        measure=lambda on: statistics.p_statistics(on.gen, on.params),
        message="statistics of P of {}, once (about a minute on a CPU)",
    ),
    Statistic(
        key=GRADIENT_AXES,
        names=(GRADIENT_AXES,),
        needed_by=lambda stage: _has_codec(stage, "gradient-axes", "preconditioned"),
        label=lambda on: f"axes-{gradient_axes.SAMPLES}-{gradient_axes.SEED}-{on.terms_text}",
        content=lambda on: (*on.drawn_by, on.nets),
        measure=lambda on: {
            GRADIENT_AXES: gradient_axes.gradient_axes(on.gen, on.params, on.nets, on.terms)
        },
        message="measuring the gradient axes of {}, once (a minute or two on a CPU)",
    ),
    Statistic(
        key=CURVATURE,
        names=("step_scale", "shared_directions", "step_excess"),
        needed_by=lambda stage: _has_codec(stage, "preconditioned"),
        label=lambda on: f"curvature-{curvature.SAMPLES}-{gradient_axes.SEED}-{on.terms_text}",
        content=lambda on: (*on.drawn_by, on.params[STATISTICS][GRADIENT_AXES], on.nets),
        measure=lambda on: curvature.curvature(on.gen, on.params, on.nets, on.terms),
        message="measuring the curvature of {}, once (about a minute on a CPU)",
    ),
    Statistic(
        key=ridge_regression.RIDGE,
        names=("mean", "centre", "matrix"),
        needed_by=ridge_regression.begins_learned,
        label=lambda on: (
            f"start-{ridge_regression.SAMPLES}-{ridge_regression.SEED}-{'-'.join(on.ridge_nets)}"
        ),
        content=lambda on: (*on.drawn_by, on.ridge_nets),
        measure=lambda on: ridge_regression.learn(on.gen, on.params, on.ridge_nets),
        message="learning where to start with {}, once (a minute or two on a CPU)",
    ),
)


def with_statistics(
    gen: Generator,
    params: Params,
    preset: Preset,
    nets: dict[str, Params],
    *,
    report: Callable[[str], object] = lambda line: None,
) -> Params:
    """The parameters with all of `TABLE` that `preset` needs under `params["statistics"]`.

    What is neither there nor in the cache folder is measured, on the stage that needs it first;
    `report` is told before. Parameters that have it all are returned as they are.
    """
    for one in TABLE:
        stage = next(filter(one.needed_by, preset.stages), None)
        if stage is not None and one.key not in params[STATISTICS]:
            found = _found(one, Subject(gen, params, nets, preset, stage), report)
            entry = {one.key: found.get(one.key, found)}
            params = {**params, STATISTICS: {**params[STATISTICS], **entry}}
    return params


def _found(one: Statistic, on: Subject, report: Callable[[str], object]) -> Params:
    """The arrays of a statistic from the cache folder, or measured and put there."""

    def compute() -> Params:
        report(one.message.format(on.gen.spec.name))
        return one.measure(on)

    return disk_cached(one.label(on), one.content(on), compute, names=one.names)
