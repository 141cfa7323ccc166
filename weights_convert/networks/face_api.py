"""The nets of face-api.js: a manifest of names and shapes, and one file of quantised numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError, one_error
from weights_convert.networks.rules import Rule, apply_rules


def convert(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Nested parameters from a manifest (.json) and its file of numbers (.bin).

    Raises `UnsafeFileError` where the two do not fit together.
    """
    (manifest,) = (data for name, data in files.items() if name.endswith(".json"))
    (numbers,) = (data for name, data in files.items() if not name.endswith(".json"))
    with one_error("face-api.js"):
        arrays = dict(_arrays(json.loads(manifest), numbers))
        return apply_rules(_rules(arrays), arrays)


def _arrays(manifest: Any, data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Every array in the order of the file; of quantised ones, q * scale + min."""
    start = 0
    for entry in manifest[0]["weights"]:
        shape, how = tuple(entry["shape"]), entry.get("quantization")
        kind = np.dtype("u1" if how else "<f4")
        if how and how["dtype"] != "uint8":
            raise UnsafeFileError(f"numbers of type {how['dtype']!r:.20}; allowed: uint8")
        end = start + math.prod(shape) * kind.itemsize
        found = np.frombuffer(data[start:end], kind).reshape(shape).astype(np.float64)
        yield entry["name"], found * how["scale"] + how["min"] if how else found
        start = end
    if start != len(data):
        raise UnsafeFileError(f"a file of {len(data)} bytes, of which {start} are described")


def _rules(arrays: Mapping[str, np.ndarray]) -> Iterator[Rule]:
    kinds = {"filters": "kernel", "pointwise_filter": "kernel", "weights": "kernel", "bias": "bias"}
    for name, array in arrays.items():
        layer, _, part = name.rpartition("/")
        layer = layer.replace("/", ".")
        if part == "depthwise_filter":
            yield Rule(f"{layer}.depthwise", (name,), lambda x: x[..., 0], array.shape[:-1])
        else:
            yield Rule(f"{layer}/{kinds[part]}", (name,), lambda x: x, array.shape)
