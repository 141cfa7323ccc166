"""A preset by name or file, and with other steps."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.presets import PRESETS
from jaxinv.solvers.mcmc import MARKOV_CHAINS
from jaxinv.specs import Preset, serialization
from jaxinv.specs.checks import check_choice, check_kind, check_whole, is_number

if TYPE_CHECKING:
    from jaxinv.specs import Stage


def find_preset(preset: Preset | str | os.PathLike[str]) -> Preset:
    """The preset itself, the one of that name, or of that JSON file (see `specs.serialization`).

    Raises `ValueError` naming the known ones, or what is wrong with the file.
    """
    if isinstance(preset, str | os.PathLike):
        preset = os.fspath(preset)
        if preset.endswith(serialization.SUFFIX):
            return serialization.read(preset)
        check_choice("preset", preset, tuple(PRESETS))
        return PRESETS[preset]
    check_kind("preset", preset, Preset, ", its name, or a JSON file of one")
    return preset


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
