"""`encoder_spec`: an encoder's plan and a generator's facts -> the facts of one encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxinv.specs import EncoderPreset, GeneratorSpec

from jaxinv.encoders.inside import NO_CODE, facts_inside
from jaxinv.specs.encoders import EncoderSpec

LABEL = "label"


def encoder_spec(
    preset: EncoderPreset, spec: GeneratorSpec, before: EncoderSpec | None = None
) -> EncoderSpec:
    """The encoder of a preset for the generator of `spec`: all sizes are the generator's.

    `before` is the encoder that it corrects. Raises `ValueError` where the generator has none of
    the spaces of its code, or no such inside as its head changes, and where a preset that corrects
    another has none, or the reverse.
    """
    plan = preset.plan
    if bool(preset.before) != (before is not None):
        told = before.name if before is not None else "none"
        allowed = f"one of preset {preset.before!r}" if preset.before else "none"
        raise ValueError(f"encoder before {preset.name!r}: {told}; allowed: {allowed}")
    output = output_space(preset, spec)
    if before is not None and plan.head in NO_CODE:
        if before.output not in plan.outputs:
            raise ValueError(
                f"encoder before {preset.name!r} gives {before.output}; allowed: "
                f"{' or '.join(plan.outputs)}"
            )
        output = before.output
    rows = spec.rows if output.endswith("+") else 0
    facts: dict[str, Any] = facts_inside(plan, spec, preset.name) | dict(plan.facts)
    if output == "s":
        facts["styles"] = spec.styles
    if plan.groups:
        facts["groups"] = shared_rows(plan.groups, rows or len(spec.styles))
    return EncoderSpec(
        name=preset.name,
        backbone=plan.backbone,
        head=plan.head,
        neck=plan.neck,
        planes=plan.planes,
        side=max(min(plan.side, spec.resolution), plan.least_side),
        resize=plan.resize,
        resize_drawn=plan.resize_drawn,
        output=output,
        rows=rows,
        width=width_of(spec, output),
        base=plan.base,
        passes=plan.passes,
        before=before,
        facts=tuple(facts.items()),
    )


def output_space(preset: EncoderPreset, spec: GeneratorSpec) -> str:
    """The first space of the preset's codes that the generator has; `ValueError` if none."""
    for output in preset.plan.outputs:
        if output in spec.spaces:
            return output
    raise ValueError(
        f"encoder {preset.name!r} gives {' or '.join(preset.plan.outputs)}, which generator "
        f"{spec.name!r} has not; it has {', '.join(spec.spaces)}"
    )


def width_of(spec: GeneratorSpec, output: str) -> int:
    """Numbers of a row of codes of a space."""
    widths = {"w": spec.w_dim, "w+": spec.w_dim, "s": sum(spec.styles), LABEL: spec.labels}
    return widths.get(output, spec.z_dim) or 1


def shared_rows(groups: tuple[int | float, ...], rows: int) -> tuple[int, ...]:
    """How many of `rows` each group has, so that each, and what is left, has one if it can.

    Shares below 1 are of all rows; numbers of rows stay, whatever the size, while there are enough.
    """
    found: list[int] = []
    for index, group in enumerate(groups):
        wanted = max(round(group * rows), 1) if group < 1 else int(group)
        left = rows - sum(found) - (len(groups) - index)  # one for each group after it, and one
        found.append(max(min(wanted, left), 0))
    return tuple(found)
