"""Factors that change over a stage: of step lengths, jitter and the weights of terms."""

from __future__ import annotations

from dataclasses import dataclass

from jaxinv.specs.checks import check_above, check_choice, check_fields
from jaxinv.specs.vocabulary import SCHEDULES


@dataclass(frozen=True)
class Schedule:
    """A factor in [0, 1] as a function of the fraction t of the stage that is done.

    - "constant": 1.
    - "nv_ramp": linear rise over `rise`, half-cosine fall over the last `fall` (Karras et al. 2020,
      StyleGAN2, appendix D).
    - "cosine": half-cosine from 1 to 0.
    - "quadratic_decay": max(0, 1 - t / `until`)^2, the same source's noise on w.
    - "exponential": `rate`^t, so that `rate` is left at the end.
    - "multi_step": 1, and from each fraction of `points` on the factor beside it.
    - "one_cycle": up from `low` to 1 and down again, in straight lines (Smith 2018,
      arXiv:1803.09820, section 4.3).
    - "one_cycle_drop": the same before `drop`, then in a straight line from `low` to `end` (the
      schedule of Menon et al. 2020, PULSE).
    """

    kind: str = "constant"
    rise: float = 0.05
    fall: float = 0.25
    until: float = 0.75
    rate: float = 0.1
    points: tuple[tuple[float, float], ...] = ((0.5, 0.1), (0.75, 0.01))
    low: float = 0.1
    drop: float = 0.9
    end: float = 0.001

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("schedule", self.kind, SCHEDULES)
        for name in ("rise", "fall", "until"):
            check_above(f"schedule {name}", getattr(self, name), 0.0)
        for name in ("rate", "low", "drop", "end"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"schedule {name} must lie between 0 and 1, got {value!r}")
        starts = [start for start, _ in self.points]
        inside = all(0 < start < 1 and 0 <= value <= 1 for start, value in self.points)
        if not inside or starts != sorted(set(starts)):
            raise ValueError(
                f"schedule points must be rising fractions between 0 and 1 with factors in [0, 1], "
                f"got {self.points}"
            )


STEADY = Schedule()
DECAYING = Schedule("quadratic_decay")
