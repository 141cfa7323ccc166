"""Frozen dataclasses that say WHAT to do; every preset is built of nothing else.

A preset is a list of stages. A stage moves some variables of a frozen generator so as to lower the
weighted sum of some terms, with one solver, for a number of steps. All values are checked when the
object is made, so that a wrong preset fails before anything is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jaxinv.checks import check_above, check_at_least, check_choice, check_span, check_whole
from jaxinv.vocabulary import (
    CHAIN,
    CODECS,
    HOOKS,
    IMAGE_TERMS,
    INITS,
    KEEPS,
    LAYERS,
    NETS,
    OPTIONS,
    PRIORS,
    REDUCTIONS,
    SCHEDULES,
    SOLVERS,
    SPACES,
    TERMS,
    VARIABLE_TERMS,
    WHOLE_OPTIONS,
)


@dataclass(frozen=True)
class GeneratorSpec:
    """Facts of one generator, read from its checkpoint: nothing here is guessed.

    `rows` counts those of W+; `styles` gives the channels of every modulation, in drawing order,
    `noise` the side of every noise map; `layout18` maps each row to that of the 18-row StyleGAN2
    layout that published directions use (empty when there is none); `labels` counts the classes;
    z is "normal" or "uniform" on [-1, 1]; `facts` are for the architecture alone.
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
    labels: int = 0
    prior: str = "normal"
    facts: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_whole("resolution", self.resolution, 8)
        check_whole("z_dim", self.z_dim, 1)
        check_whole("labels", self.labels, 0)
        check_choice("prior", self.prior, PRIORS)
        if len(self.layout18) not in (0, self.rows):
            raise ValueError(
                f"layout18 has {len(self.layout18)} entries; allowed: 0 or {self.rows} (rows)"
            )

    @property
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces that this generator has."""
        has = {
            "z": True,
            "w": self.w_dim > 0,
            "w+": self.w_dim > 0 and self.rows > 0,
            "s": bool(self.styles),
            "noise": bool(self.noise),
        }
        return tuple(name for name in SPACES if has[name])


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
class View:
    """What a term sees: a crop (top, left, height, width as fractions), then an area resize.

    `size` is that of the shorter side; a smaller image is left as it is. None keeps the resolution
    at which the image is compared.
    """

    size: int | None = None
    crop: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            check_whole("view size", self.size, 8)
        if self.crop is not None:
            top, left, height, width = self.crop
            inside = 0 <= top <= 1 - height + 1e-9 and 0 <= left <= 1 - width + 1e-9
            if not (inside and height > 0 and width > 0):
                raise ValueError(f"crop {self.crop} (top, left, height, width) must lie in [0, 1]")


@dataclass(frozen=True)
class Term:
    """One summand of the objective.

    Image terms compare a view of the render with the same view of the target ("mse", "l1" on pixels
    in [-1, 1]; "lpips" with `net`; "features": squared distance of the taps `layers` of `net`).
    "weave" sees the render alone, also above the resolution at which images are compared: it
    penalises a fine regular pattern (see `losses.weave`).
    The others act on free variables: "noise_autocorrelation", "gaussian" (mean square of the code
    of `variable` beyond `margin`), "row_spread" (mean square deviation of the rows of w+ from their
    mean, beyond `margin`); `rows` [first, last) restricts the last two to some codes of w+,
    and `part` does so by fractions of their number, whatever the generator: (0.7, 1) is the finest.
    """

    name: str
    weight: float = 1.0
    net: str | None = None
    layers: tuple[str, ...] = ()
    view: View = View()
    reduction: str = "mean"
    variable: str | None = None
    rows: tuple[int, int] | None = None
    part: tuple[float, float] | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        check_choice("term", self.name, TERMS)
        check_choice("reduction", self.reduction, REDUCTIONS)
        check_at_least(f"weight of term {self.name!r}", self.weight, 0.0)
        check_at_least("margin", self.margin, 0.0)
        check_span("term rows", self.rows)
        if self.part is not None and not 0 <= self.part[0] < self.part[1] <= 1:
            raise ValueError(f"part must be two rising fractions of 0 to 1, got {self.part}")
        if self.name in ("lpips", "features"):
            check_choice(f"net of term {self.name!r}", str(self.net), NETS)
        if self.name == "features" and not self.layers:
            layers = LAYERS[str(self.net)]
            raise ValueError(f"term 'features' needs layers; allowed: {', '.join(layers)}")
        for layer in self.layers if self.name == "features" else ():
            check_choice(f"layer of {self.net!r}", layer, LAYERS[str(self.net)])
        if self.name in ("gaussian", "row_spread"):
            spaces = SPACES if self.name == "gaussian" else ("w+",)
            check_choice(f"variable of term {self.name!r}", str(self.variable), spaces)
        self._check_fields()

    def _check_fields(self) -> None:
        """Refuse fields that the term would ignore."""
        default, penalty = View(), self.name in ("gaussian", "row_spread")
        ignored = {
            "net": self.net is not None and self.name not in ("lpips", "features"),
            "layers": bool(self.layers) and self.name != "features",
            "view": self.view != default and self.name in VARIABLE_TERMS,
            "reduction": self.reduction != "mean" and self.name not in IMAGE_TERMS,
            "variable": self.variable is not None and not penalty,
            "margin": self.margin > 0 and not penalty,
            "rows": self.rows is not None and not (penalty and self.variable == "w+"),
            "part": self.part is not None and not (penalty and self.variable == "w+"),
        }
        for name, wrong in ignored.items():
            if wrong:
                raise ValueError(f"term {self.name!r} takes no {name}, got {getattr(self, name)!r}")

    @property
    def label(self) -> str:
        """Name under which the value of this term is reported."""
        size = f"@{self.view.size}" if self.view.size else ""
        return "-".join(part for part in (self.name, self.net, self.variable) if part) + size


def labels(terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Names under which the values of `terms` are reported; repeated ones are numbered from 2."""
    names: list[str] = []
    for term in terms:
        count = sum(name.partition("#")[0] == term.label for name in names)
        names.append(f"{term.label}#{count + 1}" if count else term.label)
    return tuple(names)


