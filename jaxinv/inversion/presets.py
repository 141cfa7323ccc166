"""A preset by name or file, and with other steps."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.presets import ENCODERS, HYBRIDS, PRESETS
from jaxinv.solvers.mcmc import MARKOV_CHAINS
from jaxinv.specs import Hybrid, Preset, serialization
from jaxinv.specs.checks import check_choice, check_kind, check_whole, is_number
from jaxinv.specs.vocabulary import ENCODER, LATENT_SPACES

if TYPE_CHECKING:
    from jaxinv.specs import MaskSpec, Stage


def find_preset(preset: Preset | Hybrid | str | os.PathLike[str]) -> Preset:
    """The preset itself, the one of that name, or of that JSON file (see `specs.serialization`).

    Hybrids become presets of all their stages. Raises `ValueError` naming the known ones, or what
    is wrong with the file.
    """
    if isinstance(preset, Hybrid):
        return composed(preset)
    if isinstance(preset, str | os.PathLike):
        preset = os.fspath(preset)
        if preset.endswith(serialization.SUFFIX):
            found = serialization.read_method(preset)
            return composed(found) if isinstance(found, Hybrid) else found
        check_choice("preset", preset, (*PRESETS, *HYBRIDS))
        return PRESETS[preset] if preset in PRESETS else composed(HYBRIDS[preset])
    check_kind("preset", preset, Preset, ", its name, or a JSON file of one")
    return preset


def composed(hybrid: Hybrid) -> Preset:
    """The preset of all stages of a hybrid's parts, each of which begins where the last one ended.

    The starts per image are those of its first search. Raises `ValueError` for parts that there are
    none of, an encoder that is not the first, and parts that cannot follow one another.
    """
    first, *_ = hybrid.parts
    names = hybrid.parts[first in ENCODERS :]
    for name in names:
        check_choice(f"part of hybrid {hybrid.name!r}", name, tuple(PRESETS))
    parts = [PRESETS[name] for name in names]
    stages: list[Stage] = []
    masks: list[MaskSpec] = []
    for part in parts:
        begun = first in ENCODERS or bool(stages)
        masks += [replace(m, after=m.after + len(stages) if m.after else 0) for m in part.masks]
        stages += _following(part, "previous" if stages else "given") if begun else part.stages
    operators = [part.operator for part in parts if part.operator is not None]
    if len(operators) > 1:
        raise ValueError(f"hybrid {hybrid.name!r} has {len(operators)} operators; allowed: one")
    return Preset(
        name=hybrid.name,
        stages=tuple(stages),
        summary=hybrid.summary,
        reference=hybrid.reference,
        restarts=parts[0].restarts,
        restart_rule=parts[0].restart_rule,
        operator=operators[0] if operators else None,
        enlarge=max((part.enlarge for part in parts if part.enlarge), default=None),
        masks=tuple(masks),
        encoder=first if first in ENCODERS else "",
        notes=f"{', then '.join(hybrid.parts)}. {hybrid.notes}".rstrip(),
    )


def _following(part: Preset, kind: str) -> tuple[Stage, ...]:
    """The stages of a preset whose code begins at `kind`, where it is not looked for itself."""
    stage, *others = part.stages
    variables = tuple(
        replace(v, init=replace(v.init, kind=kind))
        if v.space in LATENT_SPACES and v.init.kind != ENCODER
        else v
        for v in stage.variables
    )
    return (replace(stage, variables=variables), *others)


def with_steps(preset: Preset, steps: int | None) -> Preset:
    """The preset with its evaluations scaled to `steps` in total, shared out in proportion."""
    if steps is None:
        return preset
    if is_number(steps) and steps < len(preset.stages):
        raise ValueError(
            f"steps must be at least {len(preset.stages)} (one per stage), got {steps}"
        )
    check_whole("steps", steps, 1)
    if steps == preset.steps:
        return preset
    # Rounding the edges between stages keeps the sum; then every stage keeps at least one step.
    edges = np.rint(np.cumsum([0, *(s.steps for s in preset.stages)]) * steps / preset.steps)
    rank = np.arange(len(edges))
    edges = np.clip(np.maximum.accumulate(edges - rank), 0, steps - rank[-1]) + rank
    spans = np.diff(edges).astype(int)
    stages = tuple(with_stage_steps(s, int(n)) for s, n in zip(preset.stages, spans, strict=True))
    return replace(preset, stages=stages)


def with_stage_steps(stage: Stage, steps: int) -> Stage:
    """The stage with other steps; of a Markov chain the warm-up stays the same share of them."""
    solver = stage.solver
    if solver.name in MARKOV_CHAINS:
        share = steps / stage.steps
        options = ((k, round(v * share) if k == "warmup" else v) for k, v in solver.options)
        solver = replace(solver, options=tuple(options))
    return replace(stage, steps=steps, solver=solver)
