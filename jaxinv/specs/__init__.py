"""Frozen dataclasses that say WHAT to do; every preset is built of nothing else.

A preset is a list of stages. A stage moves some variables of a frozen generator so as to lower the
weighted sum of some terms, with one solver, for a number of steps. All values are checked when the
object is made, so that a wrong preset fails before anything is compiled.
"""

from jaxinv.specs.generator import GeneratorSpec
from jaxinv.specs.hybrids import Hybrid
from jaxinv.specs.masks import MaskSpec
from jaxinv.specs.operators import OperatorSpec, read_operator
from jaxinv.specs.picture_sources import PictureSource
from jaxinv.specs.schedules import Schedule
from jaxinv.specs.solvers import Hook, SolverSpec
from jaxinv.specs.stages import Jitter, Preset, Stage, Stop
from jaxinv.specs.terms import Term, View, labels
from jaxinv.specs.training import (
    AdversarySpec,
    EncoderPlan,
    EncoderPreset,
    RowsInTurn,
    TargetSearch,
)
from jaxinv.specs.variables import InitSpec, Variable

__all__ = [
    "AdversarySpec",
    "EncoderPlan",
    "EncoderPreset",
    "GeneratorSpec",
    "Hook",
    "Hybrid",
    "InitSpec",
    "Jitter",
    "MaskSpec",
    "OperatorSpec",
    "PictureSource",
    "Preset",
    "RowsInTurn",
    "Schedule",
    "SolverSpec",
    "Stage",
    "Stop",
    "TargetSearch",
    "Term",
    "Variable",
    "View",
    "labels",
    "read_operator",
]