@dataclass(frozen=True)
class InitSpec:
    """Where a variable starts.

    "mean": the mean of a latent space. "prior": a random draw. "stored": the noise maps of the
    checkpoint. "previous": where the stage before ended, or what it drew with. Of the restarts of a
    "mean" or "stored" start, number 0 begins exactly there and the others `spread` x N(0, 1) away,
    in the codec's units.
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
    of whitened w+ into its gradient axes (see `axes`). `tie` gives, for every row of W+, the index
    of the code that it uses, so that rows with the same index move together; `freeze` keeps codes
    [first, last) at their initial value.
    """

    space: str
    codec: str = "identity"
    init: InitSpec = InitSpec()
    tie: tuple[int, ...] = ()
    freeze: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_choice("space", self.space, SPACES)
        check_choice("codec", self.codec, CODECS)
        known = "stored" if self.space == "noise" else "mean"
        check_choice(f"start of {self.space!r}", self.init.kind, (known, "prior", "previous"))
        if self.codec == "whiten" and self.space not in ("w", "w+"):
            raise ValueError(f"codec 'whiten' of {self.space!r}; allowed: w, w+")
        if self.codec == "eigen" and (self.space != "w+" or self.tie):
            raise ValueError(
                f"codec 'eigen' of {self.space!r}, tie {self.tie}; allowed: w+, untied"
            )
        for name in ("tie", "freeze"):
            if getattr(self, name) and self.space != "w+":
                raise ValueError(f"{name} of {self.space!r}; allowed: w+")
        if self.tie and set(self.tie) != set(range(max(self.tie) + 1)):
            raise ValueError(f"tie must use every code from 0 to its largest, got {self.tie}")
        check_span("freeze", self.freeze)


@dataclass(frozen=True)
class SolverSpec:
    """A solver by name, its step length and whatever else it takes: name-value pairs."""

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
        if self.name == "lbfgs" and self.schedule.kind != "constant":
            raise ValueError(
                f"solver 'lbfgs' has schedule {self.schedule.kind!r}; allowed: constant"
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
        """A line search cannot follow a loss or a point that changes behind its back."""
        wrong = {"hooks": self.hooks, "jitter": self.jitter, "keep 'last'": self.keep == "last"}
        for name, present in wrong.items():
            if self.solver.name == "lbfgs" and present:
                others = ", ".join(solver for solver in SOLVERS if solver != "lbfgs")
                raise ValueError(f"{name} with solver 'lbfgs'; allowed with: {others}")

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
