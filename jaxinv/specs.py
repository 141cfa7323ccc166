"""Frozen dataclasses that say WHAT to do; every preset is built of nothing else.

A preset is a list of stages. A stage moves some variables of a frozen generator so as to lower the
weighted sum of some terms, with one solver, for a number of steps. All values are checked when the
object is made, so that a wrong preset fails before anything is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SPACES = ("z", "w", "w+", "s", "noise")
CODECS = ("identity", "whiten")
INITS = ("mean", "prior", "stored", "previous")
TERMS = ("mse", "l1", "lpips", "features", "noise_autocorrelation", "gaussian", "row_spread")
IMAGE_TERMS = ("mse", "l1", "lpips", "features")
NETS = ("alexnet", "vgg16")
REDUCTIONS = ("mean", "sum")
SCHEDULES = ("constant", "nv_ramp", "cosine", "quadratic_decay")
SOLVERS = ("adam", "sgd", "rmsprop", "adamax", "radam", "lbfgs")
HOOKS = ("standardise_noise",)
KEEPS = ("best", "last")


def check_choice(what: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ValueError` naming `value` and the `allowed` names unless it is one of them."""
    if value not in allowed:
        raise ValueError(f"unknown {what} {value!r}; allowed: {', '.join(allowed)}")


def check_at_least(what: str, value: float, least: float) -> None:
    """Raise `ValueError` unless `value` is a number not below `least` (NaN is below everything)."""
    if not value >= least:
        raise ValueError(f"{what} must be at least {least}, got {value}")


@dataclass(frozen=True)
class GeneratorSpec:
    """Facts of one generator, read from its checkpoint: nothing here is guessed.

    `rows` is the number of W+ rows (one per modulation); `styles` the channel count that each row
    modulates; `noise` the side of every noise map; `layout18` maps each row to the row of the
    18-row StyleGAN2 layout that published directions use (empty when there is none).
    """

    name: str
    architecture: str
    resolution: int
    z_dim: int
    w_dim: int = 0
    rows: int = 0
    styles: tuple[int, ...] = ()
    noise: tuple[int, ...] = ()
    layout18: tuple[int, ...] = ()
    alignment: str = "none"


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


@dataclass(frozen=True)
class View:
    """What a term sees: a crop (top, left, height, width as fractions), then an area resize.

    `size` None keeps the resolution at which the image is compared; a larger image is area-reduced
    to `size`, a smaller one is left as it is.
    """

    size: int | None = None
    crop: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            check_at_least("view size", self.size, 8)
        if self.crop is not None:
            top, left, height, width = self.crop
            if not (0 <= top < top + height <= 1 and 0 <= left < left + width <= 1):
                raise ValueError(f"crop {self.crop} must lie within [0, 1]")


@dataclass(frozen=True)
class Term:
    """One summand of the objective.

    Image terms compare a view of the render with the same view of the target ("mse", "l1" on pixels
    in [-1, 1]; "lpips" with `net`; "features": squared distance of the taps `layers` of `net`).
    The others act on the variables: "noise_autocorrelation", "gaussian" (mean square of the code
    `variable` beyond `margin`), "row_spread" (mean square deviation of the rows from their mean).
    """

    name: str
    weight: float = 1.0
    net: str | None = None
    layers: tuple[str, ...] = ()
    view: View = View()
    reduction: str = "mean"
    variable: str | None = None
    rows: tuple[int, int] | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        check_choice("term", self.name, TERMS)
        check_choice("reduction", self.reduction, REDUCTIONS)
        check_at_least(f"weight of term {self.name!r}", self.weight, 0.0)
        if self.name in ("lpips", "features"):
            check_choice("net", self.net or "none", NETS)
        if self.variable is not None:
            check_choice("variable", self.variable, SPACES)

    @property
    def label(self) -> str:
        """Name under which the value of this term is reported."""
        size = f"@{self.view.size}" if self.view.size else ""
        return "-".join(part for part in (self.name, self.net, self.variable) if part) + size


@dataclass(frozen=True)
class InitSpec:
    """Where a variable starts.

    "mean", "prior" (random), "stored" (the checkpoint's) or "previous" (the earlier stage's).
    Restart 0 starts exactly there; the others add `spread` x N(0, 1) in the codec's units.
    """

    kind: str = "mean"
    spread: float = 0.5

    def __post_init__(self) -> None:
        check_choice("initialiser", self.kind, INITS)
        check_at_least("init spread", self.spread, 0.0)


@dataclass(frozen=True)
class Variable:
    """A free unknown: a latent space, the codec that maps the solver's array to it, and its start.

    "whiten" expresses w in the principal axes of W, in standard deviations. `tie` gives, for every
    row of W+, the index of the code that it uses, so that rows with the same index move together;
    `freeze` keeps codes [first, last) at their initial value.
    """

    space: str
    codec: str = "identity"
    init: InitSpec = InitSpec()
    tie: tuple[int, ...] = ()
    freeze: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_choice("space", self.space, SPACES)
        check_choice("codec", self.codec, CODECS)


@dataclass(frozen=True)
class SolverSpec:
    """A solver by name, its step length and whatever else it takes: name-value pairs."""

    name: str = "adam"
    learning_rate: float = 0.1
    schedule: Schedule = Schedule()
    options: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        check_choice("solver", self.name, SOLVERS)
        if not self.learning_rate > 0:
            raise ValueError(f"learning rate must be above 0, got {self.learning_rate}")


@dataclass(frozen=True)
class Jitter:
    """Gaussian noise added to w before every evaluation: `scale` x std(W) x schedule.

    Source: Karras et al. 2020, StyleGAN2, appendix D.
    """

    scale: float = 0.05
    schedule: Schedule = Schedule("quadratic_decay")


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
        check_at_least("steps", self.steps, 1)
        check_choice("keep", self.keep, KEEPS)
        for hook in self.hooks:
            check_choice("hook", hook, HOOKS)
        if not self.variables:
            raise ValueError("a stage needs at least one variable; allowed: " + ", ".join(SPACES))
        if not any(term.name in IMAGE_TERMS for term in self.terms):
            raise ValueError("a stage needs at least one image term: " + ", ".join(IMAGE_TERMS))
        labels = [term.label for term in self.terms]
        if self.stop is not None:
            check_choice("stop term", self.stop.term, tuple(labels))

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
        check_at_least("restarts", self.restarts, 1)
        if not self.stages:
            raise ValueError(f"preset {self.name!r} has no stages")

    @property
    def steps(self) -> int:
        """Evaluations over all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the feature nets that any stage needs."""
        return tuple(sorted({net for stage in self.stages for net in stage.nets}))
