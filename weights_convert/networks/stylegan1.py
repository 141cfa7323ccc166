"""The first StyleGAN from TensorFlow pickles and genforce.

A fused upsampling layer of the source equals a doubling of the pixels followed by a convolution
with the kernel turned by 180 degrees, and is converted to that. Only the layer that draws the full
resolution is kept of those that draw images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import (
    NOISE_SEED,
    Widths,
    check_square,
    coloured,
    dense,
    drawn_noise,
    kernel,
    without_filters,
)
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
FUSED_FROM = 128  # px, where `fused_scale` is "auto"


@dataclass(frozen=True)
class Naming:
    """Names of a source; layer 0 is the constant's, then two per resolution."""

    fc: Callable[[int], str]
    const: str
    layer: Callable[[int], str]
    noise: Callable[[int], str]
    strength: str
    style: str
    image: Callable[[int, int], str]
    average: str
    label: str
    end: str
    tf: bool


def _tf_layer(number: int) -> str:
    side = 4 << (number // 2)
    first = ("Const", "Conv") if number < 2 else ("Conv0_up", "Conv1")
    return f"synthesis/{side}x{side}/{first[number % 2]}"


TENSORFLOW = Naming(
    fc=lambda i: f"mapping/Dense{i}",
    const="synthesis/4x4/Const/const",
    layer=_tf_layer,
    noise=lambda n: f"synthesis/noise{n}",
    strength="/Noise/weight",
    style="/StyleMod",
    image=lambda j, blocks: f"synthesis/ToRGB_lod{blocks - 1 - j}",
    average="dlatent_avg",
    label="mapping/LabelConcat/weight",
    end="/",
    tf=True,
)
GENFORCE = Naming(
    fc=lambda i: f"mapping.dense{i}",
    const="synthesis.layer0.const",
    layer=lambda n: f"synthesis.layer{n}",
    noise=lambda n: f"synthesis.layer{n}.apply_noise.noise",
    strength=".apply_noise.weight",
    style=".style",
    image=lambda j, blocks: f"synthesis.output{j}",
    average="truncation.w_avg",
    label="mapping.label_weight",
    end=".",
    tf=False,
)


def convert(
    arrays: Arrays, names: Naming, *, fused: bool | str = "auto"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    `fused` is the source's `fused_scale`: True, False or "auto", from 128 px on. Raises
    `UnsafeFileError` for arrays that the rules do not cover and for a network in mid-training.
    """
    held = without_filters(arrays, (1, 2, 1))
    weights = {name: array for name, array in held.items() if not _is_level(name, array)}
    end = names.end
    blocks = sum(names.layer(2 * j + 1) + f"{end}weight" in weights for j in range(16))
    for j in range(blocks - 1):  # the layers that draw lower resolutions
        for part in ("weight", "bias"):
            weights.pop(f"{names.image(j, blocks)}{end}{part}", None)
    try:
        shape = _Shape.of(weights, names, blocks)
    except (KeyError, IndexError) as error:
        raise UnsafeFileError(f"the source has no {error.args[0]!s:.80}") from error
    return apply_rules(shape.rules(names, weights, fused), weights), shape.facts()


def _is_level(name: str, array: np.ndarray) -> bool:
    if name not in ("lod", "synthesis/lod", "synthesis.lod"):
        return False
    if float(array) != 0:
        raise UnsafeFileError(f"level of detail {float(array)}; allowed: 0, a finished network")
    return True


@dataclass(frozen=True)
class _Shape:
    """The sizes of a network, read from its arrays."""

    mapping: Widths
    widths: tuple[int, ...]
    labels: int
    label_width: int
    noise: bool

    @property
    def w_dim(self) -> int:
        return self.mapping.outs[-1]

    @classmethod
    def of(cls, arrays: Arrays, names: Naming, blocks: int) -> _Shape:
        end, tf = names.end, names.tf
        check_square(arrays[names.const])
        mapping = Widths.of(arrays, lambda i: f"{names.fc(i)}{end}weight", tf)
        widths = tuple(len(arrays[f"{names.layer(2 * j + 1)}{end}bias"]) for j in range(blocks))
        labels, extra = arrays[names.label].shape if names.label in arrays else (0, 0)
        noise = any(names.noise(n) in arrays for n in range(2 * blocks))
        return cls(mapping, widths, labels, extra, noise)

    def facts(self) -> dict[str, Any]:
        """Fields of the `GeneratorSpec`."""
        rows = 2 * len(self.widths)
        facts = self.mapping.facts
        if not self.noise:
            facts["noise_seed"] = NOISE_SEED
        if self.labels:
            facts |= {"label": "concat", "label_width": self.label_width}
        return {
            "architecture": "stylegan1",
            "resolution": 2 << len(self.widths),
            "z_dim": self.mapping.fan_in - self.label_width,
            "w_dim": self.w_dim,
            "rows": rows,
            "styles": [2 * width for width in self.widths for _ in range(2)],
            "noise": [4 << (n // 2) for n in range(rows)],
            "layout18": list(range(rows)) if rows <= 18 else [],
            "labels": self.labels,
            "facts": sorted(facts.items()),
        }

    def rules(self, names: Naming, arrays: Arrays, fused: bool | str) -> Iterator[Rule]:
        """The table: mapping, constant, layers, image."""
        yield from self._mapping(names, arrays)
        first, last = self.widths[0], self.widths[-1]
        yield Rule(
            "synthesis/const", (names.const,), lambda x: x[0].transpose(1, 2, 0), (4, 4, first)
        )
        for number in range(2 * len(self.widths)):
            yield from self._layer(number, names, fused)
        image = names.image(len(self.widths) - 1, len(self.widths))
        weight = Rule(
            "synthesis/weight",
            (f"{image}{names.end}weight",),
            lambda x: kernel(x, tf=names.tf, flip=False)[0, 0] / np.sqrt(last),
            (last, 3),
        )
        bias = Rule("synthesis/bias", (f"{image}{names.end}bias",), np.ravel, (3,))
        yield from coloured(weight, bias)

    def _mapping(self, names: Naming, arrays: Arrays) -> Iterator[Rule]:
        if self.labels:
            shape = (self.labels, self.label_width)
            yield Rule("mapping/embed", (names.label,), np.asarray, shape)
        end = names.end
        yield from self.mapping.rules(
            lambda i: (f"{names.fc(i)}{end}weight", f"{names.fc(i)}{end}bias"),
            tf=names.tf,
            late=2**0.5,
        )
        if names.average in arrays:
            yield Rule("mapping/average", (names.average,), np.ravel, (self.w_dim,))

    def _layer(self, number: int, names: Naming, fused: bool | str) -> Iterator[Rule]:
        block, up = number // 2, number % 2 == 0 and number > 0
        side, width = 4 << block, self.widths[block]
        source, end = names.layer(number), names.end
        base = f"synthesis/b{side}_" + ("const" if number == 0 else "conv0" if up else "conv1")
        if number:
            inside = self.widths[block - 1] if up else width
            gain = np.sqrt(2 / (9 * inside))
            flip = up and (side >= FUSED_FROM if fused == "auto" else bool(fused))
            yield Rule(
                f"{base}/kernel",
                (f"{source}{end}weight",),
                lambda x: gain * kernel(x, tf=names.tf, flip=flip),
                (3, 3, inside, width),
            )
        yield Rule(f"{base}/bias", (f"{source}{end}bias",), np.ravel, (width,))
        yield Rule(f"{base}/strength", (source + names.strength,), np.ravel, (width,))
        noise, sides = (names.noise(number),), (side, side)
        if self.noise:
            yield Rule(f"{base}/noise", noise, lambda x: x.reshape(x.shape[-2:]), sides)
        else:
            yield drawn_noise(f"{base}/noise", side, number)
        weight, bias = (f"{source}{names.style}{end}{part}" for part in ("weight", "bias"))
        yield dense(f"{base}/style/kernel", weight, (self.w_dim, 2 * width), names.tf)
        yield Rule(f"{base}/style/bias", (bias,), np.ravel, (2 * width,))
