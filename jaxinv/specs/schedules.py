"""Factors that change over a stage: of step lengths, jitter and the weights of terms."""

from __future__ import annotations

from dataclasses import dataclass

from jaxinv.checks import check_above, check_choice
from jaxinv.vocabulary import SCHEDULES


@dataclass(frozen=True)
class Schedule:
    """A factor in [0, 1] as a function of the fraction t of the stage that is done.

    "nv_ramp": linear rise over `rise`, half-cosine fall over the last `fall` (Karras et al. 2020,
    StyleGAN2, appendix D). "cosine": half-cosine from 1 to 0. "quadratic_decay":
    max(0, 1 - t / `until`)^2, the same source's noise on w.
    """

    kind: str = "constant"
    rise: float = 0.05
    fall: float = 0.25
    until: float = 0.75

    def __post_init__(self) -> None:
        check_choice("schedule", self.kind, SCHEDULES)
        for name in ("rise", "fall", "until"):
            check_above(f"schedule {name}", getattr(self, name), 0.0)


STEADY = Schedule()
DECAYING = Schedule("quadratic_decay")
