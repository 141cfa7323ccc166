"""What is measured once per generator before a preset can run, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxinv.axes import with_axes
from jaxinv.loading import with_p

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
    """The parameters with all statistics that `preset` needs: of P, and gradient axes.

    `report` is told before anything is measured.
    """
    params = with_p(gen, params, preset, report=report)
    return with_axes(gen, params, preset, nets, report=report)
