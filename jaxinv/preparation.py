"""What is measured once per generator before a preset can run, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxinv.axes import with_axes
from jaxinv.curvature import with_curvature
from jaxinv.loading import with_p
from jaxinv.starts import with_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Params


def equipped(
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
    return with_start(gen, params, preset, nets, report=report)
