"""What a preset asks of generator, images and weights: `ValueError` before any compile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxinv.features.trunks import NETS
from jaxinv.losses import seen_shape
from jaxinv.solvers.registry import build as build_solver
from jaxinv.spaces import STATISTICS
from jaxinv.vocabulary import IMAGE_TERMS

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec, Preset, Stage, Term, Variable
    from jaxinv.types import Params


def check_preset(spec: GeneratorSpec, preset: Preset, size: int) -> None:
    """Raise `ValueError` unless the generator of `spec` and images of `size` px suit the preset.

    The message names the preset, its stage and the part that does not fit.
    """
    for number, stage in enumerate(preset.stages, start=1):
        where = f"preset {preset.name!r}, stage {number}"
        build_solver(stage.solver)  # says so if its package is not installed
        for variable in stage.variables:
            _check_variable(where, spec, variable)
        for term in stage.terms:
            _check_rows(where, spec, stage, term)
            _check_view(where, term, size)


def check_weights(preset: Preset, params: Params, nets: dict[str, Params]) -> None:
    """Raise `ValueError` unless the feature nets and statistics that the preset needs are there."""
    missing = sorted(set(preset.nets) - set(nets))
    if missing:
        raise ValueError(
            f"preset {preset.name!r} needs the nets {', '.join(missing)}; "
            f"given: {', '.join(sorted(nets)) or 'none'}"
        )
    if STATISTICS not in params and any(map(_needs_statistics, preset.stages)):
        raise ValueError(
            f"preset {preset.name!r} needs params[{STATISTICS!r}], the mean and the axes of W; "
            f"`load_generator` adds them, `loading.w_statistics` computes them"
        )


def _needs_statistics(stage: Stage) -> bool:
    codes = [v for v in stage.variables if v.space not in ("z", "noise")]
    return stage.jitter is not None or any(
        v.codec != "identity" or v.init.kind in ("mean", "learned") for v in codes
    )


def _codes(spec: GeneratorSpec, variable: Variable) -> int:
    """Number of codes that a variable in w+ has."""
    return max(variable.tie) + 1 if variable.tie else spec.rows


def _check_variable(where: str, spec: GeneratorSpec, variable: Variable) -> None:
    if variable.space not in spec.spaces:
        raise ValueError(
            f"{where} frees {variable.space!r}, which generator {spec.name!r} does not have; "
            f"allowed: {', '.join(spec.spaces)}"
        )
    if variable.tie and len(variable.tie) != spec.rows:
        raise ValueError(
            f"{where} ties {len(variable.tie)} rows; generator {spec.name!r} has {spec.rows}"
        )
    if variable.freeze is not None:
        codes, (first, last) = _codes(spec, variable), variable.freeze
        if last > codes or last - first == codes:
            raise ValueError(
                f"{where} freezes codes {first} to {last}; allowed: some, but not all, of {codes}"
            )


def _check_rows(where: str, spec: GeneratorSpec, stage: Stage, term: Term) -> None:
    if term.rows is None:
        return
    variable = next(v for v in stage.variables if v.space == term.variable)
    codes = _codes(spec, variable)
    if term.rows[1] > codes:
        raise ValueError(
            f"{where}, term {term.label!r} takes rows {term.rows}; allowed: up to {codes}"
        )


def _check_view(where: str, term: Term, size: int) -> None:
    if term.name not in IMAGE_TERMS:
        return
    least = NETS[term.net].smallest if term.net else 1
    seen = seen_shape(term.view, (size, size))
    if min(seen) < least:
        raise ValueError(
            f"{where}, term {term.label!r} sees {seen[0]}x{seen[1]} px of images of {size} px; "
            f"allowed: at least {least}x{least}"
        )
