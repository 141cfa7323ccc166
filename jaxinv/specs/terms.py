"""What is lowered: the summands of an objective and what they see."""

from __future__ import annotations

from dataclasses import dataclass

from jaxinv.checks import check_at_least, check_choice, check_span, check_whole
from jaxinv.specs.schedules import STEADY, Schedule
from jaxinv.vocabulary import (
    IMAGE_TERMS,
    LAYERS,
    NETS,
    REDUCTIONS,
    SPACES,
    TERMS,
    VARIABLE_TERMS,
)


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
    The `weight` is multiplied by the `schedule`.
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
    schedule: Schedule = STEADY

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
