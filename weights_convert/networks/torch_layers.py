"""State dicts of torch whose layers keep their names: kernels turned, statistics set apart.

Unlike `features`, normalisations stay layers of their own, so that training can go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
COUNTER = re.compile(r"(^|\.)num_batches_tracked$")  # how long a network was trained
WEIGHTS, STATISTICS = "params", "batch_stats"


def convert(arrays: Arrays) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """{"params": {layer: ...}, "batch_stats": {layer: ...}} of plain layers of torch.

    Convolutions [out, in, h, w] and dense layers [out, in] become a "kernel" with a "bias"; batch
    normalisations "scale", "bias", "mean" and "variance"; PReLU a "slope". Raises `UnsafeFileError`
    for what is none of these.
    """
    own = {name: array for name, array in arrays.items() if not COUNTER.search(name)}
    found = apply_rules(_rules(own), own)
    return {WEIGHTS: found.get(WEIGHTS, {}), STATISTICS: found.get(STATISTICS, {})}


PARTS = {
    "kernel": "weight",
    "scale": "weight",
    "slope": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}


def source_name(path: str) -> str:
    """What the source calls the array that is "params/LAYER/kernel" here."""
    *_, layer, part = path.split("/")
    return f"{layer}.{PARTS[part]}"


def _rules(arrays: Arrays) -> Iterator[Rule]:
    for name, array in arrays.items():
        layer, _, part = name.rpartition(".")
        normal = f"{layer}.running_mean" in arrays
        if part == "running_mean":
            yield Rule(f"{STATISTICS}/{layer}/mean", (name,), _same, array.shape)
        elif part == "running_var":
            yield Rule(f"{STATISTICS}/{layer}/variance", (name,), _same, array.shape)
        elif part == "weight" and array.ndim == 4:
            yield _kernel(name, layer, array, (2, 3, 1, 0))
        elif part == "weight" and array.ndim == 2:
            yield _kernel(name, layer, array, (1, 0))
        elif part == "weight" and array.ndim == 1:
            kind = "scale" if normal else "slope"
            yield Rule(f"{WEIGHTS}/{layer}/{kind}", (name,), _same, array.shape)
        else:
            yield Rule(f"{WEIGHTS}/{layer}/{part}", (name,), _same, array.shape)


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _kernel(name: str, layer: str, array: np.ndarray, order: tuple[int, ...]) -> Rule:
    shape = tuple(array.shape[axis] for axis in order)
    return Rule(f"{WEIGHTS}/{layer}/kernel", (name,), lambda x: x.transpose(order), shape)
