"""How variables are moved: solvers, stages, and the presets that they make."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxinv.specs.checks import (
    check_at_least,
    check_choice,
    check_fields,
    check_number,
    check_whole,
)
from jaxinv.specs.masks import MaskSpec, base_name
from jaxinv.specs.operators import OperatorSpec
from jaxinv.specs.schedules import DECAYING, Schedule
from jaxinv.specs.solvers import ADAM, Hook, SolverSpec
from jaxinv.specs.term_kinds import IMAGE, IMAGE_TERMS, VARIABLE
from jaxinv.specs.terms import Term, labels
from jaxinv.specs.variables import Variable
from jaxinv.specs.vocabulary import (
    CLASSES,
    EMBEDDERS,
    ENCODER,
    INCOMPATIBLE,
    KEEPS,
    LATENT_SPACES,
    NETS,
    RESTART_RULES,
    SOLVERS,
    SPACES,
    START,
    STOPS,
)


@dataclass(frozen=True)
class Jitter:
    """Gaussian noise added to the code before every evaluation: `scale` x std x schedule.

    The std is that of W for w and w+, and 1 for z and z+. Source: Karras et al. 2020, StyleGAN2,
    appendix D.
    """

    scale: float = 0.05
    schedule: Schedule = DECAYING

    def __post_init__(self) -> None:
        check_fields(self)
        check_at_least("jitter scale", self.scale, 0.0)


@dataclass(frozen=True)
class Stop:
    """End a search early.

    Attributes:
        kind: "below": once the value of a term is small enough; "plateau": once the loss has not
            fallen by the part `gain` of itself for `patience` evaluations.
        term: label of the term, for "below".
        below: the value that ends it.
    """

    term: str = ""
    below: float = 0.0
    kind: str = "below"
    patience: int = 20
    gain: float = 1e-3

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("stop", self.kind, STOPS)
        check_whole("patience", self.patience, 1)
        check_at_least("gain", self.gain, 0.0)
        check_number("below", self.below)


@dataclass(frozen=True)
class Stage:
    """Move `variables` for `steps` evaluations so that the sum of `terms` falls.

    Attributes:
        variables: what is moved; everything else stays as the stage before left it.
        terms: the summands of the loss.
        steps: evaluations.
        solver: the optimizer.
        hooks: what is done to variables after every step.
        jitter: noise on the code before every evaluation.
        keep: "best", the point with the lowest loss, or "last", where the stage ended.
        stop: when to end early.
        pgd_step_size: above 0, the target is not what was measured but the image of the stage
            before, moved towards it: x + pgd_step_size A'(y - A x), seen without the operator.
            Stages of that kind in turn are projected gradient descent (Shah & Hegde 2018,
            arXiv:1802.08406, algorithm 1).
    """

    variables: tuple[Variable, ...]
    terms: tuple[Term, ...]
    steps: int
    solver: SolverSpec = ADAM
    hooks: tuple[Hook, ...] = ()
    jitter: Jitter | None = None
    keep: str = "best"
    stop: Stop | None = None
    pgd_step_size: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("steps", self.steps, 1)
        check_at_least("pgd_step_size", self.pgd_step_size, 0.0)
        check_choice("keep", self.keep, KEEPS)
        if not any(term.kind.family == IMAGE for term in self.terms):
            raise ValueError("a stage needs at least one image term: " + ", ".join(IMAGE_TERMS))
        trained = [term.name for term in self.terms if term.kind.training or term.when]
        if trained:
            raise ValueError(
                f"a stage has a term {trained[0]!r}; allowed: where an encoder is trained"
            )
        if self.stop is not None and self.stop.kind == "below":
            check_choice("stop term", self.stop.term, labels(self.terms))
        self._check_variables()
        self._check_moves()
        self._check_solver()

    def _check_variables(self) -> None:
        free = self.spaces
        if not free:
            raise ValueError("a stage needs at least one variable; allowed: " + ", ".join(SPACES))
        one_of = (LATENT_SPACES, CLASSES)
        if len(set(free)) < len(free) or any(len(set(free) & set(few)) > 1 for few in one_of):
            raise ValueError(
                f"variables {', '.join(free)}; allowed: each space once, at most one of "
                f"{', '.join(LATENT_SPACES)} and one of {', '.join(CLASSES)}"
            )
        needs = [(f"hook {hook.kind!r}", hook.variable) for hook in self.hooks]
        needs += [
            (f"term {term.label!r}", term.variable or term.kind.spaces[0])
            for term in self.terms
            if term.kind.family == VARIABLE
        ]
        needs += [("num_codes", "mix") for v in self.variables if v.num_codes]
        counts = {v.num_codes for v in self.variables if v.space in (*LATENT_SPACES, "mix")}
        if len(counts) > 1:
            raise ValueError(f"code and mix with num_codes {sorted(counts)}; allowed: the same")
        for what, space in needs:
            if space not in free:
                raise ValueError(f"{what} needs a free {space!r}; free: {', '.join(free)}")
        if self.shared and (self.hooks or self.pgd_step_size):
            raise ValueError(
                f"{', '.join(self.shared)} shared by images, with hooks {self.hooks} and "
                f"pgd_step_size {self.pgd_step_size}; allowed: neither"
            )
        radii = sorted({term.radius for term in self.terms if term.radius})
        if len(radii) > 1:
            raise ValueError(f"terms 'locality' with radius {radii}; allowed: one in a stage")
        self._check_starts()
        if self.jitter is not None and not {"z", "z+", "w", "w+"} & set(free):
            raise ValueError(f"jitter needs a free 'z', 'z+', 'w' or 'w+'; free: {', '.join(free)}")

    def _check_moves(self) -> None:
        """Every variable is moved by some term, and terms name free variables."""
        moved: set[str] = set()
        counted = tuple(term for term in self.terms if not term.removed_from)
        for term in self.terms:
            if term.removed_from:
                self._check_removal(term, counted)
        for term in counted:
            for space in term.moves:
                check_choice(f"space that term {term.label!r} moves", space, self.spaces)
            own = (term.variable or term.kind.spaces[0],) if term.kind.family == VARIABLE else ()
            moved |= set(own or term.moves or self.spaces)
        idle = [space for space in self.spaces if space not in moved]
        if idle:
            raise ValueError(f"no term moves {', '.join(idle)}; moved: {', '.join(sorted(moved))}")

    def _check_removal(self, term: Term, counted: tuple[Term, ...]) -> None:
        named = dict(zip(labels(counted), counted, strict=True))
        what = f"term from which {term.label!r} is removed"
        check_choice(what, term.removed_from, tuple(named))
        if not set(LATENT_SPACES) & set(named[term.removed_from].moves or self.spaces):
            raise ValueError(
                f"{what} moves no code, got {', '.join(self.spaces)}; "
                f"allowed: one of {', '.join(LATENT_SPACES)}"
            )

    def _check_starts(self) -> None:
        """Terms that ask for one start, or for the rows of one code."""
        kinds = {variable.init.kind for variable in self.variables}
        several = any(variable.num_codes for variable in self.variables)
        for term in self.terms:
            of_start = term.kind.initial_codes or term.kind.pivot or term.target == START
            if of_start and "best-of" in kinds:
                raise ValueError(
                    f"term {term.label!r} in a stage that starts at 'best-of'; allowed: 'previous' "
                    f"or another start, with 'best-of' in the stage before"
                )
            if term.kind.one_code and several:
                raise ValueError(f"term {term.label!r} with several codes; allowed: one code")

    def _check_solver(self) -> None:
        """Some solvers cannot follow a loss or a point that changes behind their back."""
        rates = [variable.rate for variable in self.variables if variable.rate != 1]
        wrong = {"rate": rates, "hooks": self.hooks, "jitter": self.jitter}
        wrong |= {"keep 'last'": self.keep == "last"}
        routed = (term for term in self.terms if term.moves or term.removed_from)
        wrong |= {"moves": [term.label for term in routed]}
        for name, present in wrong.items():
            if present and name in INCOMPATIBLE.get(self.solver.name, ()):
                others = ", ".join(s for s in SOLVERS if name not in INCOMPATIBLE.get(s, ()))
                raise ValueError(f"{name} with solver {self.solver.name!r}; allowed with: {others}")

    @property
    def shared(self) -> tuple[str, ...]:
        """Spaces of the free variables that all images of a batch share."""
        return tuple(variable.space for variable in self.variables if variable.shared)

    @property
    def spaces(self) -> tuple[str, ...]:
        """Spaces of the free variables."""
        return tuple(variable.space for variable in self.variables)

    @property
    def masks(self) -> tuple[str, ...]:
        """Names of the masks that terms and variables are restricted by, without repetition."""
        return tuple(sorted({base_name(mask) for mask in self.regions}))

    @property
    def regions(self) -> tuple[str, ...]:
        """These masks as terms and variables say them, "NAME" and "not NAME", once each."""
        named = [one.mask for one in (*self.terms, *self.variables)]
        named += [term.target_mask for term in self.terms]
        return tuple(sorted({mask for mask in named if mask}))

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the pictures and vectors that the caller gives beside the image, once each."""
        return tuple(sorted({term.target for term in self.terms} - {"", START}))

    @property
    def sees_start(self) -> bool:
        """Whether a term looks at the picture with which the stage starts."""
        return any(term.kind.pivot or term.target == START for term in self.terms)

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the feature nets that the terms need, without repetition."""
        known = (*NETS, *EMBEDDERS)
        own = {ENCODER for variable in self.variables if variable.init.kind == ENCODER}
        return tuple(sorted({term.net for term in self.terms if term.net in known} | own))


@dataclass(frozen=True)
class Preset:
    """A method as data.

    Attributes:
        name: what `-p` and `invert` know it by.
        stages: run one after the other, each from where the one before ended.
        summary: what it does, in a line.
        reference: paper, section and equation that it follows.
        checked: what it was compared with.
        restarts: starts per image.
        restart_rule: which restart is kept.
        operator: what the images have gone through: drawn pictures go through it too before they
            are compared.
        enlarge: images of a smaller side (px) are enlarged to it first, smoothly (not with an
            operator): what lies above their own resolution is then compared with nothing, and no
            fine pattern of the generator can pass for detail.
        masks: those that terms and variables name.
        encoder: the preset of the encoder at whose codes it begins, see `Hybrid`: the caller gives
            one that is trained (`init`), or its codes.
        notes: where it differs from the reference, and what could not be verified.
    """

    name: str
    stages: tuple[Stage, ...]
    summary: str
    reference: str
    checked: str = ""
    restarts: int = 1
    restart_rule: str = RESTART_RULES[0]
    operator: OperatorSpec | None = None
    enlarge: int | None = None
    masks: tuple[MaskSpec, ...] = ()
    encoder: str = ""
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("restarts", self.restarts, 1)
        check_choice("restart rule", self.restart_rule, RESTART_RULES)
        check_whole("enlarge", 8 if self.enlarge is None else self.enlarge, 8)
        if not self.stages:
            raise ValueError(f"preset {self.name!r} has no stages")
        self._check_masks()
        code_space: str | None = None
        for number, stage in enumerate(self.stages, start=1):
            code = next((v for v in stage.variables if v.space in LATENT_SPACES), None)
            where = f"preset {self.name!r}, stage {number}"
            if number == 1 and stage.pgd_step_size:
                raise ValueError(f"{where} has a pgd_step_size, but no image before it; allowed: 0")
            if number == 1 and any(v.init.kind == "previous" for v in stage.variables):
                raise ValueError(
                    f"{where} starts at 'previous', but it is the first; allowed: 'given', "
                    f"what the caller starts it with"
                )
            if code is not None and code.init.kind == "previous":
                allowed = tuple(
                    space
                    for space in LATENT_SPACES
                    if code_space is None or can_convert(code_space, space)
                )
                check_choice(f"space after {code_space!r} ({where})", code.space, allowed)
            code_space = code_space if code is None else code.space
            by_w = [term.name for term in stage.terms if "w" in term.kind.statistics]
            if by_w and code_space not in (None, "w", "w+"):
                raise ValueError(
                    f"{where} has a term {by_w[0]!r} and a code {code_space}; allowed: w, w+"
                )

    def _check_masks(self) -> None:
        """Masks have names of their own, and are there before they are used."""
        known: dict[str, int] = {}
        for mask in self.masks:
            where = f"mask {mask.name!r} of preset {self.name!r}"
            if mask.name in known:
                raise ValueError(f"{where} is there twice; allowed: once")
            if mask.within:
                check_choice(f"mask around {where}", mask.within, tuple(known))
            if mask.after > len(self.stages):
                raise ValueError(f"{where} after {mask.after}; allowed: 1 to {len(self.stages)}")
            known[mask.name] = max(mask.after, known.get(mask.within, 0))
        if self.masks and self.operator is not None:
            raise ValueError(
                f"preset {self.name!r} has masks {', '.join(known)} and operator "
                f"{self.operator.name!r}; allowed: masks of images, without an operator"
            )
        if self.targets and self.operator is not None:
            raise ValueError(
                f"preset {self.name!r} has targets {', '.join(self.targets)} and operator "
                f"{self.operator.name!r}; allowed: targets without an operator"
            )
        for number, stage in enumerate(self.stages, start=1):
            early = tuple(name for name, after in known.items() if after < number)
            for name in stage.masks:
                check_choice(f"mask in preset {self.name!r}, stage {number},", name, early)

    @property
    def requires_starts(self) -> bool:
        """Whether the caller must give `starts`, since the first stage has no code of its own."""
        first = self.stages[0]
        own = any(v.space in LATENT_SPACES for v in first.variables)
        if self.encoder:
            return not any(v.init.kind == ENCODER for v in first.variables)
        return not own or any(v.init.kind == "given" for v in first.variables)

    @property
    def shared(self) -> bool:
        """Whether images of a batch depend on one another."""
        return any(stage.shared for stage in self.stages)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the pictures and vectors that the caller gives beside every image."""
        return tuple(sorted({name for stage in self.stages for name in stage.targets}))

    @property
    def regions(self) -> tuple[str, ...]:
        """Masks as terms and variables of any stage say them, "NAME" and "not NAME"."""
        return tuple(sorted({name for stage in self.stages for name in stage.regions}))

    @property
    def steps(self) -> int:
        """Evaluations over all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the feature nets that any stage needs."""
        of_masks = {mask.net for mask in self.masks if mask.net}
        return tuple(sorted({net for stage in self.stages for net in stage.nets} | of_masks))


def can_convert(space: str, other: str) -> bool:
    """Whether a code of `space` can be carried on to the space `other`."""
    return LATENT_SPACES.index(space) <= LATENT_SPACES.index(other) and (space, other) != (
        "z+",
        "w",
    )
