"""Methods that are lists of other presets by name: an encoder, then searches from where it ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxinv.specs.checks import check_fields

LEAST = 2  # parts


@dataclass(frozen=True)
class Hybrid:
    """Presets one after the other, each from where the one before ended.

    Attributes:
        name: what `-p` and `invert` know it by.
        parts: names of presets; the first may be that of an encoder, which is trained beforehand
            and given (`--init`).
        summary: what it does, in a line.
        reference: paper, section and equation that it follows.
        notes: where it differs from the reference, and what could not be verified.
    """

    name: str
    parts: tuple[str, ...]
    summary: str
    reference: str
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        check_fields(self)
        if len(self.parts) < LEAST:
            raise ValueError(
                f"hybrid {self.name!r} of {', '.join(self.parts) or 'nothing'}; allowed: at least "
                f"{LEAST} presets"
            )
