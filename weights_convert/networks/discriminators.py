"""The discriminators that stand beside PGGANs and StyleGANs in their files.

A `Naming` says how a source calls the parts; one table of rules serves all. Gains of equalised
learning rates, of activations, of filters and of the ways around are folded in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import dense, fully_connected, kernel, without_filters
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
SQRT2 = 2**0.5
TAPS = {
    "plain": (1,),
    "pooled": (1,),
    "smooth": (1, 2, 1),
    "residual": (1, 3, 3, 1),
}  # of the filters
GROUPS = {"plain": 16, "pooled": 16, "smooth": 4, "residual": 4}  # images whose spread is compared


@dataclass(frozen=True)
class Naming:
    """Names of one source: the first layer and blocks by the side that comes in, then the rest.

    `ends` of a layer are those of its weight and its bias; `conv1` and `out` name alternatives;
    `half` is the pattern of the weights of `conv1`.
    """

    image: Callable[[int], str]
    conv0: Callable[[int, int], str]
    conv1: Callable[[int, int], tuple[str, ...]]
    skip: Callable[[int, int], str]
    conv: Callable[[int], str]
    dense: Callable[[int], str]
    out: Callable[[int], tuple[str, ...]]
    half: str
    ends: tuple[str, str]
    label: tuple[str, str] = ("", "")
    fc: Callable[[int], str] = lambda i: ""
    tf: bool = False


NVLABS = Naming(
    image=lambda side: f"b{side}.fromrgb",
    conv0=lambda side, index: f"b{side}.conv0",
    conv1=lambda side, index: (f"b{side}.conv1",),
    skip=lambda side, index: f"b{side}.skip",
    conv=lambda blocks: "b4.conv",
    dense=lambda blocks: "b4.fc",
    out=lambda blocks: ("b4.out",),
    half=r"b\d+\.conv1\.weight",
    ends=(".weight", ".bias"),
    label=("mapping.embed.weight", "mapping.embed.bias"),
    fc=lambda i: f"mapping.fc{i}",
)
ROSINALITY = Naming(
    image=lambda side: "image",
    conv0=lambda side, index: f"convs.{index + 1}.conv1",
    conv1=lambda side, index: (f"convs.{index + 1}.conv2",),
    skip=lambda side, index: f"convs.{index + 1}.skip",
    conv=lambda blocks: "final_conv",
    dense=lambda blocks: "final_linear.0",
    out=lambda blocks: ("final_linear.1",),
    half=r"convs\.\d+\.conv2\.weight",
    ends=(".weight", ".bias"),
)
GENFORCE = Naming(
    image=lambda side: "input0",
    conv0=lambda side, index: f"layer{2 * index}",
    conv1=lambda side, index: (f"layer{2 * index + 1}",),
    skip=lambda side, index: f"skip_layer{index}",
    conv=lambda blocks: f"layer{2 * blocks}",
    dense=lambda blocks: f"layer{2 * blocks + 1}",
    out=lambda blocks: (f"layer{2 * blocks + 2}",),
    half=r"layer\d*[13579]\.weight",
    ends=(".weight", ".bias"),
    label=("LabelEmbed.weight", "LabelEmbed.bias"),
    fc=lambda i: f"mapping.dense{i}",
)
TENSORFLOW = Naming(
    image=lambda side: "FromRGB_lod0",
    conv0=lambda side, index: f"{side}x{side}/Conv0",
    conv1=lambda side, index: (f"{side}x{side}/Conv1_down", f"{side}x{side}/Conv1"),
    skip=lambda side, index: f"{side}x{side}/Skip",
    conv=lambda blocks: "4x4/Conv",
    dense=lambda blocks: "4x4/Dense0",
    out=lambda blocks: ("Output", "4x4/Dense1"),
    half=r"\d+x\d+/Conv1(_down)?/weight",
    ends=("/weight", "/bias"),
    label=("LabelEmbed/weight", "LabelEmbed/bias"),
    fc=lambda i: f"Mapping{i}",
    tf=True,
)


def convert(
    arrays: Arrays,
    naming: Naming,
    kind: str,
    *,
    group: int | None = None,
    clamp: float | None = None,
) -> tuple[dict[str, Any], list[Any]]:
    """(nested parameters, fields of the discriminator's `Plan`).

    `kind`, `group`, `clamp`: see `jaxinv.models.discriminators.progressive.Plan`. Raises
    `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = without_filters(_plain(arrays, naming), TAPS[kind])
    network = _Network.of(weights, naming, kind)
    return apply_rules(network.rules(), weights), network.plan(group or GROUPS[kind], clamp)


def _plain(arrays: Arrays, naming: Naming) -> dict[str, np.ndarray]:
    """Layers of one name each; those of the images of earlier resolutions left out.

    rosinality numbers the parts of a layer, of which the filter may be the first.
    """
    earlier = re.compile(r"(.*/)?lod|FromRGB_lod[^0].*|input[^0].*")
    return {_plain_name(n, naming): a for n, a in arrays.items() if not earlier.fullmatch(n)}


def _plain_name(name: str, naming: Naming) -> str:
    if naming is TENSORFLOW and "/FromRGB/" in name:
        return f"FromRGB_lod0/{name.rpartition('/')[2]}"
    parts = name.split(".")
    if naming is not ROSINALITY or parts[0] == "final_linear" or len(parts) < 3:
        return name
    owner = ["image"] if parts[:2] == ["convs", "0"] else parts[:-2]
    return ".".join([*owner, parts[-1]])


@dataclass(frozen=True)
class _Network:
    """The sizes of a network, read from its arrays, and the table of its rules."""

    names: Naming
    kind: str
    widths: tuple[int, ...]  # from the full resolution down to 4 px
    conv1: tuple[str, ...]
    out: str
    outputs: int
    label: str
    labels: int
    label_width: int
    mapping: int

    @classmethod
    def of(cls, arrays: Arrays, names: Naming, kind: str) -> _Network:
        weight, _ = names.ends

        def outputs(layer: str) -> int:
            return arrays[layer + weight].shape[-1 if names.tf else 0]

        halves = [n for n in arrays if re.fullmatch(names.half, n) and arrays[n].ndim == 4]
        blocks = len(halves)
        sides = [4 << (blocks - index) for index in range(blocks)]
        try:
            widths = [outputs(names.conv0(side, i)) for i, side in enumerate(sides)]
            widths.append(outputs(names.conv(blocks)))
            conv1 = [
                next(n for n in names.conv1(side, i) if n + weight in arrays)
                for i, side in enumerate(sides)
            ]
            out = next(n for n in names.out(blocks) if n + weight in arrays)
            count = outputs(out)
        except (KeyError, StopIteration) as error:
            raise UnsafeFileError(f"no discriminator of that kind: {error!s:.80}") from error
        embedded = names.label[0] in arrays
        labels, width = 0, 0
        if embedded:
            shape = arrays[names.label[0]].shape
            labels, width = shape if names.tf else shape[::-1]
        return cls(
            names=names,
            kind=kind,
            widths=tuple(widths),
            conv1=tuple(conv1),
            out=out,
            outputs=count,
            label="embed"
            if embedded
            else "label"
            if count > 1 and not kind.startswith("p")
            else "none",
            labels=labels,
            label_width=width,
            mapping=sum(names.fc(i) + weight in arrays for i in range(16)),
        )

    def plan(self, group: int, clamp: float | None) -> list[Any]:
        """The fields of a `Plan`."""
        widths = list(self.widths[::-1])
        last = [self.outputs, self.label, self.mapping, self.label_width]
        return ["progressive", self.kind, widths, group, clamp, *last]

    @property
    def residual(self) -> bool:
        return self.kind == "residual"

    def rules(self) -> Iterator[Rule]:
        """The table."""
        names, blocks, last = self.names, len(self.widths) - 1, self.widths[-1]
        resolution = 4 << blocks
        yield from self._dense("image", names.image(resolution), (3, self.widths[0]), np.asarray)
        for index in range(blocks):
            yield from self._block(index, resolution >> index)
        yield from self._conv("conv", names.conv(blocks), (last + 1, last), half=False)
        shape = (16 * last, last)
        yield from self._dense("dense", names.dense(blocks), shape, _channels_last)
        yield from self._dense("out", self.out, (last, self.outputs), np.asarray, active=False)
        if self.label == "embed":
            shape = (self.labels, self.label_width)
            yield dense("mapping/embed/kernel", names.label[0], shape, names.tf)
            yield Rule("mapping/embed/bias", names.label[1:], np.asarray, shape[1:])
            for i in range(self.mapping):
                source = (names.fc(i) + names.ends[0], names.fc(i) + names.ends[1])
                shape = (self.outputs if i else self.label_width, self.outputs)
                yield from fully_connected(i, source, shape, tf=names.tf)

    def _block(self, index: int, side: int) -> Iterator[Rule]:
        inside, outside = self.widths[index : index + 2]
        base, names = f"b{side}", self.names
        yield from self._conv(
            f"{base}/conv0", names.conv0(side, index), (inside, inside), half=False
        )
        yield from self._conv(f"{base}/conv1", self.conv1[index], (inside, outside), half=True)
        if self.residual:
            # Half the sum's variance each; our filter has gain 4.
            gain = 0.25 * 0.5**0.5 / inside**0.5
            source = (names.skip(side, index) + names.ends[0],)
            yield Rule(
                f"{base}/skip/kernel", source, lambda x: gain * self._matrix(x), (inside, outside)
            )

    def _matrix(self, x: np.ndarray) -> np.ndarray:
        """[in, out] of a pointwise or fully connected layer."""
        if x.ndim == 4:
            return kernel(x, tf=self.names.tf, flip=False)[0, 0]
        return x if self.names.tf else x.T

    def _dense(
        self,
        base: str,
        source: str,
        shape: tuple[int, int],
        order: Callable[[np.ndarray], np.ndarray],
        *,
        active: bool = True,
    ) -> Iterator[Rule]:
        gain = SQRT2 if active else 1.0
        weight, bias = ((source + end,) for end in self.names.ends)
        late = gain if self.residual else 1.0  # the others multiply before the bias
        yield Rule(
            f"{base}/kernel",
            weight,
            lambda x: gain / shape[0] ** 0.5 * order(self._matrix(x)),
            shape,
        )
        yield Rule(f"{base}/bias", bias, lambda b: late * b, shape[1:])

    def _conv(
        self, base: str, source: str, channels: tuple[int, int], *, half: bool
    ) -> Iterator[Rule]:
        gain = SQRT2 / (9 * channels[0]) ** 0.5
        late = SQRT2 if self.residual else 1.0
        if half and self.residual:
            gain, late = gain * 0.25 * 0.5**0.5, 1.0
        average = half and self.kind in ("plain", "smooth")
        side = 4 if average else 3

        def transform(x: np.ndarray) -> np.ndarray:
            x = kernel(x, tf=self.names.tf, flip=False)
            return gain * (averaged(x) if average else x)

        weight, bias = ((source + end,) for end in self.names.ends)
        yield Rule(f"{base}/kernel", weight, transform, (side, side, *channels))
        yield Rule(f"{base}/bias", bias, lambda b: late * b, channels[1:])


def averaged(x: np.ndarray) -> np.ndarray:
    """[3, 3, in, out] -> [4, 4, in, out]: the convolution followed by the mean of 2x2 pixels."""
    wide = np.pad(x, [(1, 1), (1, 1), (0, 0), (0, 0)])
    return np.mean([wide[a : a + 4, b : b + 4] for a in (0, 1) for b in (0, 1)], axis=0)


def _channels_last(x: np.ndarray) -> np.ndarray:
    """Rows [C h w] of 4x4 pixels in the order [h w C]."""
    return np.moveaxis(x.reshape(-1, 16, x.shape[-1]), 0, 1).reshape(x.shape)
