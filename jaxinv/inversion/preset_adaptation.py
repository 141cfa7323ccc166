"""A preset fitted to what is searched for: what its terms can see, and where noise begins."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from jaxinv.losses.image_terms import smallest_side
from jaxinv.losses.views import downsampled_shape, view_shape
from jaxinv.specs import Stop
from jaxinv.specs import labels as labels_of

if TYPE_CHECKING:
    from jaxinv.specs import Preset, Stage, Term, Variable


MAX_NET_NOISE = 0.025  # standard deviation of noise, on [-1, 1], that a net may see
MIN_NET_SIDE = 40  # side in px of pictures in which nets see hardly anything: then rather noise


def adapt_preset(
    preset: Preset, shape: tuple[int, ...], discrepancy: float | None = None
) -> Preset:
    """The preset for what was seen, [h, w, c] or [count].

    Terms of nets that cannot look at it (measurements, too few pixels) are left out where another
    image term stays. Of measurements those of all nets are, squares are means over what was
    measured, and what would start at a guess from the picture starts at the mean. A prior weighs
    more for what tells less than its `full` picture, by the root of the ratio of pixels: by the
    ratio if all errors were independent, but those of neighbours and of features are not.
    With a `discrepancy`, nets look at pictures so small that their noise averages out (to a net it
    is texture, which the search would draw), priors weigh as they would for pictures of that size,
    and a lane ends once its pixels differ by as much, as a root mean square on [-1, 1]: what is
    left then is noise (Morozov 1966, the discrepancy principle). Raises `ValueError` where a stage
    has no term "mse" to tell.
    """
    stages = preset.stages
    operator, picture, count = preset.operator, shape, _pixels(shape)
    if discrepancy is not None:
        calm = _quiet_side(min(shape[:2]), discrepancy)
        count *= (calm / min(shape[:2])) ** 2
        stages = tuple(_downsample_nets(stage, shape, calm) for stage in stages)
    count *= 1.0 if operator is None else operator.information_ratio
    if operator is not None and operator.is_measurement:
        stages = tuple(_for_measurements(stage, operator.sampled_fraction) for stage in stages)
        picture = ()
    stages = tuple(_scale_priors(_drop_blind_terms(stage, picture), count) for stage in stages)
    if discrepancy is not None:
        stages = tuple(
            _with_discrepancy_stop(preset.name, stage, shape, discrepancy) for stage in stages
        )
    return preset if stages == preset.stages else replace(preset, stages=stages)


def with_cutoffs(preset: Preset, side: int) -> Preset:
    """The preset whose high-pass anchors begin above what targets of `side` px can hold."""

    def cut(term: Term) -> Term:
        return replace(term, cutoff=side) if term.kind.pivot and not term.cutoff else term

    stages = tuple(replace(one, terms=tuple(map(cut, one.terms))) for one in preset.stages)
    return preset if stages == preset.stages else replace(preset, stages=stages)


def _quiet_side(side: int, noise: float) -> int:
    """The side at which the noise of pictures is `MAX_NET_NOISE`, at least `MIN_NET_SIDE`."""
    return min(max(int(side * MAX_NET_NOISE / max(noise, MAX_NET_NOISE)), MIN_NET_SIDE), side)


def _downsample_nets(stage: Stage, shape: tuple[int, ...], side: int) -> Stage:
    """Terms of nets that look at no more than the `side` at which noise has averaged out."""

    def calm(term: Term) -> Term:
        if not term.net:
            return term
        view = replace(
            term.view, min_size=None
        )  # enlarged, what is left of the noise is texture too
        if min(downsampled_shape(view, shape[:2])) > side:
            view = replace(view, size=side)
        return replace(term, view=view)

    return replace(stage, terms=tuple(calm(term) for term in stage.terms))


def _drop_blind_terms(stage: Stage, shape: tuple[int, ...]) -> Stage:
    """The stage without the terms of nets that cannot look, where pixels are compared too."""
    kept = tuple(term for term in stage.terms if not term.net or _can_see(term, shape))
    if kept == stage.terms or not any(term.kind.elementwise for term in kept):
        return stage
    return replace(stage, terms=kept)


def _can_see(term: Term, shape: tuple[int, ...]) -> bool:
    if len(shape) != 3 or shape[2] not in (1, 3) or term.net is None:
        return False
    return min(view_shape(term.view, shape[:2])) >= smallest_side(term.net)


def _pixels(shape: tuple[int, ...]) -> float:
    """Pixels of a picture, grey or not; of measurements, those that have as many numbers."""
    return float(shape[0] * shape[1] if len(shape) == 3 else shape[0] / 3)


def _scale_priors(stage: Stage, count: float) -> Stage:
    """The stage for what tells as much as so many pixels: its priors weigh what they must."""

    def weighed(term: Term) -> Term:
        few = term.reference_side**2 / count
        return replace(term, weight=term.weight * math.sqrt(few)) if few > 1 else term

    terms = tuple(map(weighed, stage.terms))
    return stage if terms == stage.terms else replace(stage, terms=terms)


def _for_measurements(stage: Stage, share: float) -> Stage:
    """The stage for measurements that are this share of the numbers they come as."""

    def begun(variable: Variable) -> Variable:
        learned = variable.init.kind == "learned"
        return replace(variable, init=replace(variable.init, kind="mean")) if learned else variable

    def meant(term: Term) -> Term:
        return replace(term, weight=term.weight / share) if term.name == "mse" else term

    variables, terms = tuple(map(begun, stage.variables)), tuple(map(meant, stage.terms))
    return replace(stage, variables=variables, terms=terms)


def _with_discrepancy_stop(
    name: str, stage: Stage, shape: tuple[int, ...], discrepancy: float
) -> Stage:
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
