"""What is moved and how: variables, solvers, stages, and the presets that they make."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxinv.checks import check_above, check_at_least, check_choice, check_span, check_whole
from jaxinv.specs.terms import Term, labels
from jaxinv.vocabulary import (
    CHAIN,
    CODECS,
    HOOKS,
    IMAGE_TERMS,
    INITS,
    KEEPS,
    OPTIONS,
    POSITIVE_OPTIONS,
    RATE_OPTIONS,
    REFUSES,
    SCHEDULES,
    SOLVERS,
    SPACES,
    VARIABLE_TERMS,
    WHOLE_OPTIONS,
)


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


@dataclass(frozen=True)
class InitSpec:
    """Where a variable starts.

    "mean": the mean of a latent space. "learned": the w that a regression on pictures of the
    generator guesses (see `starts`). "prior": a random draw. "stored": the noise maps of the
    checkpoint. "previous": where the stage before ended, or what it drew with. Of the restarts of a
    "mean", "learned" or "stored" start, number 0 begins exactly there and the others
    `spread` x N(0, 1) away, in the codec's units.
    """

    kind: str = "mean"
    spread: float = 0.5

    def __post_init__(self) -> None:
        check_choice("initialiser", self.kind, INITS)
        check_at_least("init spread", self.spread, 0.0)


@dataclass(frozen=True)
class Variable:
    """A free unknown: a latent space, the codec that maps the solver's array to it, and its start.

    "whiten" expresses w in the principal axes of W, in standard deviations; "eigen" turns each row
    of whitened w+ into its gradient axes (see `axes`), "natural" also scales these by the curvature
    of the loss (see `curvature`). `tie` gives, for every row of W+, the index
    of the code that it uses, so that rows with the same index move together; `freeze` keeps codes
    [first, last) at their initial value; `rate` is a factor of the solver's learning rate.
    """

    space: str
    codec: str = "identity"
    init: InitSpec = InitSpec()
    tie: tuple[int, ...] = ()
    freeze: tuple[int, int] | None = None
    rate: float = 1.0

    def __post_init__(self) -> None:
        check_choice("space", self.space, SPACES)
        check_above(f"rate of {self.space!r}", self.rate, 0.0)
        check_choice("codec", self.codec, CODECS)
        known = ("stored" if self.space == "noise" else "mean", "prior", "previous")
        known += ("learned",) if self.space in ("w", "w+", "s") else ()
        check_choice(f"start of {self.space!r}", self.init.kind, known)
        if self.codec == "whiten" and self.space not in ("w", "w+"):
            raise ValueError(f"codec 'whiten' of {self.space!r}; allowed: w, w+")
        if self.codec in ("eigen", "natural") and (self.space != "w+" or self.tie):
            raise ValueError(
                f"codec {self.codec!r} of {self.space!r}, tie {self.tie}; allowed: w+, untied"
            )
        if self.codec == "natural" and self.freeze:
            raise ValueError(f"codec 'natural' with frozen rows {self.freeze}; allowed: none")
        for name in ("tie", "freeze"):
            if getattr(self, name) and self.space != "w+":
                raise ValueError(f"{name} of {self.space!r}; allowed: w+")
        if self.tie and set(self.tie) != set(range(max(self.tie) + 1)):
            raise ValueError(f"tie must use every code from 0 to its largest, got {self.tie}")
        check_span("freeze", self.freeze)


@dataclass(frozen=True)
class SolverSpec:
    """A solver by name, its step length and whatever else it takes: name-value pairs.

    The step length of solvers that draw candidates is their initial standard deviation.
    """

    name: str = "adam"
    learning_rate: float = 0.1
    schedule: Schedule = Schedule()
    options: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        check_choice("solver", self.name, SOLVERS)
        check_above("learning rate", self.learning_rate, 0.0)
        for name, value in self.options:
            check_choice(f"option of solver {self.name!r}", name, OPTIONS[self.name])
            if name in WHOLE_OPTIONS:
                check_whole(f"{self.name} {name}", value, WHOLE_OPTIONS[name])
            if name in POSITIVE_OPTIONS:
                check_above(f"{self.name} {name}", value, 0.0)
            if name in RATE_OPTIONS and not 0 < value < 1:
                raise ValueError(f"{self.name} {name} must lie between 0 and 1, got {value}")
        if "schedule" in REFUSES.get(self.name, ()) and self.schedule.kind != "constant":
            raise ValueError(
                f"solver {self.name!r} has schedule {self.schedule.kind!r}; allowed: constant"
            )


@dataclass(frozen=True)
class Jitter:
    """Gaussian noise added to w before every evaluation: `scale` x std(W) x schedule.

    Source: Karras et al. 2020, StyleGAN2, appendix D.
    """

    scale: float = 0.05
    schedule: Schedule = Schedule("quadratic_decay")

    def __post_init__(self) -> None:
        check_at_least("jitter scale", self.scale, 0.0)


@dataclass(frozen=True)
class Stop:
    """End a lane early once the value of the term labelled `term` falls below `below`."""

    term: str
    below: float


@dataclass(frozen=True)
class Stage:
    """Move `variables` for `steps` evaluations so that the sum of `terms` falls."""

    variables: tuple[Variable, ...]
    terms: tuple[Term, ...]
    steps: int
    solver: SolverSpec = SolverSpec()
    hooks: tuple[str, ...] = ()
    jitter: Jitter | None = None
    keep: str = "best"
    stop: Stop | None = None

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 1)
        check_choice("keep", self.keep, KEEPS)
        for hook in self.hooks:
            check_choice("hook", hook, HOOKS)
        if not any(term.name in IMAGE_TERMS for term in self.terms):
            raise ValueError("a stage needs at least one image term: " + ", ".join(IMAGE_TERMS))
        if self.stop is not None:
            check_choice("stop term", self.stop.term, labels(self.terms))
        self._check_variables()
        self._check_solver()

    def _check_variables(self) -> None:
        free = self.spaces
        if not free:
            raise ValueError("a stage needs at least one variable; allowed: " + ", ".join(SPACES))
        if len(set(free)) < len(free) or len(set(free) & set(CHAIN)) > 1:
            raise ValueError(
                f"variables {', '.join(free)}; allowed: one of {', '.join(CHAIN)}, and noise"
            )
        needs: list[tuple[str, str]] = []
        needs += [("hook 'standardise_noise'", "noise")] if self.hooks else []
        needs += [
            (f"term {term.label!r}", term.variable or "noise")
            for term in self.terms
            if term.name in VARIABLE_TERMS
        ]
        for what, space in needs:
            if space not in free:
                raise ValueError(f"{what} needs a free {space!r}; free: {', '.join(free)}")
        if self.jitter is not None and not {"w", "w+"} & set(free):
            raise ValueError(f"jitter needs a free 'w' or 'w+'; free: {', '.join(free)}")

    def _check_solver(self) -> None:
        """Some solvers cannot follow a loss or a point that changes behind their back."""
        rates = [variable.rate for variable in self.variables if variable.rate != 1]
        wrong = {"rate": rates, "hooks": self.hooks, "jitter": self.jitter}
        wrong |= {"keep 'last'": self.keep == "last"}
        for name, present in wrong.items():
            if present and name in REFUSES.get(self.solver.name, ()):
                others = ", ".join(s for s in SOLVERS if name not in REFUSES.get(s, ()))
                raise ValueError(f"{name} with solver {self.solver.name!r}; allowed with: {others}")

    @property
    def spaces(self) -> tuple[str, ...]:
        """Spaces of the free variables."""
        return tuple(variable.space for variable in self.variables)

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the feature nets that the terms need, without repetition."""
        return tuple(sorted({term.net for term in self.terms if term.net}))


@dataclass(frozen=True)
class Preset:
    """A method as data: its stages, what it follows (`reference`) and what was `checked`."""

    name: str
    stages: tuple[Stage, ...]
    summary: str
    reference: str
    checked: str = ""
    restarts: int = 1
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_whole("restarts", self.restarts, 1)
        if not self.stages:
            raise ValueError(f"preset {self.name!r} has no stages")
        held: str | None = None
        for number, stage in enumerate(self.stages, start=1):
            code = next((v for v in stage.variables if v.space in CHAIN), None)
            where = f"preset {self.name!r}, stage {number}"
            if code is None and held is None:
                raise ValueError(f"{where} frees no code; allowed: {', '.join(CHAIN)}")
            if number == 1 and any(v.init.kind == "previous" for v in stage.variables):
                raise ValueError(f"{where} starts at 'previous', but it is the first")
            if code is not None and code.init.kind == "previous":
                allowed = CHAIN[CHAIN.index(str(held)) :]
                check_choice(f"space after {held!r} ({where})", code.space, allowed)
            held = code.space if code is not None else held

    @property
    def steps(self) -> int:
        """Evaluations over all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the feature nets that any stage needs."""
        return tuple(sorted({net for stage in self.stages for net in stage.nets}))
