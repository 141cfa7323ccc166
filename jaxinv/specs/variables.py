"""What is moved: free unknowns, how the solver sees them, and where they start."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxinv.specs.checks import (
    check_above,
    check_at_least,
    check_choice,
    check_fields,
    check_span,
    check_whole,
)
from jaxinv.specs.vocabulary import (
    CODECS,
    DEFAULT,
    DELTA_FORMS,
    INITS,
    INITS_BY_SPACE,
    LATENT_SPACES,
    LAYERWISE,
    OUTPUT_VARIABLES,
    SPACES,
    TRANSFORMS,
)

SELECTED = ("*",)
ALL = (0.0, 1.0)


@dataclass(frozen=True)
class InitSpec:
    """Where a variable starts.

    Kinds ("default" is the first that the variable's space allows):

    - "mean": the mean of a latent space. "prior": a random draw. "best-of": the best of `count`
      random draws by the stage's own loss.
    - "learned": the w that a regression on pictures of the generator guesses of the image.
    - "encoder": the code that the encoder among the nets sees in the picture that is compared.
    - "given": the latents that the caller starts with. "previous": where the stage before ended, or
      what it drew with.
    - "stored": the noise maps of the checkpoint. "class": the class that the caller names.
      "zeros": nothing added, nothing changed. "uniform": equal shares.
    - "layerwise": the z of a chain of dense layers, found from the image backwards by `method` with
      its `options`.

    Of the restarts of a code or of noise that starts at one place, number 0 begins exactly there
    and the others `spread` x N(0, 1) away, in the codec's units ("preconditioned": in standard
    deviations of W).
    """

    kind: str = DEFAULT
    spread: float = 0.5
    count: int = 100
    method: str = "lp"
    options: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("layerwise method", self.method, tuple(LAYERWISE))
        for name, value in self.options:
            check_choice(f"option of method {self.method!r}", name, LAYERWISE[self.method])
            check_above(f"{self.method} {name}", value, 0.0)
        check_choice("initialiser", self.kind, INITS)
        check_at_least("init spread", self.spread, 0.0)
        check_whole("init count", self.count, 1)


@dataclass(frozen=True)
class Variable:
    """What a stage moves, the coordinates in which the solver sees it, and where it starts.

    Spaces:

    - Codes: "z", "z+" (one z per row of w+), "w", "w+", "s".
    - "noise" maps; the class as "label" (probabilities) or "embedding".
    - "features", added to the activations after the steps `layers` of the generator; "weights" of
      the drawing network.
    - "mix", the shares by channel of `num_codes` codes after the one step `layers` (Gu et al. 2020,
      mGANPrior).
    - "transform" of the drawn picture (shift, scale, colour); "surrogate", a small network behind
      it that learns a degradation.

    Codecs (coordinates):

    - "identity": as they are. "whiten": w in the principal axes of W, in standard deviations.
    - "gradient-axes": whitened w+ along the directions in which the loss pulls, for all images
      alike (Wang & Ponce 2021). "preconditioned": these, scaled by the curvature of the loss.
    - "p": before the last activation of the mapping network; "pn": that, whitened (Zhu et al. 2020,
      P and P_N, arXiv:2012.09036); "gaussianized": that, scaled by coordinate (Menon et al. 2020,
      PULSE).
    - "flow": where a learned invertible network takes a code, a unit normal (Zhu et al. 2019, LIA).
    - "tanh" keeps z within (-1, 1), "sphere" at its usual length; "softmax" makes probabilities.

    Attributes:
        space: what is moved.
        codec: its coordinates.
        init: where it starts.
        tie: for every row of W+, the index of the code that it uses: rows with the same index move
            together.
        freeze: rows of w+, or noise maps, [first, last), that keep their start.
        rate: a factor of the solver's learning rate.
        num_codes: several codes instead of one, for "mix".
        layers: steps of the generator, each a name, or a fraction of their number.
        select: patterns of the names of weights that change.
        step_range: the part of the generator's steps whose weights change, as fractions.
        form: how weights change: "add", "multiply", or "low-rank".
        rank: of "low-rank".
        kinds: of transform.
        shared: one value for all images of a batch, which are then searched for together (several
            pivots of one generator: Roich et al. 2021, PTI, section 4).
        mask: "features" change only where this mask holds ("not NAME": where it does not).
    """

    space: str
    codec: str = "identity"
    init: InitSpec = InitSpec()
    tie: tuple[int, ...] = ()
    freeze: tuple[int, int] | None = None
    rate: float = 1.0
    num_codes: int = 0
    layers: tuple[str | float, ...] = ()
    select: tuple[str, ...] = SELECTED
    step_range: tuple[float, float] = ALL
    form: str = "add"
    rank: int = 0
    kinds: tuple[str, ...] = TRANSFORMS
    shared: bool = False
    mask: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("space", self.space, SPACES)
        check_above(f"rate of {self.space!r}", self.rate, 0.0)
        check_choice("codec", self.codec, tuple(CODECS))
        if self.init.kind == DEFAULT:
            object.__setattr__(self, "init", replace(self.init, kind=INITS_BY_SPACE[self.space][0]))
        check_choice(f"start of {self.space!r}", self.init.kind, INITS_BY_SPACE[self.space])
        check_choice(f"space of codec {self.codec!r}", self.space, CODECS[self.codec])
        if self.codec in ("gradient-axes", "preconditioned") and self.tie:
            raise ValueError(f"codec {self.codec!r} with tie {self.tie}; allowed: untied")
        if self.codec == "hull" and (self.tie or self.freeze):
            raise ValueError(
                f"codec 'hull' with tie {self.tie} and freeze {self.freeze}; allowed: neither"
            )
        if self.codec == "preconditioned" and self.freeze:
            raise ValueError(
                f"codec 'preconditioned' with frozen rows {self.freeze}; allowed: none"
            )
        self._check_fields()
        if self.tie and set(self.tie) != set(range(max(self.tie) + 1)):
            raise ValueError(f"tie must use every code from 0 to its largest, got {self.tie}")
        check_span("freeze", self.freeze)
        self._check_network()

    def _check_fields(self) -> None:
        """Refuse fields that the space would ignore."""
        owners = {
            "tie": (self.tie, ("w+",)),
            "freeze": (self.freeze, ("w+", "z+", "noise")),
            "num_codes": (self.num_codes, (*LATENT_SPACES, "mix")),
            "layers": (self.layers, ("features", "mix")),
            "select": (self.select != SELECTED, ("weights",)),
            "step_range": (self.step_range != ALL, ("weights",)),
            "form": (self.form != "add", ("weights",)),
            "rank": (self.rank, ("weights",)),
            "kinds": (self.kinds != TRANSFORMS, ("transform",)),
            "mask": (self.mask, ("features",)),
            "shared": (self.shared, ("weights", *OUTPUT_VARIABLES)),
        }
        for name, (present, spaces) in owners.items():
            if present and self.space not in spaces:
                raise ValueError(f"{name} of {self.space!r}; allowed: {', '.join(spaces)}")

    def _check_network(self) -> None:
        check_whole("num_codes", self.num_codes, 0)
        check_choice("form of weights", self.form, DELTA_FORMS)
        check_whole("rank", self.rank, int(self.form == "low-rank"))
        if self.num_codes and (self.tie or self.freeze):
            raise ValueError(f"{self.num_codes} codes of {self.space!r} with tie or freeze")
        if self.space in ("features", "mix") and (not self.layers or len(self.layers) > self._most):
            allowed = "one step" if self.space == "mix" else "at least one step"
            raise ValueError(f"{self.space!r} at {self.layers}; allowed: {allowed}")
        if self.space == "mix":
            check_whole("num_codes of 'mix'", self.num_codes, 1)
        if not 0 <= self.step_range[0] < self.step_range[1] <= 1:
            raise ValueError(f"part must be two rising fractions of 0 to 1, got {self.step_range}")
        for step in self.layers:
            if isinstance(step, float) and not 0 < step <= 1:
                raise ValueError(f"a step as a fraction must lie above 0 and up to 1, got {step}")
        for kind in self.kinds:
            check_choice("kind of transform", kind, TRANSFORMS)

    @property
    def _most(self) -> int:
        return 1 if self.space == "mix" else len(self.layers)
