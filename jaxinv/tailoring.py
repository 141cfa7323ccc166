"""A preset fitted to what is searched for: what its terms can see, and where noise begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxinv.features.trunks import NETS
from jaxinv.losses import seen_shape
from jaxinv.specs import Stop
from jaxinv.specs import labels as labels_of

if TYPE_CHECKING:
    from jaxinv.specs import Preset, Stage, Term, Variable


QUIET = 0.05  # standard deviation of noise, on [-1, 1], that a net may see


def tailored(preset: Preset, shape: tuple[int, ...], discrepancy: float | None = None) -> Preset:
    """The preset for what was seen, [h, w, c] or [count].

    Terms of nets that cannot look at it (no three channels, too few pixels) are left out where
    another image term stays. Of measurements those of all nets are, squares are means over what was
    measured, and what would start at a guess from the picture starts at the mean. With a
    `discrepancy`, nets look at pictures so small that their noise averages out (to a net it is
    texture, which the search would draw), and a lane ends once its pixels differ by as much, as a
    root mean square on [-1, 1]: what is left then is noise (Morozov 1966, the discrepancy
    principle). Raises `ValueError` where a stage has no term "mse" to tell.
    """
    stages = preset.stages
    if discrepancy is not None:
        stages = tuple(_calmed(stage, shape, discrepancy) for stage in stages)
    operator, picture = preset.operator, shape
    if operator is not None and operator.measures:
        stages = tuple(_measuring(stage, operator.measured) for stage in stages)
        picture = ()
    stages = tuple(_seeing(stage, picture) for stage in stages)
    if discrepancy is not None:
        stages = tuple(_stopping(preset.name, stage, shape, discrepancy) for stage in stages)
    return preset if stages == preset.stages else replace(preset, stages=stages)


def _calmed(stage: Stage, shape: tuple[int, ...], noise: float) -> Stage:
    """Terms of nets at a size at which the noise is `QUIET` at most."""
    most = int(min(shape[:2]) * QUIET / max(noise, QUIET))

    def calm(term: Term) -> Term:
        if not term.net or min(seen_shape(term.view, shape[:2])) <= most:
            return term
        return replace(term, view=replace(term.view, size=max(most, 8)))

    return replace(stage, terms=tuple(calm(term) for term in stage.terms))


def _seeing(stage: Stage, shape: tuple[int, ...]) -> Stage:
    """The stage without the terms of nets that cannot look, where pixels are compared too."""
    kept = tuple(term for term in stage.terms if not term.net or _can_look(term, shape))
    if kept == stage.terms or not any(term.name in ("mse", "l1") for term in kept):
        return stage
    return replace(stage, terms=kept)


def _can_look(term: Term, shape: tuple[int, ...]) -> bool:
    if len(shape) != 3 or shape[2] != 3 or term.net is None:
        return False
    return min(seen_shape(term.view, shape[:2])) >= NETS[term.net].smallest


def _measuring(stage: Stage, share: float) -> Stage:
    """The stage for measurements that are this share of the numbers they come as."""

    def begun(variable: Variable) -> Variable:
        learned = variable.init.kind == "learned"
        return replace(variable, init=replace(variable.init, kind="mean")) if learned else variable

    def meant(term: Term) -> Term:
        return replace(term, weight=term.weight / share) if term.name == "mse" else term

    variables, terms = tuple(map(begun, stage.variables)), tuple(map(meant, stage.terms))
    return replace(stage, variables=variables, terms=terms)


def _stopping(name: str, stage: Stage, shape: tuple[int, ...], discrepancy: float) -> Stage:
    """Means over areas have less noise than their pixels, by the root of the number of these."""
    pairs = zip(stage.terms, labels_of(stage.terms), strict=True)
    found = next(((term, label) for term, label in pairs if term.name == "mse"), None)
    if found is None:
        raise ValueError(
            f"preset {name!r} has a stage of {', '.join(labels_of(stage.terms))}; allowed for "
            f"pictures with noise of a known strength: stages with mse"
        )
    term, label = found
    side = min(shape[:2]) if len(shape) == 3 else 1
    seen = side if term.view.size is None else min(term.view.size, side)
    return replace(stage, stop=Stop(label, (discrepancy * seen / side) ** 2))
