"""Named masks: which pixels of an image a term counts, and where features may change."""

from __future__ import annotations

from dataclasses import dataclass

from jaxinv.specs.checks import check_above, check_choice, check_fields, check_whole
from jaxinv.specs.operators import MASKS, OperatorSpec
from jaxinv.specs.vocabulary import MASK_SOURCES, NETS

NOT = "not "  # before the name of a mask: where it does not hold


@dataclass(frozen=True)
class MaskSpec:
    """A mask by name, 1 where pixels count and 0 where they do not, and where it comes from.

    Sources:

    - "given": by the caller, [B, S, S] in [0, 1] under this name.
    - "operator": what the mask `operator` keeps.
    - "face": the hull of a face's landmarks with the forehead, empty where no face is found.
    - "lpips": where the LPIPS of `net` between the image and what stage number `after` drew of it,
      position by position, is below `below` (so Cao et al. tell what a generator can draw, DHR).

    A mask is 0 outside of the mask called `within`. Terms and variables name a mask, or its
    complement: "not NAME".
    """

    name: str
    source: str = "given"
    operator: OperatorSpec | None = None
    net: str | None = None
    below: float = 0.0
    after: int = 0
    within: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.name or self.name.startswith(NOT):
            raise ValueError(f"name of a mask {self.name!r}; allowed: some text without 'not '")
        check_choice(f"source of mask {self.name!r}", self.source, MASK_SOURCES)
        owners = {"operator": self.operator, "net": self.net, "below": self.below}
        owners |= {"after": self.after}
        for field, value in owners.items():
            owner = "operator" if field == "operator" else "lpips"
            if value and self.source != owner:
                raise ValueError(
                    f"{field} of mask {self.name!r} from {self.source!r}; allowed with: {owner}"
                )
        if self.source == "operator":
            known = tuple(name for name in MASKS if name != "mask")
            check_choice(
                f"operator of mask {self.name!r}",
                "none" if self.operator is None else self.operator.name,
                known,
            )
        if self.source == "lpips":
            check_choice(f"net of mask {self.name!r}", str(self.net), NETS)
            check_above(f"below of mask {self.name!r}", self.below, 0.0)
            check_whole(f"after of mask {self.name!r}", self.after, 1)


def base_name(mask: str) -> str:
    """The name of the mask that "NAME" or "not NAME" is made of."""
    return mask.removeprefix(NOT)
