"""StyleGAN2 of lucidrains' stylegan2-pytorch; every size is read from its arrays.

Only the learning rate of its mapping, a factor of the weights, stands beside the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.networks.attention_rules import POINT, linear_attention, norm_rules
from weights_convert.networks.layouts import (
    NOISE_SEED,
    Layout,
    check_square,
    convolution,
    drawn_noise,
    permuted,
    plain,
)
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
MAPPING, MARKER = "S.net", "G.initial_conv.weight"
START, MAPPED = "G.initial_block", "G.to_initial_block.weight"
# The code's noise is uniform on [0, 1): its mean and its deviation.
MEAN, DEVIATION = 0.5, 12**-0.5
GAIN = np.sqrt(2)  # of our mapping's layers


def convert(arrays: Arrays, rate: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`), from arrays called S.* and G.*.

    `rate` is the learning rate of the mapping. The transparency of images is left out. Raises
    `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = {name: array for name, array in arrays.items() if not name.endswith("upsample.1.f")}
    network = _Network(weights)
    return apply_rules(network.rules(rate), network.weights), network.facts()


class _Network:
    """The sizes of a network, read from its arrays, and the table of its rules."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        count = sum(f"G.blocks.{i}.conv1.weight" in weights for i in range(16))
        blocks = [weights[f"G.blocks.{i}.conv1.weight"].shape for i in range(count)]
        self.widths = [shape[0] for shape in blocks]
        self.inputs = [shape[1] for shape in blocks]
        self.mapped = MAPPED in weights
        if not self.mapped:
            check_square(weights[START])
        queries = (weights.get(f"G.attns.{i}.0.fn.fn.to_q.weight") for i in range(count))
        self.attention = [0 if query is None else len(query) for query in queries]
        images = {f"G.blocks.{i}.to_rgb.conv.weight" for i in range(count)}
        # Of transparent images the colours only.
        self.weights = {n: a[:3] if n in images and len(a) == 4 else a for n, a in weights.items()}
        depth = range(0, 128, 2)
        self.mapping = [
            weights[n].shape for i in depth if (n := f"{MAPPING}.{i}.weight") in weights
        ]

    def facts(self) -> dict[str, Any]:
        """Fields of the `GeneratorSpec`."""
        count, first = len(self.widths), self.inputs[0]
        styles = [16 * first] if self.mapped else []
        for inside, outside in zip(self.inputs, self.widths, strict=True):
            styles += [inside, outside, outside]
        facts = {
            "attention": self.attention,
            "first": first,
            "mapped_start": self.mapped,
            "mapping_layers": len(self.mapping),
            "noise_seed": NOISE_SEED,
            "widths": self.widths,
        }
        return {
            "architecture": "lucidrains",
            "resolution": 4 << (count - 1),
            "z_dim": self.mapping[0][1],
            "w_dim": self.mapping[-1][0],
            "rows": count,
            "styles": styles,
            "noise": [4 << (count - 1)],
            "facts": sorted(facts.items()),
        }

    def rules(self, rate: float) -> Iterator[Rule]:
        """The table."""
        yield from self._mapping(rate)
        yield from self._start()
        yield drawn_noise("synthesis/noise", 4 << (len(self.widths) - 1), 0)
        sizes = zip(self.inputs, self.widths, strict=True)
        for index, (inside, outside) in enumerate(sizes):
            base, source = f"synthesis/b{4 << index}", f"G.blocks.{index}"
            yield from self._layer(f"{base}_conv0", source, 1, (inside, outside))
            yield from self._layer(f"{base}_conv1", source, 2, (outside, outside))
            image = f"{source}.to_rgb"
            yield permuted(f"{base}_torgb/weight", f"{image}.conv.weight", (outside, 3), POINT)
            yield from self._style(f"{base}_torgb", f"{image}.to_style", outside)
            if inner := self.attention[index]:
                yield from _attention(f"{base}_attention", f"G.attns.{index}", (inside, inner))

    def _mapping(self, rate: float) -> Iterator[Rule]:
        # z has length 1 there, mean square 1 here.
        gain = rate / GAIN / np.sqrt(self.mapping[0][1])
        for index, (outside, inside) in enumerate(self.mapping):
            base, source = f"mapping/fc{index}", f"{MAPPING}.{2 * index}"
            turned = Layout((1, 0), gain)
            yield permuted(f"{base}/kernel", f"{source}.weight", (inside, outside), turned)
            yield plain(f"{base}/bias", f"{source}.bias", (outside,), gain=rate / GAIN)
            gain = rate / GAIN

    def _start(self) -> Iterator[Rule]:
        first = self.inputs[0]
        if self.mapped:
            inside = self.weights[MAPPED].shape[0]

            def flat(x: np.ndarray) -> np.ndarray:
                return x.transpose(0, 2, 3, 1).reshape(inside, 16 * first)

            yield Rule("synthesis/start/kernel", (MAPPED,), flat, (inside, 16 * first))
        else:
            const = Layout((1, 2, 0), ones=(1, 0))
            yield permuted("synthesis/const", START, (4, 4, first), const)
        layout = convolution(tf=False, flip=False)
        yield permuted("synthesis/before/kernel", MARKER, (3, 3, first, first), layout)
        yield plain("synthesis/before/bias", "G.initial_conv.bias", (first,))

    def _layer(self, base: str, source: str, number: int, sizes: tuple[int, int]) -> Iterator[Rule]:
        shape, layout = (3, 3, *sizes), convolution(tf=False, flip=False)
        yield permuted(f"{base}/kernel", f"{source}.conv{number}.weight", shape, layout)
        noise = f"{source}.to_noise{number}"
        names = (f"{noise}.weight", f"{noise}.bias")
        scale = Layout((0,), DEVIATION, ones=(0, 1))
        yield permuted(f"{base}/strength", names[0], sizes[1:], scale)
        yield Rule(f"{base}/bias", names, lambda w, b: b + MEAN * w[:, 0], sizes[1:])
        yield from self._style(base, f"{source}.to_style{number}", sizes[0])

    def _style(self, base: str, source: str, channels: int) -> Iterator[Rule]:
        shape = (self.mapping[-1][0], channels)
        yield permuted(f"{base}/style/kernel", f"{source}.weight", shape, Layout((1, 0)))
        yield plain(f"{base}/style/bias", f"{source}.bias", (channels,), bias_offset=1.0)


def _attention(base: str, source: str, sizes: tuple[int, int]) -> Iterator[Rule]:
    channels, _ = sizes
    yield from norm_rules(f"{base}/norm0", f"{source}.0.fn.norm", channels)
    yield from linear_attention(f"{base}/attention", f"{source}.0.fn.fn", sizes, local=False)
    yield from norm_rules(f"{base}/norm1", f"{source}.1.fn.norm", channels)
    for number, shape in ((0, (channels, 2 * channels)), (1, (2 * channels, channels))):
        layer = f"{source}.1.fn.fn.{2 * number}"
        yield permuted(f"{base}/fc{number}/kernel", f"{layer}.weight", shape, POINT)
        yield plain(f"{base}/fc{number}/bias", f"{layer}.bias", shape[1:])
