"""The terms of an objective, and the views of an image that they compare."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from jaxinv.specs.checks import check_at_least, check_choice, check_fields, check_span, check_whole
from jaxinv.specs.schedules import STEADY, Schedule
from jaxinv.specs.term_kinds import IMAGE, TERMS, TermKind
from jaxinv.specs.vocabulary import (
    DISCRIMINATOR,
    DISTANCES,
    EMBEDDERS,
    GLOBAL_DISTANCES,
    LAYERS,
    LPIPS_LAYERS,
    REDUCTIONS,
    TEXT,
    WHEN,
)

COMMON = ("name", "weight", "schedule", "when")  # fields that every term has


@dataclass(frozen=True)
class View:
    """The part of an image that a term sees: a crop, then an area resize.

    `crop` is (top, left, height, width) as fractions of the image; None for all of it. `size` is
    that of the shorter side in px: a larger image is reduced to it, a smaller one is left as it is,
    and None keeps the resolution at which the image is compared. What then is smaller than
    `min_size` px is enlarged to that (bicubic): feature networks say little about pictures much
    smaller than those that they were trained on.
    """

    size: int | None = None
    crop: tuple[float, float, float, float] | None = None
    min_size: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for name, side in (("view size", self.size), ("least view size", self.min_size)):
            if side is not None:
                check_whole(name, side, 8)
        if self.crop is not None:
            top, left, height, width = self.crop
            inside = 0 <= top <= 1 - height + 1e-9 and 0 <= left <= 1 - width + 1e-9
            if not (inside and height > 0 and width > 0):
                raise ValueError(f"crop {self.crop} (top, left, height, width) must lie in [0, 1]")


@dataclass(frozen=True)
class Term:
    """One summand of the objective: a value, counted above `floor`, times `weight` x `schedule`.

    A field that its loss would ignore is refused: `jaxinv.specs.term_kinds` says which it takes.

    **Image terms** compare a `view` of the drawn picture with the same view of the target.

    - Pixels in [-1, 1]: "mse", "l1", "logcosh", "charbonnier", "bce", "hog" (directions of edges),
      "ms_ssim" (at `scales`).
    - Features of a network: "lpips" with `net` (all its layers, or some `layers`); "features" by
      the `distance` of the `layers` of `net`. The `net` "discriminator" is the generator's own,
      with its steps as layers, or its last `last_layers`.
    - "embedding": the outputs `layers` (or the one that stands for the picture) of a converted net,
      of an encoder, or of an attribute function that the caller gives, each as one vector, by their
      `distance`; "cosine" of a net of faces is the identity loss of pSp. dlib's descriptor has no
      gradient, and cannot be one of them.
    - "encoder_cycle": how far the code is from what the encoder sees in its picture, mean square
      (Zhu et al. 2020, IDInvert, equation 5).
    - "attention" compares the attention layers of the discriminator (all, or `layers`) by the norm,
      for every one of `heads` (all), `weighted` by how much each pixel of the target is attended to
      (Daras et al. 2020, YLG).

    A term may compare with another picture than the image: with the one that is given under the
    name `target`, or with that of the stage's "start". An "embedding" may compare with a vector
    that is given under that name instead; "text" always is one, of what words say. Where all
    positions are compared at once (`distance` "style", "appearance": Gram matrices, means), that
    picture may have a mask of its own, `target_mask`. A term that is `removed_from` another, named
    by its label, is not counted itself: what the other's gradient in the code has along its own is
    removed, row by row: the gradient orthogonalization of Saha et al. 2021, LOHO.

    **Terms of clouds**, whose generators draw one point (x, y, z) a pixel: "chamfer" compares two
    as sets, the points of the target where its mask holds; with `neighbours`, those of the drawn
    one count that are among so many nearest of a point of the target (the k-mask of Zhang et al.
    2021, ShapeInversion). "patch_variance" of the drawn one is how unevenly its points lie.

    Such a term counts where its named `mask` holds ("not NAME": where it does not; see `MaskSpec`),
    on top of the mask of the image itself.

    **Terms of the drawn picture alone**: "checkerboard" penalises a fine regular pattern, also
    above the resolution at which images are compared; "high_pass_anchor" is how far its detail
    above what `cutoff` px a side can hold (0: the side of the target) is from that of the picture
    with which the stage starts, which no target restrains; "realism" is softplus(-score) of the
    discriminator, or -score for a `critic`.

    **Terms of variables** act on what is moved.

    - On `variable`, in the units of its codec: "gaussian" (mean square beyond `margin`),
      "row_spread" (that of the deviations of the rows of w+ from their mean), "sparsity" (mean
      absolute value), "anchor" (squared distance from its start), "geocross" (angles between rows).
      Of w+, `rows` [first, last) restricts them to some rows, and `row_range` does so by fractions
      of their number, whatever the generator: (0.7, 1) is the finest. The weight of a prior may be
      meant for pictures of `reference_side` px a side: with fewer pixels, the prior weighs more.
    - On latents: "noise_autocorrelation", "mahalanobis" (in P_N), "norm_from" (distance from the
      mean of W to a `power`), "delta_norm" (distances of rows from the first).
    - Where an encoder is trained: "latent", its `distance` from the known code, the mean over rows;
      "code_realism", softplus(-score) of a critic of codes, likewise (Tov et al. 2021, e4e, 4.2);
      "style_alignment", how far the code's styles point from those of random codes, summed over
      rows (Cao et al. 2022, LSAP, section 3); "aside", the `distance` of a second output of the
      network from what it should be (Wang et al. 2022, HFGI, section 3.2); "attribute", the squared
      distance of an attribute of the drawn picture from what was asked for, by a `net`, and
      "embedding_at_gap", an "embedding" that counts less the further that is from the picture's own
      (Alaluf et al. 2021, SAM, section 3.3); "identity", an "embedding" compared with that of the
      picture that gives the identity (Nitzan et al. 2020, section 3.2); "redrawn", the `distance`
      of a generator's layers from what they make of their own inverse (Bau et al. 2019, section
      3.1).
    - On what is added to "features": "residual_energy".
    - On changed "weights": "drift", to a `power`, and "locality": how far the images of another
      code are from what they were before the change, by pixels or by the LPIPS of `net`. That code
      lies `radius` from the image's (over all rows of W+), in the direction of a random w (Roich et
      al. 2021, PTI, section 3.3).

    Where an encoder is trained, a term may count for some of the pictures alone, `when` they are
    "drawn" by the generator, so that their codes are known, or when they are to stay the "same": no
    other attribute, identity or code is asked for.

    A term that `moves` some of the stage's spaces gives no gradient to the others.
    """

    name: str
    weight: float = 1.0
    net: str | None = None
    layers: tuple[str, ...] = ()
    view: View = View()
    reduction: str = "mean"
    variable: str | None = None
    rows: tuple[int, int] | None = None
    row_range: tuple[float, float] | None = None
    margin: float = 0.0
    schedule: Schedule = STEADY
    last_layers: int = 0
    distance: str = "l2"
    floor: float = 0.0
    scales: int = 5
    heads: tuple[int, ...] = ()
    weighted: bool = True
    critic: bool = False
    power: int = 0
    radius: float = 0.0
    reference_side: int = 0
    cutoff: int = 0
    neighbours: int = 0
    mask: str = ""
    moves: tuple[str, ...] = ()
    target: str = ""
    target_mask: str = ""
    removed_from: str = ""
    when: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("term", self.name, tuple(TERMS))
        check_choice("reduction", self.reduction, REDUCTIONS)
        check_choice("when", self.when, WHEN)
        check_choice("distance", self.distance, DISTANCES)
        check_at_least(f"weight of term {self.name!r}", self.weight, 0.0)
        check_at_least("margin", self.margin, 0.0)
        check_at_least("floor", self.floor, 0.0)
        check_span("term rows", self.rows)
        check_at_least("radius", self.radius, 0.0)
        check_whole("last_layers", self.last_layers, 0)
        check_whole("reference_side", self.reference_side, 0)
        check_whole("cutoff", self.cutoff, 0)
        check_whole("neighbours", self.neighbours, 0)
        check_whole("scales", self.scales, 1)
        if self.row_range is not None and not 0 <= self.row_range[0] < self.row_range[1] <= 1:
            raise ValueError(
                f"row_range must be two rising fractions of 0 to 1, got {self.row_range}"
            )
        for name, value in self.kind.defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        self._check_fields()
        self._check_net()
        if "variable" in self.kind.takes:
            spaces = self.kind.spaces
            check_choice(f"variable of term {self.name!r}", str(self.variable), spaces)
        if self.power not in (0, 1, 2):
            raise ValueError(f"power of term {self.name!r} must be 1 or 2, got {self.power}")
        if any(head < 0 for head in self.heads):
            raise ValueError(f"heads must be whole numbers of at least 0, got {self.heads}")

    def _check_fields(self) -> None:
        """Refuse fields that the term would ignore."""
        for one in fields(self):
            value: Any = getattr(self, one.name)
            if value != one.default and one.name not in COMMON and not self._takes(one.name):
                allowed = (name for name, kind in TERMS.items() if one.name in kind.takes)
                raise ValueError(
                    f"term {self.name!r} takes no {one.name}, got {value!r}; "
                    f"allowed with: {', '.join(allowed)}"
                )

    def _takes(self, name: str) -> bool:
        ignored = {
            "last_layers": self.net != DISCRIMINATOR,
            "view": self.net == DISCRIMINATOR,
            "target": self.target == TEXT and self.name != "embedding",
            "target_mask": self.distance not in GLOBAL_DISTANCES or not self.target,
            "reduction": self.distance in GLOBAL_DISTANCES,
            **dict.fromkeys(("rows", "row_range"), self.variable != "w+"),
        }
        return name in self.kind.takes and not ignored.get(name, False)

    def _check_net(self) -> None:
        takes, nets = self.kind.takes, self.kind.nets
        if not nets or (self.net is None and self.kind.family != IMAGE):
            return
        check_choice(f"net of term {self.name!r}", str(self.net), nets)
        if self.net == DISCRIMINATOR:
            if "last_layers" in takes and bool(self.layers) == bool(self.last_layers):
                raise ValueError(
                    f"term {self.name!r} of the discriminator has layers {self.layers} and "
                    f"last_layers {self.last_layers}; allowed: the names of some of its steps, or "
                    f"how many of the last"
                )
            return
        if self.net in EMBEDDERS:  # their layers are known once their arrays are
            return
        lpips = self.name == "lpips"
        layers = (LPIPS_LAYERS if lpips else LAYERS)[str(self.net)]
        if "layers" in takes and not (self.layers or lpips):
            raise ValueError(f"term {self.name!r} needs layers; allowed: {', '.join(layers)}")
        for layer in self.layers:
            check_choice(f"layer of {self.net!r}", layer, layers)

    @property
    def kind(self) -> TermKind:
        """What is known of the losses of this name."""
        return TERMS[self.name]

    @property
    def label(self) -> str:
        """Name under which the value of this term is reported."""
        size = f"@{self.view.size}" if self.view.size else ""
        parts = (self.name, self.net, self.variable, self.target, self.mask, self.when)
        return "-".join(part for part in parts if part) + size

    @property
    def needs_discriminator(self) -> bool:
        """Whether the term needs the discriminator that the generator was trained against."""
        return self.net == DISCRIMINATOR or self.kind.discriminator


def labels(terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Names under which the values of `terms` are reported; repeated ones are numbered from 2."""
    names: list[str] = []
    for term in terms:
        count = sum(name.partition("#")[0] == term.label for name in names)
        names.append(f"{term.label}#{count + 1}" if count else term.label)
    return tuple(names)
