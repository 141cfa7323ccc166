"""What an image has gone through before it was seen: degradations as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from jaxinv.specs.checks import (
    check_above,
    check_at_least,
    check_choice,
    check_fields,
    check_kind,
    check_seed,
    check_whole,
)

# Degradations and the options that they take; those of MASKS hide a part of the image.
_SEEDED = ("seed",)
MASKS: dict[str, tuple[str, ...]] = {
    "box": ("box", "invert"),
    "mask": ("array", "invert"),
    "pixels": ("share", "invert", *_SEEDED),
    "half": ("side", "invert"),
    "hole": ("share", "invert"),
    "ring": ("inner", "outer", "invert"),
    "blobs": ("cells", "level", "invert", *_SEEDED),
    "border": ("share", "invert"),
}
MEASUREMENTS: dict[str, tuple[str, ...]] = {
    "dense": ("count", "array", *_SEEDED),
    "circulant": ("count", *_SEEDED),
    "fourier": ("share", "low", *_SEEDED),
}
OPERATORS: dict[str, tuple[str, ...]] = {
    "identity": (),
    **MASKS,
    "crop": ("box",),
    "down": ("factor", "kernel", "edge"),
    "up": ("factor", "kernel"),
    "gray": (),
    "luma": (),
    "blur": ("sigma", "edge"),
    "motion": ("length", "angle", "edge"),
    "noise": ("sigma", *_SEEDED),
    "quantize": ("levels",),
    "jpeg": ("quality", "subsample"),
    **MEASUREMENTS,
    "compose": ("parts",),
}
# Kernels of "down" and of "up", and what stands beyond the border: the image mirrored about its
# outermost pixels, those repeated, or nothing (the rest of the kernel is scaled to a sum of 1).
KERNELS = ("area", "bicubic", "bicubic-0.75", "lanczos2", "lanczos3", "bilinear", "nearest")
UPSAMPLERS = ("bicubic", "bilinear", "nearest")
EDGES = ("reflect", "edge", "renormalise")
SIDES = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class OperatorSpec:
    """A degradation y = A(x) of one image by name; `jaxinv.operators.build` makes it.

    Masks set what they hide to 0, mid-grey (`invert` hides the rest instead): "box" (top, left,
    height, width as fractions), "mask" (1 in the array named `array` is kept), "pixels" (each is
    kept with probability `share`), "half" (`side` is hidden), "hole" (a centred square, `share` of
    the shorter side), "ring" (from `inner` to `outer` half sides around the centre), "blobs"
    (`cells` x `cells` uniform noise, enlarged, is kept below `level`: Chai et al. 2021), "border"
    (`share` of each side, on all four sides).

    Pictures: "crop" to `box`; "down" and "up" by `factor` with `kernel`; "gray" (three equal
    channels), "luma" (one channel); "blur" (Gaussian, `sigma` px); "motion" (`length` px along
    `angle` degrees, counter-clockwise from the right); "quantize" to `levels`; "jpeg" at `quality`,
    colours at half resolution if `subsample`; "noise" of `sigma` on [-1, 1], in
    simulations alone.

    Measurements: "dense" (`count` Gaussian sums of all pixels, or the matrix named `array`),
    "circulant" (`count` samples of a random convolution), "fourier" (`share` of all frequencies, up
    to `low` of the highest always). "compose" applies `parts` from left to right.

    Raises `ValueError` for options that the operator does not take, and for values out of range.
    """

    name: str
    parts: tuple[OperatorSpec, ...] = ()
    box: tuple[float, float, float, float] = (0.25, 0.25, 0.5, 0.5)
    side: str = "right"
    share: float = 0.25
    inner: float = 0.25
    outer: float = 0.5
    cells: int = 6
    level: float = 0.5
    low: float = 0.05
    array: str = ""
    invert: bool = False
    factor: int = 4
    kernel: str = "bicubic"
    edge: str = "reflect"
    sigma: float = 1.0
    length: int = 9
    angle: float = 0.0
    levels: int = 8
    quality: int = 75
    subsample: bool = True
    count: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("operator", self.name, tuple(OPERATORS))
        takes = OPERATORS[self.name]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if field.name not in takes and value != field.default:
                raise ValueError(
                    f"operator {self.name!r} takes no {field.name}, got {value!r}; "
                    f"allowed: {', '.join(takes) or 'none'}"
                )
        check_choice("side", self.side, SIDES)
        check_choice("edge", self.edge, EDGES)
        check_choice(
            f"kernel of {self.name!r}", self.kernel, UPSAMPLERS if self.name == "up" else KERNELS
        )
        self._check_numbers()
        self._check_needs()

    def _check_numbers(self) -> None:
        for name, least in (
            *(("cells", 2), ("factor", 1), ("length", 1), ("levels", 2), ("quality", 1)),
            ("count", 0),
        ):
            check_whole(f"{name} of {self.name!r}", getattr(self, name), least)
        check_seed(self.seed, f"seed of {self.name!r}")
        for name, above in (("share", True), ("level", True), ("low", False), ("inner", False)):
            value = getattr(self, name)
            if not (0 < value <= 1 if above else 0 <= value <= 1):
                raise ValueError(f"{name} of {self.name!r} must lie in 0 to 1, got {value}")
        if self.quality > 100:
            raise ValueError(f"quality of 'jpeg' must lie in 1 to 100, got {self.quality}")
        if not self.inner < self.outer < 2:
            raise ValueError(
                f"ring from inner {self.inner} to outer {self.outer}; allowed: inner < outer < 2"
            )
        check_at_least(f"angle of {self.name!r}", abs(self.angle), 0.0)
        check_above(f"sigma of {self.name!r}", self.sigma, 0.0)
        top, left, height, width = self.box
        inside = 0 <= top <= 1 - height + 1e-9 and 0 <= left <= 1 - width + 1e-9
        if not (inside and height > 0 and width > 0):
            raise ValueError(f"box {self.box} (top, left, height, width) must lie in [0, 1]")

    @property
    def chain(self) -> tuple[OperatorSpec, ...]:
        """What is applied one after the other: itself, or its parts and theirs."""
        return tuple(one for part in self.parts for one in part.chain) or (self,)

    @property
    def is_measurement(self) -> bool:
        """Whether it leaves measurements, in which neither a net nor a regression sees a face."""
        return any(one.name in MEASUREMENTS for one in self.chain)

    @property
    def sampled_fraction(self) -> float:
        """Measurements over the numbers that they come as: less than 1 where some are always 0."""
        return math.prod(one.share for one in self.chain if one.name == "fourier")

    @property
    def information_ratio(self) -> float:
        """About what share of the numbers seen says something new.

        The stable rank of the operator over their count: blurred pixels repeat their neighbours,
        and frequencies that are not measured are 0. Grey counts as colour does: it says who it is.
        """
        share = 1.0
        for part in self.chain:
            if part.name == "blur":
                share = min(share, 1 / (4 * math.pi * part.sigma**2))
            elif part.name == "motion":
                share = min(share, 1 / part.length)
            elif part.name in ("down", "up"):  # what is coarser than the new pixels is not lost
                share = min(share * part.factor ** (2 if part.name == "down" else -2), 1.0)
        return share * self.sampled_fraction

    def _check_needs(self) -> None:
        if self.name in ("dense", "circulant"):
            check_whole(f"count of {self.name!r}", self.count, 1)
        if self.name == "mask" and not self.array:
            raise ValueError("operator 'mask' needs the name of its array, got ''")
        if self.name == "border" and self.share >= 0.5:
            raise ValueError(f"share of 'border' must be below 0.5, got {self.share}")
        if self.name == "compose" and not self.parts:
            raise ValueError("operator 'compose' needs parts, got ()")


def read_operator(text: str) -> OperatorSpec:
    """The operator that a text names: "down:factor=4", or "blur:sigma=2,edge=edge+down:factor=4".

    Parts apply from left to right; the four numbers of a box have slashes between them. Raises
    `ValueError` naming the operators, the options or the kind of value that are allowed.
    """
    check_kind("operator", text, str)
    parts = tuple(_read_part(part.strip()) for part in text.split("+"))
    return parts[0] if len(parts) == 1 else OperatorSpec("compose", parts=parts)


def _read_part(text: str) -> OperatorSpec:
    name, _, rest = text.partition(":")
    check_choice("operator", name, tuple(n for n in OPERATORS if n not in ("mask", "compose")))
    takes = tuple(option for option in OPERATORS[name] if option != "array")
    defaults: dict[str, Any] = {field.name: field.default for field in fields(OperatorSpec)}
    given: dict[str, Any] = {}
    for pair in rest.split(",") if rest else ():
        option, _, value = pair.partition("=")
        check_choice(f"option of operator {name!r}", option.strip(), takes or ("none",))
        given[option.strip()] = _value(option.strip(), value.strip(), defaults[option.strip()])
    return OperatorSpec(name, **given)


def _value(option: str, text: str, like: Any) -> object:
    """The text as a value of the kind of `like`."""
    kind = type(like)  # pyright: ignore[reportUnknownVariableType]
    try:
        if isinstance(like, tuple):
            top, left, height, width = (float(part) for part in text.split("/"))
            return top, left, height, width
        if isinstance(like, bool):
            return {"yes": True, "no": False}[text]
        return kind(text)
    except (ValueError, KeyError):
        raise ValueError(f"{option} is {text!r}; allowed: {_KINDS[kind]}") from None


_KINDS: dict[type, str] = {
    tuple: "top/left/height/width, four fractions",
    bool: "yes, no",
    int: "a whole number",
    float: "a number",
    str: "a name",
}
