"""AlexNet and VGG-16 with LPIPS v0.1 heads (Zhang et al. 2018), from pickled dicts of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.readers.pickles import read_pickle

# (our name, kernel height and width, input channels, output channels), in the order of the source's
# Conv_0, Conv_1...
LAYERS: Mapping[str, tuple[tuple[str, int, int, int], ...]] = {
    "alexnet": (
        ("conv1", 11, 3, 64),
        ("conv2", 5, 64, 192),
        ("conv3", 3, 192, 384),
        ("conv4", 3, 384, 256),
        ("conv5", 3, 256, 256),
    ),
    "vgg16": (
        ("conv1_1", 3, 3, 64),
        ("conv1_2", 3, 64, 64),
        ("conv2_1", 3, 64, 128),
        ("conv2_2", 3, 128, 128),
        ("conv3_1", 3, 128, 256),
        ("conv3_2", 3, 256, 256),
        ("conv3_3", 3, 256, 256),
        ("conv4_1", 3, 256, 512),
        ("conv4_2", 3, 512, 512),
        ("conv4_3", 3, 512, 512),
        ("conv5_1", 3, 512, 512),
        ("conv5_2", 3, 512, 512),
        ("conv5_3", 3, 512, 512),
    ),
}
HEADS: Mapping[str, tuple[int, ...]] = {
    "alexnet": (64, 192, 384, 256, 256),
    "vgg16": (64, 128, 256, 512, 512),
}
_SOURCE = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}


def convert(architecture: str, data: bytes) -> dict[str, Any]:
    """Nested parameters from one pickle's bytes.

    Gives `convN/kernel` (HWIO), `convN/bias` and the heads `lin0`..`lin4` [channels], float32.
    Raises `ValueError` for another architecture and `UnsafeFileError` for a pickle that is not the
    one expected.
    """
    if architecture not in LAYERS:
        raise ValueError(f"unknown architecture {architecture!r}; allowed: {', '.join(LAYERS)}")
    return apply_rules(rules(architecture), dict(_flatten(read_pickle(data), "")))


def rules(architecture: str) -> Iterator[Rule]:
    """Rules for "alexnet" or "vgg16": convolutions stay as they lie, heads lose their unit axes."""
    for i, (name, size, fan_in, fan_out) in enumerate(LAYERS[architecture]):
        source = f"{_SOURCE[architecture]}/Conv_{i}"
        yield Rule(f"{name}/kernel", (f"{source}/kernel",), _same, (size, size, fan_in, fan_out))
        yield Rule(f"{name}/bias", (f"{source}/bias",), _same, (fan_out,))
    for k, channels in enumerate(HEADS[architecture]):
        yield Rule(
            f"lin{k}", (f"NetLinLayer_{k}/Conv_0/kernel",), lambda x: x[0, 0, :, 0], (channels,)
        )


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _flatten(tree: object, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, np.ndarray):
        yield prefix, tree
    elif isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}/{key}" if prefix else key)
    else:
        raise UnsafeFileError(
            f"{prefix or 'the file'} holds a {type(tree).__name__}; allowed: dicts of arrays"
        )
