"""How variables are moved: solvers and hooks."""

from __future__ import annotations

from dataclasses import dataclass

from jaxinv.specs.checks import check_above, check_choice, check_fields, check_number, check_whole
from jaxinv.specs.schedules import STEADY, Schedule
from jaxinv.specs.vocabulary import (
    HOOKS,
    INCOMPATIBLE,
    OPTIONS,
    POSITIVE_OPTIONS,
    RATE_OPTIONS,
    SOLVERS,
    WHOLE_OPTIONS,
)


@dataclass(frozen=True)
class SolverSpec:
    """An optimizer by name, its step length and its options, pairs of name and value.

    `learning_rate` is the step length; of solvers that draw candidates, their initial standard
    deviation. `schedule` multiplies it over the stage. Names, and the options of each, stand in
    `jaxinv.specs.vocabulary.OPTIONS`.
    """

    name: str = "adam"
    learning_rate: float = 0.1
    schedule: Schedule = STEADY
    options: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("solver", self.name, SOLVERS)
        check_above("learning rate", self.learning_rate, 0.0)
        for name, value in self.options:
            check_choice(f"option of solver {self.name!r}", name, OPTIONS[self.name])
            check_number(f"{self.name} {name}", value)
            if name in WHOLE_OPTIONS:
                check_whole(f"{self.name} {name}", value, WHOLE_OPTIONS[name])
            if name in POSITIVE_OPTIONS:
                check_above(f"{self.name} {name}", value, 0.0)
            if name in RATE_OPTIONS and not 0 < value < 1:
                raise ValueError(f"{self.name} {name} must lie between 0 and 1, got {value}")
        if "schedule" in INCOMPATIBLE.get(self.name, ()) and self.schedule.kind != "constant":
            raise ValueError(
                f"solver {self.name!r} has schedule {self.schedule.kind!r}; allowed: constant"
            )


ADAM = SolverSpec()


@dataclass(frozen=True)
class Hook:
    """What is done to a `variable` after every step of a first-order solver.

    - "standardize": every noise map gets mean 0 and variance 1 (Karras et al. 2020, StyleGAN2,
      appendix D).
    - "sphere": every vector keeps its length (Menon et al. 2020, PULSE, section 3.2).
    - "clamp": coordinates stay within -`bound` and `bound`.
    - "redraw": coordinates beyond `bound` are drawn anew from the uniform distribution within
      (Lipton & Tripathi 2017, section 3).
    """

    kind: str
    variable: str
    bound: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("hook", self.kind, tuple(HOOKS))
        check_choice(f"variable of hook {self.kind!r}", self.variable, HOOKS[self.kind])
        check_above(f"bound of hook {self.kind!r}", self.bound, 0.0)
