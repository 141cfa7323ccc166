"""How an encoder is trained, as data: the network, what it learns from, and what it must lower."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jaxinv.specs.checks import check_at_least, check_choice, check_fields, check_whole
from jaxinv.specs.encoders import BASES, OUTPUTS, PLANES, RESIZES
from jaxinv.specs.picture_sources import ANY_PICTURES, MIXED, REAL, PictureSource, check_shares
from jaxinv.specs.solvers import ADAM, SolverSpec
from jaxinv.specs.term_kinds import IMAGE, VARIABLE
from jaxinv.specs.terms import Term
from jaxinv.specs.vocabulary import CALLABLES, DISCRIMINATOR, EMBEDDERS, LATENT_SPACES, NETS

JUDGED = ("codes", "images")
LABEL = "label"
PRETRAINED = "pretrained"  # the fact of a plan that names the net whose weights it begins with
RECOGNISER = "recogniser"  # the fact of a plan that names the net of identities
# Heads that say beside their code what training compares.
WITH_ASIDE = ("styles-fused", "layer-inverses")


@dataclass(frozen=True)
class EncoderPlan:
    """An encoder, whatever the generator: `encoders.plans.encoder_spec` fits it to one.

    Attributes:
        backbone, neck, head: names in the tables of `jaxinv.encoders.networks`.
        planes: what it sees.
        side: of its input in px; of a smaller generator, that of its pictures.
        least_side: to which those of a still smaller one are enlarged.
        resize: how pictures are brought to that side.
        resize_drawn: how what the generator draws is.
        outputs: the spaces of its code, of which the generator's first is taken.
        base: what its output is added to.
        passes: how often it looks.
        groups: how many rows the first feature maps give: numbers, or shares of all rows.
        facts: for the parts alone.
    """

    backbone: str
    head: str
    neck: str = "none"
    planes: tuple[str, ...] = ("image",)
    side: int = 256
    least_side: int = 8
    resize: str = "bilinear"
    resize_drawn: str = "pool"
    outputs: tuple[str, ...] = ("w+",)
    base: str = "mean"
    passes: int = 1
    groups: tuple[int | float, ...] = ()
    facts: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("side", self.side, 8)
        check_whole("least_side", self.least_side, 8)
        check_whole("passes", self.passes, 1)
        check_choice("base", self.base, BASES)
        for resize in (self.resize, self.resize_drawn):
            check_choice("resize", resize, RESIZES)
        for plane in self.planes:
            check_choice("plane", plane, tuple(PLANES))
        for output in self.outputs:
            check_choice("output", output, OUTPUTS)
        for count in self.groups:
            check_at_least("rows of a group", count, 0)


CRITIC_SOLVER = SolverSpec("adam", 2e-5)


@dataclass(frozen=True)
class AdversarySpec:
    """A critic that learns beside the encoder, and is shown what that makes.

    Attributes:
        judges: "codes", a network of `layers` layers that tells them from mapped draws (Tov et al.
            2021, e4e, section 4.2); "images", the generator's own discriminator, trained on.
        solver: what moves it.
        r1: weight gamma of the penalty on its slopes at real samples, halved.
        every: steps between two penalties, each as many times as strong.
        pool: earlier codes of which it is shown half.
    """

    judges: str
    solver: SolverSpec = CRITIC_SOLVER
    r1: float = 10.0
    every: int = 16
    pool: int = 50
    layers: int = 4

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("what a critic judges", self.judges, JUDGED)
        check_at_least("r1", self.r1, 0.0)
        check_whole("every", self.every, 1)
        check_whole("pool", self.pool, 0)
        check_whole("layers", self.layers, 1)


@dataclass(frozen=True)
class RowsInTurn:
    """When rows of a code may differ from the first one (Tov et al. 2021, e4e, section 4.1).

    None does before the share `start` of the steps; then one more after every share `every`.
    """

    start: float
    every: float

    def __post_init__(self) -> None:
        check_fields(self)
        check_shares(self, "start", "every")


@dataclass(frozen=True)
class TargetSearch:
    """A search from the encoder's code, whose end is what it learns (Guan et al. 2020, 3.2).

    Attributes:
        terms: what the search lowers.
        solver: what moves the code.
        steps: of the search, for every batch.
    """

    terms: tuple[Term, ...]
    solver: SolverSpec = ADAM
    steps: int = 100

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("steps of a search", self.steps, 1)
        if not any(term.kind.family == IMAGE for term in self.terms):
            raise ValueError("a search for targets compares no pictures")


@dataclass(frozen=True)
class EncoderPreset:
    """An encoder and its training as data.

    Attributes:
        name: what `train-encoder` knows it by.
        plan: the network.
        terms: what is lowered, at every pass. Those of codes are of the encoder's own space.
        source: what it learns from.
        solver: what moves its weights.
        batch: pictures of a step.
        steps: of the training.
        summary: what it is, in a line.
        reference: paper, section and equation that it follows.
        before: the preset of the encoder whose code it corrects, trained earlier and kept.
        continues: the preset that it goes on from: its weights are where this one starts.
        rows: when rows may differ.
        fade: share of the steps over which features and weights that it makes come in, in a line.
        back: weight of the way back: the picture that it drew is looked at again, asked for the
            attribute or code of the first, which is compared (Alaluf et al. 2021, SAM, section
            3.3).
        alone: weight of the terms of pictures where these are drawn of the codes alone, without
            features and weights that it makes (Bobkov et al. 2024, StyleFeatureEditor).
        search: what makes the codes that it learns of pictures whose code is not known.
        critics: those that learn beside it.
        average: decay per step of the average of its weights that is kept; 0 keeps the last ones.
        checked: what it was compared with.
        notes: where it differs from the reference, and what could not be verified.
    """

    name: str
    plan: EncoderPlan
    terms: tuple[Term, ...]
    summary: str
    reference: str
    source: PictureSource = ANY_PICTURES
    solver: SolverSpec = ADAM
    batch: int = 8
    steps: int = 100_000
    before: str = ""
    continues: str = ""
    rows: RowsInTurn | None = None
    fade: float = 0.0
    back: float = 0.0
    alone: float = 0.0
    search: TargetSearch | None = None
    critics: tuple[AdversarySpec, ...] = ()
    average: float = 0.0
    checked: str = ""
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_fields(self)
        check_whole("batch", self.batch, 1)
        check_whole("steps", self.steps, 1)
        if not 0 <= self.average < 1:
            raise ValueError(f"average must be at least 0 and below 1, got {self.average}")
        check_shares(self, "fade")
        check_at_least("back", self.back, 0.0)
        check_at_least("alone", self.alone, 0.0)
        if not any(term.kind.family == IMAGE or term.name == "latent" for term in self.terms):
            raise ValueError(f"preset {self.name!r} compares no pictures and no codes")
        if (self.plan.base == "before") != bool(self.before):
            raise ValueError(
                f"preset {self.name!r} has base {self.plan.base!r} and before {self.before!r}; "
                f"allowed: base 'before' and a preset before it, or neither"
            )
        self._check_critics()
        self._check_asked()
        self._check_terms()

    def _check_critics(self) -> None:
        """Every critic has its term, and every such term its critic."""
        judges = [critic.judges for critic in self.critics]
        for name, kind in (("code_realism", "codes"), ("realism", "images")):
            if any(term.name == name for term in self.terms) != (kind in judges):
                raise ValueError(
                    f"preset {self.name!r} has critics of {', '.join(judges) or 'nothing'} and "
                    f"terms {', '.join(term.name for term in self.terms)}; allowed: {name!r} with "
                    f"a critic of {kind}"
                )

    def _check_asked(self) -> None:
        """What is asked for is seen, and compared by a term."""
        names, planes, source = [term.name for term in self.terms], self.plan.planes, self.source
        if "aside" in names and "edited" not in planes and self.plan.head not in WITH_ASIDE:
            raise ValueError(
                f"preset {self.name!r} has a term 'aside' and planes {planes}; allowed: with "
                f"'edited', of a head that gives what belongs there"
            )
        told = names.count("attribute")
        if told != ("attribute" in planes) or (self.back and not (told or source.moved)):
            raise ValueError(
                f"preset {self.name!r} has planes {planes}, a way back of weight {self.back} and "
                f"{told} terms 'attribute'; allowed: the plane 'attribute' with one such term, or "
                f"neither and no way back without moves of the code"
            )
        whose, named = "identity" in names, bool(self.recogniser)
        if not whose == ("identity" in planes) == named or source.crossed > whose:
            raise ValueError(
                f"preset {self.name!r} has planes {planes}, terms {', '.join(names)}, recogniser "
                f"{self.recogniser!r} and {source.crossed} of its batches crossed; allowed: the "
                f"plane 'identity' with a term 'identity' and a recogniser, or none of them"
            )
        if (source.moved or source.coded) and not self.before:
            raise ValueError(
                f"preset {self.name!r} moves or knows codes of an encoder before it, and has none"
            )

    def _check_terms(self) -> None:
        """Refuse terms that need a search: a start, a target that is moved, other variables."""
        for term in self.all_terms:
            unknown = term.name == "latent" and self.source.kind == MIXED and term.when != "drawn"
            if unknown or (term.when == "drawn" and self.source.kind == REAL):
                raise ValueError(
                    f"preset {self.name!r} has a term {term.label!r} with {self.source.kind} "
                    f"pictures; allowed: known codes when='drawn', of pictures that are drawn"
                )
            kind = term.kind
            codes = kind.family != VARIABLE or set(kind.spaces) & {*LATENT_SPACES, LABEL}
            if (
                kind.pivot
                or kind.initial_codes
                or not codes
                or term.radius
                or term.moves
                or term.target
            ):
                raise ValueError(
                    f"preset {self.name!r} has a term {term.label!r}; allowed: terms of pictures "
                    f"and of codes, that need no search"
                )

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the feature nets that its terms need, but for what comes with a function."""
        known = {*NETS, *EMBEDDERS} - {*CALLABLES, DISCRIMINATOR}
        named = {term.net for term in self.all_terms} | {self.recogniser, *self.pretrained}
        return tuple(sorted(str(net) for net in named if net in known))

    @property
    def recogniser(self) -> str:
        """The net that says whom a picture shows, which the encoder looks with; empty if none."""
        return dict(self.plan.facts).get(RECOGNISER, "")

    @property
    def pretrained(self) -> tuple[str, ...]:
        """The net with whose weights a part of the encoder begins; empty if none."""
        name = dict(self.plan.facts).get(PRETRAINED)
        return () if name is None else (str(name),)

    @property
    def all_terms(self) -> tuple[Term, ...]:
        """Its terms, and those of its search."""
        return (*self.terms, *(self.search.terms if self.search else ()))

    def searching(self, search: TargetSearch) -> EncoderPreset:
        """The preset with the terms of a search in the place of its own, and no critics."""
        return replace(self, terms=search.terms, search=None, critics=())
