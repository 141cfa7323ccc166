"""R3GAN from the arrays of its code; every size is read from them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import Layout, coloured, permuted, plain, without_filters
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
MARKER = "Model.MainLayers.0.Layers.0.Basis"
CLASSES, IMAGE = "Model.EmbeddingLayer.weight", "Model.AggregationLayer.Layer.weight"
TAPS = (1, 3, 3, 1)
POINT = Layout((1, 0), ones=(0, 2))


def convert(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = without_filters(arrays, TAPS)
    stages = [_stage(weights, number) for number in range(_count(weights, "Model.MainLayers", 0))]
    linear = weights[f"{_layer(0, 0)}.LinearLayer.weight"]
    labels, embedding = weights[CLASSES].shape[::-1] if CLASSES in weights else (0, 0)
    facts = {
        "architecture": "r3gan",
        "resolution": 4 << (len(stages) - 1),
        "z_dim": linear.shape[1] - embedding,
        "labels": labels,
        "embedding": embedding,
        "facts": [["stages", stages]],
    }
    return apply_rules(_rules(weights, stages), weights), facts


def _layer(stage: int, index: int) -> str:
    return f"Model.MainLayers.{stage}.Layers.{index}"


def _count(arrays: Arrays, prefix: str, least: int) -> int:
    """How many numbers follow the prefix: they must go on from `least` without a gap."""
    found = {
        int(m[1]) for n in arrays if (m := re.match(rf"{re.escape(prefix)}\.(\d{{1,3}})\.", n))
    }
    numbers = sorted(found)
    if numbers != list(range(least, least + len(numbers))):
        raise UnsafeFileError(f"{prefix} holds {numbers}; allowed: all from {least} on")
    return len(numbers)


def _stage(arrays: Arrays, number: int) -> list[Any]:
    """The fields of a `Stage`: the groups follow from the shape of the kernel."""
    names = itertools.takewhile(
        arrays.__contains__,
        (f"{_layer(number, i)}.LinearLayer2.Layer.weight" for i in range(1, 64)),
    )
    shapes = [arrays[name].shape for name in names]
    widths = {arrays[f"{_layer(number, i + 1)}.LinearLayer3.Layer.weight"].shape[0]
              for i in range(len(shapes))}  # fmt: skip
    hidden = {shape[0] for shape in shapes}
    if len(widths) != 1 or len(hidden) != 1:
        raise UnsafeFileError(f"stage {number} has blocks of other widths; allowed: one width")
    return [widths.pop(), hidden.pop(), [shape[0] // shape[1] for shape in shapes]]


def _rules(arrays: Arrays, stages: list[list[Any]]) -> Iterator[Rule]:
    if CLASSES in arrays:
        shape = arrays[CLASSES].shape[::-1]
        yield permuted("synthesis/classes", CLASSES, shape, Layout((1, 0)))
    inside = stages[0][0]
    for number, (width, hidden, groups) in enumerate(stages):
        base = f"synthesis/stage{number}_transition"
        if number == 0:
            yield permuted(f"{base}/basis", MARKER, (4, 4, width), Layout((1, 2, 0)))
            source = f"{_layer(0, 0)}.LinearLayer.weight"
            shape = (arrays[source].shape[1], width)
            yield permuted(f"{base}/linear/kernel", source, shape, Layout((1, 0)))
        elif inside != width:
            source = f"{_layer(number, 0)}.LinearLayer.Layer.weight"
            yield permuted(f"{base}/linear/kernel", source, (inside, width), POINT)
        for index, count in enumerate(groups):
            base, source = f"synthesis/stage{number}_block{index}", _layer(number, index + 1)
            yield from _block(base, source, (width, hidden, count))
        inside = width
    yield from coloured(permuted("synthesis/image/kernel", IMAGE, (inside, 3), POINT))


def _block(base: str, source: str, sizes: tuple[int, int, int]) -> Iterator[Rule]:
    width, hidden, groups = sizes
    own = hidden // groups
    weight = f"{source}.LinearLayer{{}}.Layer.weight"

    def grouped(x: np.ndarray) -> np.ndarray:
        split = x.reshape(groups, own, own, *x.shape[2:])  # groups, out, in, rows, columns
        return split.transpose(3, 4, 0, 2, 1)

    yield permuted(f"{base}/conv1/kernel", weight.format(1), (width, hidden), POINT)
    yield plain(f"{base}/conv1/bias", f"{source}.NonLinearity1.Bias", (hidden,))
    yield Rule(f"{base}/conv2/kernel", (weight.format(2),), grouped, (3, 3, groups, own, own))
    yield plain(f"{base}/bias", f"{source}.NonLinearity2.Bias", (hidden,))
    yield permuted(f"{base}/conv3/kernel", weight.format(3), (hidden, width), POINT)
