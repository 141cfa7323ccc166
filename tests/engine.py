"""Short ways to run the engine on the linear generator."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.inversion.result import Inversion
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from tests.tiny import LINEAR, draw, linear

SIDE = LINEAR.resolution
MSE = (Term("mse"),)


def one(*variables: Variable, steps: int = 10, **others: Any) -> Stage:
    """A stage: pixels, Adam, and w unless other variables are given."""
    fields = {"terms": MSE, "solver": SolverSpec("adam", 0.1), **others}
    return Stage(variables or (Variable("w"),), steps=steps, **fields)


def preset(*stages: Stage, **others: Any) -> Preset:
    """A preset of the stages."""
    return Preset("p", stages or (one(),), "", "", **others)


def run(made: Preset, images: np.ndarray, **others: Any) -> Inversion:
    """Invert with the linear generator."""
    return invert(*linear(), images, **{"preset": made, "nets": {}, **others})


@lru_cache
def targets(count: int = 3) -> np.ndarray:
    """Pictures [count, SIDE, SIDE, 3] that are not quite within the generator's reach."""
    noise = np.random.default_rng(9).standard_normal((count, SIDE, SIDE, 3))
    return (draw(linear(), 1, count) + 0.05 * noise).astype(np.float32)
