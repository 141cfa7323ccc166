"""What is measured once per generator before a preset can run, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxinv.encoders.ridge_regression import with_learned_init
from jaxinv.inversion.curvature import with_curvature
from jaxinv.inversion.gradient_axes import with_axes
from jaxinv.latents.codecs import P_CODECS
from jaxinv.models.statistics import P_SAMPLES, SEED, STATISTICS, P, p_statistics
from jaxinv.models.weights import disk_cached

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Params


def with_statistics(
    gen: Generator,
    params: Params,
    preset: Preset,
    nets: dict[str, Params],
    *,
    report: Callable[[str], object] = lambda line: None,
) -> Params:
    """The parameters with all statistics that `preset` needs: P, axes, curvature, learned start.

    `report` is told before anything is measured.
    """
    params = with_p(gen, params, preset, report=report)
    params = with_axes(gen, params, preset, nets, report=report)
    params = with_curvature(gen, params, preset, nets, report=report)
    return with_learned_init(gen, params, preset, nets, report=report)


def with_p(
    gen: Generator,
    params: Params,
    preset: Preset,
    *,
    report: Callable[[str], object] = lambda line: None,
) -> Params:
    """The parameters, their statistics with those of P if any part of `preset` needs them.

    They are kept in the cache folder; `report` is told before they are computed.
    """
    variables = [v for stage in preset.stages for v in stage.variables]
    terms = [term for stage in preset.stages for term in stage.terms]
    needed = any(v.codec in P_CODECS for v in variables) or any(
        t.name == "mahalanobis" for t in terms
    )
    if not needed or P in params[STATISTICS]:
        return params

    def compute() -> Params:
        report(f"statistics of P of {gen.spec.name}, once (about a minute on a CPU)")
        return p_statistics(gen, params)

    found = disk_cached(f"p-{P_SAMPLES}-{SEED}", params["mapping"], compute)
    return {**params, STATISTICS: {**params[STATISTICS], P: found}}
