"""What an encoder is, as facts of its checkpoint: stem, backbone, neck, head and rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxinv.specs.checks import check_choice, check_fields, check_whole

# What an encoder sees beside each other, and the channels of each ("labels": as many as `labels`;
# "identity": none, the vector of another net stands for that picture).
PLANES = {
    "image": 3,
    "mask": 1,
    "reconstruction": 3,
    "edited": 3,
    "attribute": 1,
    "labels": 0,
    "identity": 0,
}
OUTPUTS = ("z", "w", "w+", "s", "label")
BASES = ("zeros", "mean", "before")
RESIZES = ("area", "bilinear", "bilinear-plain", "bilinear-clipped", "pool", "none")
LONGEST = 8  # chain of encoders
BOUNDS = {
    "side": (8, 2**12),
    "height": (0, 2**12),
    "rows": (0, 2**10),
    "width": (1, 2**20),
    "passes": (1, 2**8),
    "labels": (0, 2**12),
}


@dataclass(frozen=True)
class EncoderSpec:
    """Facts of one encoder; sizes are those of the generator that it was made for.

    Attributes:
        name: what `-e` knows it by.
        backbone: the network that makes feature maps, a name in `BACKBONES` of `jaxinv.encoders`.
        head: what makes codes of them, a name in `HEADS`.
        neck: what joins them before, a name in `NECKS`.
        planes: what it sees, stacked in this order.
        labels: channels of the plane "labels".
        side: of its input in px; of one that is wider than high, its width.
        height: of its input where that is less: of square pictures it sees the middle.
        resize: how pictures are brought to that side.
        resize_drawn: how what the generator draws is.
        output: the space of its code.
        rows: of the code; 0 for one vector.
        width: of a row.
        base: what its output is added to: nothing, the mean of the space, or the code of `before`.
        passes: how often it looks, each time at its last reconstruction (Alaluf et al. 2021,
            ReStyle, section 3); the codes add up.
        before: the encoder whose code or picture this one corrects, with its own weights.
        generator: SHA-256 of the contents of the generator that it inverts; empty if unknown.
        facts: for the parts alone.
    """

    name: str
    backbone: str
    head: str
    neck: str = "none"
    planes: tuple[str, ...] = ("image",)
    labels: int = 0
    side: int = 256
    height: int = 0
    resize: str = "area"
    resize_drawn: str = "pool"
    output: str = "w+"
    rows: int = 0
    width: int = 512
    base: str = "mean"
    passes: int = 1
    before: EncoderSpec | None = None
    generator: str = ""
    facts: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            check_whole(name, value, least)
            if value > most:
                raise ValueError(f"{name} must be at most {most}, got {value}")
        for plane in self.planes:
            check_choice("plane", plane, tuple(PLANES))
        if not self.planes or len(set(self.planes)) < len(self.planes):
            raise ValueError(f"planes {self.planes}; allowed: different ones, at least one")
        if (self.labels > 0) != ("labels" in self.planes):
            raise ValueError(f"{self.labels} labels with planes {self.planes}")
        check_choice("output", self.output, OUTPUTS)
        check_choice("base", self.base, BASES)
        for name in ("resize", "resize_drawn"):
            check_choice(name, getattr(self, name), RESIZES)
        if self.height > self.side:
            raise ValueError(f"height {self.height}; allowed: at most the side, {self.side}")
        if self.links > LONGEST:
            raise ValueError(f"a chain of {self.links} encoders; allowed: at most {LONGEST}")
        if self.base == "before" and self.before is None:
            raise ValueError("base 'before' without an encoder before; allowed: zeros, mean")
        if self.passes > 1 and "reconstruction" not in self.planes:
            raise ValueError(
                f"{self.passes} passes with planes {self.planes}; allowed: 1, or planes that hold "
                "the reconstruction"
            )

    @property
    def links(self) -> int:
        """How many encoders look one after the other."""
        return 1 + (0 if self.before is None else self.before.links)

    @property
    def channels(self) -> int:
        """Channels of its input."""
        return sum(PLANES[plane] or self.labels for plane in self.planes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape of its input."""
        return (self.height or self.side, self.side, self.channels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its code."""
        return (self.rows, self.width) if self.rows else (self.width,)
