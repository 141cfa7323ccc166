"""StyleGAN2 and ADA from the files of NVlabs (torch, TensorFlow), rosinality and genforce.

Every source stores the same numbers under other names, with or without the gains of equalised
learning rates, and with the kernels of its upsampling layers for one of two ways to apply them. A
`Naming` says which; one table of rules serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxinv.specs import GeneratorSpec
from weights_convert.networks.layouts import (
    NOISE_SEED,
    Layout,
    Widths,
    check_channels,
    check_square,
    coloured,
    convolution,
    dense,
    drawn_noise,
    permuted,
    plain,
    side_of,
    square_filter,
    without_filters,
)
from weights_convert.networks.rules import Rule, apply_rules, undo_rules

TAPS = (1, 3, 3, 1)  # of its filters


@dataclass(frozen=True)
class Naming:
    """Names and conventions of one source.

    Layers are numbered 0 (4 px), then two per resolution; images 0 (4 px), 1 (8 px) ... `tf`:
    kernels lie HWIO and dense weights [in, out]. `flip`: kernels of upsampling layers are stored
    for a transposed convolution. `bias_offset` is added to every style's bias. `scaled`: kernels
    are multiplied by 1 / sqrt(fan-in) before demodulation. `batched`: arrays of images carry axes
    of length 1. `filters` gives the stored copies of the filter for so many blocks, and their gain.
    """

    fc: Callable[[int], str]
    const: str
    layer: Callable[[int], str]
    image: Callable[[int], str]
    noise: Callable[[int], str]
    average: str
    kernel: str
    bias: str
    strength: str
    style: tuple[str, str]
    image_kernel: str
    image_bias: str
    dense: tuple[str, str]
    label: tuple[str, ...] = ()
    tf: bool = False
    flip: bool = False
    bias_offset: float = 0.0
    scaled: bool = True
    batched: bool = False
    filters: Callable[[int], dict[str, float]] = lambda blocks: {}


def _nvlabs_filters(blocks: int) -> dict[str, float]:
    layers = [f"{NVLABS.layer(n)}.resample_filter" for n in range(2 * blocks - 1)]
    return dict.fromkeys(
        [*(f"synthesis.b{4 << j}.resample_filter" for j in range(blocks)), *layers], 1
    )


def _rosinality_filters(blocks: int) -> dict[str, float]:
    layers = [f"{ROSINALITY.layer(n)}.conv.blur.kernel" for n in range(1, 2 * blocks - 1, 2)]
    images = [f"{ROSINALITY.image(j)}.upsample.kernel" for j in range(1, blocks)]
    return dict.fromkeys([*layers, *images], 4)


def _tf_layer(number: int) -> str:
    side = side_of(number)
    return f"{side}x{side}/" + ("Conv" if not number else "Conv0_up" if number % 2 else "Conv1")


NVLABS = Naming(
    fc=lambda i: f"mapping.fc{i}",
    const="synthesis.b4.const",
    layer=lambda n: f"synthesis.b{side_of(n)}.conv{0 if n % 2 else 1}",
    image=lambda j: f"synthesis.b{4 << j}.torgb",
    noise=lambda n: f"synthesis.b{side_of(n)}.conv{0 if n % 2 else 1}.noise_const",
    average="mapping.w_avg",
    kernel=".weight",
    bias=".bias",
    strength=".noise_strength",
    style=(".affine.weight", ".affine.bias"),
    image_kernel=".weight",
    image_bias=".bias",
    dense=(".weight", ".bias"),
    label=("mapping.embed.weight", "mapping.embed.bias"),
    flip=True,
    scaled=False,
    filters=_nvlabs_filters,
)
ROSINALITY = Naming(
    fc=lambda i: f"style.{i + 1}",
    const="input.input",
    layer=lambda n: f"convs.{n - 1}" if n else "conv1",
    image=lambda j: f"to_rgbs.{j - 1}" if j else "to_rgb1",
    noise=lambda n: f"noises.noise_{n}",
    average="latent_avg",
    kernel=".conv.weight",
    bias=".activate.bias",
    strength=".noise.weight",
    style=(".conv.modulation.weight", ".conv.modulation.bias"),
    image_kernel=".conv.weight",
    image_bias=".bias",
    dense=(".weight", ".bias"),
    flip=True,
    batched=True,
    filters=_rosinality_filters,
)
GENFORCE = Naming(
    fc=lambda i: f"mapping.dense{i}",
    const="synthesis.early_layer.const",
    layer=lambda n: f"synthesis.layer{n}",
    image=lambda j: f"synthesis.output{j}",
    noise=lambda n: f"synthesis.layer{n}.noise",
    average="truncation.w_avg",
    kernel=".weight",
    bias=".bias",
    strength=".noise_strength",
    style=(".style.weight", ".style.bias"),
    image_kernel=".weight",
    image_bias=".bias",
    dense=(".weight", ".bias"),
    label=("mapping.LabelEmbed.weight", "mapping.LabelEmbed.bias"),
    bias_offset=1.0,
)
TENSORFLOW = Naming(
    fc=lambda i: f"mapping/Dense{i}",
    const="synthesis/4x4/Const/const",
    layer=lambda n: f"synthesis/{_tf_layer(n)}",
    image=lambda j: f"synthesis/{4 << j}x{4 << j}/ToRGB",
    noise=lambda n: f"synthesis/noise{n}",
    average="dlatent_avg",
    kernel="/weight",
    bias="/bias",
    strength="/noise_strength",
    style=("/mod_weight", "/mod_bias"),
    image_kernel="/weight",
    image_bias="/bias",
    dense=("/weight", "/bias"),
    label=("mapping/LabelEmbed/weight", "mapping/LabelEmbed/bias"),
    tf=True,
    bias_offset=1.0,
)


def convert(
    arrays: Mapping[str, np.ndarray], naming: Naming, *, clamp: float | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`) from a source's arrays by name.

    Filters must be [1, 3, 3, 1]. Of a file without any noise maps they are drawn, and the fact
    "noise_seed" says so. Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = without_filters(arrays, TAPS)
    shape = Shape.of(weights, naming)
    check_channels(shape.colours)
    return apply_rules(shape.rules(naming), weights), shape.facts(clamp)


def export(params: Mapping[str, Any], spec: GeneratorSpec, naming: Naming) -> dict[str, np.ndarray]:
    """The arrays that `naming` gives the parameters, filters included: `convert` undone.

    Raises `ValueError` for parameters that are not those of the `spec`.
    """
    shape = Shape.of_spec(spec)
    filters = {
        name: np.asarray(gain * square_filter(TAPS), np.float32)
        for name, gain in naming.filters(len(shape.widths)).items()
    }
    return undo_rules(shape.rules(naming), params) | filters


@dataclass(frozen=True)
class Shape:
    """The sizes of a network, read from its arrays, or from the facts of a converted one."""

    mapping: Widths
    widths: tuple[int, ...]
    labels: int
    join: str
    label_width: int
    average: bool
    noise: bool = True
    colours: int = 3

    @property
    def w_dim(self) -> int:
        """Length of w."""
        return self.mapping.outs[-1]

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], names: Naming) -> Shape:
        """Those of a source's arrays."""
        check_square(arrays[names.const])
        blocks = sum(names.image(j) + names.image_kernel in arrays for j in range(16))
        tf = names.tf
        images = [arrays[names.image(j) + names.image_kernel].shape for j in range(blocks)]
        widths = tuple(shape[-2 if tf else -3] for shape in images)
        # One channel is drawn as three; more than four are no colours, but planes.
        drawn = images[0][-1 if tf else -4] if blocks else 3
        colours = drawn if drawn > 4 else 3
        mapping = Widths.of(arrays, lambda i: names.fc(i) + names.dense[0], tf)
        labels = extra = 0
        join = next(
            (kind for kind in ("embed", "concat") if _label(names, kind)[0] in arrays), "none"
        )
        if join != "none":
            matrix = arrays[_label(names, join)[0]]
            labels, extra = matrix.shape if join == "concat" or tf else matrix.shape[::-1]
        average = names.average in arrays
        noise = any(names.noise(n) in arrays for n in range(2 * blocks - 1))
        return cls(mapping, widths, labels, join, extra, average, noise, colours)

    @classmethod
    def of_spec(cls, spec: GeneratorSpec) -> Shape:
        """Those of a converted network."""
        facts = dict(spec.facts)
        join, extra = facts.get("label", "none"), facts.get("label_width", 0)
        mapping = Widths.of_facts(facts, spec.z_dim + extra, spec.w_dim)
        return cls(mapping, tuple(spec.styles[1::3]), spec.labels, join, extra, average=True)

    def facts(self, clamp: float | None) -> dict[str, Any]:
        """Fields of the `GeneratorSpec`."""
        last = len(self.widths) - 1
        rows = 2 * len(self.widths)
        facts = self.mapping.facts
        if not self.noise:
            facts["noise_seed"] = NOISE_SEED
        if self.labels:
            facts |= {"label": self.join, "label_width": self.label_width}
        if clamp is not None:
            facts["clamp"] = clamp
        styles = [self.widths[0], self.widths[0]]
        for before, width in zip(self.widths, self.widths[1:], strict=False):
            styles += [before, width, width]
        return {
            "architecture": "stylegan2",
            "resolution": 4 << last,
            "z_dim": self.mapping.fan_in - self.label_width,
            "w_dim": self.w_dim,
            "rows": rows,
            "styles": styles,
            "noise": [side_of(n) for n in range(2 * last + 1)],
            "layout18": list(range(rows)) if rows <= 18 else [],
            "labels": self.labels,
            "facts": sorted(facts.items()),
        }

    def rules(self, names: Naming) -> Iterator[Rule]:
        """The table: mapping, constant, layers, images."""
        yield from self._mapping(names)
        if self.average:
            yield plain("mapping/average", names.average, (self.w_dim,))
        const = Layout((1, 2, 0), ones=(int(names.batched), 0))
        yield permuted("synthesis/const", names.const, (4, 4, self.widths[0]), const)
        for number in range(2 * len(self.widths) - 1):
            yield from self._layer(number, names)
        for index, width in enumerate(self.widths):
            yield from self._image(index, width, names)

    def _mapping(self, names: Naming) -> Iterator[Rule]:
        extra = self.label_width
        names_of = _label(names, self.join)
        if self.join == "embed":
            yield dense("mapping/embed/kernel", names_of[0], (self.labels, extra), names.tf)
            yield plain("mapping/embed/bias", names_of[1], (extra,))
        elif self.join == "concat":
            yield plain("mapping/embed", names_of[0], (self.labels, extra))
        weight, bias = names.dense
        yield from self.mapping.rules(
            lambda i: (names.fc(i) + weight, names.fc(i) + bias), tf=names.tf
        )

    def _layer(self, number: int, names: Naming) -> Iterator[Rule]:
        up, side, source = number % 2 == 1, side_of(number), names.layer(number)
        block, one = (number + 1) // 2, int(names.batched)
        inside, outside = self.widths[block - 1 if up else block], self.widths[block]
        base = f"synthesis/b{side}_conv{0 if up else 1}"
        layout = convolution(
            tf=names.tf,
            flip=up and names.flip,
            gain=1 / np.sqrt(9 * inside) if names.scaled else 1.0,
            batched=names.batched,
        )
        yield permuted(f"{base}/kernel", source + names.kernel, (3, 3, inside, outside), layout)
        yield plain(f"{base}/bias", source + names.bias, (outside,))
        yield plain(f"{base}/strength", source + names.strength, (), (one, 0))
        if self.noise:
            yield plain(f"{base}/noise", names.noise(number), (side, side), (2 * one, 0))
        else:
            yield drawn_noise(f"{base}/noise", side, number)
        yield from self._style(base, source, inside, names)

    def _image(self, index: int, width: int, names: Naming) -> Iterator[Rule]:
        base, source, one = f"synthesis/b{4 << index}_torgb", names.image(index), int(names.batched)
        ones, axes = ((2, 0), (0, 1)) if names.tf else ((one, 2), (1, 0))
        layout = Layout(axes, 1 / np.sqrt(width), ones=ones)
        weight, bias = source + names.image_kernel, source + names.image_bias
        rules = (
            permuted(f"{base}/weight", weight, (width, self.colours), layout),
            plain(f"{base}/bias", bias, (self.colours,), (one, 2 * one)),
        )
        yield from coloured(*rules) if self.colours == 3 else rules
        yield from self._style(base, source, width, names)

    def _style(self, base: str, source: str, channels: int, names: Naming) -> Iterator[Rule]:
        weight, bias = (source + end for end in names.style)
        yield dense(f"{base}/style/kernel", weight, (self.w_dim, channels), names.tf)
        yield plain(f"{base}/style/bias", bias, (channels,), bias_offset=names.bias_offset)


def _label(names: Naming, join: str) -> tuple[str, ...]:
    """Names of the label's weights: ADA's embedding, or the matrix of the first code."""
    if join == "embed":
        return names.label or ("",)
    return ("mapping/LabelConcat/weight",) if names.tf else ("mapping.label_weight",)
