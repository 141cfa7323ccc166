"""State dicts of encoders of the pSp family -> facts of the spec: shapes decide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import torch_layers

Arrays = Mapping[str, np.ndarray]
MARKERS = ("body.0.res_layer.0.weight", "body.0.conv1.weight", "body.0.bn1.weight")
STEMS = ("input_layer.0.weight", "conv1.weight")
LEVELS = (3, 4)  # rows of the two coarsest maps of a pyramid: Richardson et al. 2021, figure 2
ROWS_OF_LEVELS = ("output_layer_3.3.bias", "output_layer_4.3.bias", "output_layer_5.3.bias")
DOWN = 4  # how often these backbones halve their input
# Unless the shapes say otherwise: all published ones see 256 px and give codes of 512 numbers.
SIDE, WIDTH = 256, 512


def recognise(arrays: Arrays) -> bool:
    """Whether these are the arrays of an encoder that is known here, all or some of them."""
    return any(name in arrays for name in STEMS) and any(name in arrays for name in MARKERS)


def facts(arrays: Arrays, rows: int) -> dict[str, Any]:
    """Fields of the spec that the shapes decide; `rows` are at least so many.

    Raises `UnsafeFileError` for a head that is not known.
    """
    stem = next(arrays[name] for name in STEMS if name in arrays)
    if stem.ndim != 4:
        raise UnsafeFileError(f"a stem of shape {list(stem.shape)}; allowed: a convolution")
    own: list[tuple[str, Any]] = [("width", int(stem.shape[0]))]
    found: dict[str, Any] = {"backbone": _backbone(arrays), "side": SIDE}
    styles = _count(arrays, r"styles\.(\d+)\.")
    neck = any(name.startswith("latlayer") for name in arrays)
    if styles:
        found |= {"head": "map2style", "rows": max(styles, rows)}
        found["width"] = _length(arrays, "styles.0.linear.bias", WIDTH)
        found["neck"] = "fpn" if neck else "none"
        if halvings := _count(arrays, r"styles\.0\.convs\.(\d+)\."):
            found["side"] = 2 ** (DOWN + (halvings + 1) // 2)
        own += [("groups", LEVELS)] if neck else []
    elif all(name in arrays for name in ROWS_OF_LEVELS):
        lengths = [len(arrays[name]) for name in ROWS_OF_LEVELS]
        width = (
            WIDTH if not any(length % WIDTH for length in lengths) else int(np.gcd.reduce(lengths))
        )
        counts = [length // width for length in lengths]
        found |= {"head": "pooled-levels", "rows": sum(counts), "width": width}
        own.append(("groups", tuple(counts[:-1])))
    elif "output_layer_2.3.bias" in arrays and "linear.bias" in arrays:
        width = len(arrays["output_layer_2.3.bias"])
        found |= {"head": "pooled-grid", "width": width}
        found["rows"] = len(arrays["linear.bias"]) // width
    elif "linear.bias" in arrays:
        found |= {"head": "pooled", "output": "w", "width": len(arrays["linear.bias"])}
    else:
        raise UnsafeFileError(
            "an encoder with an unknown head; known: styles, linear, output_layer_2 or _3 to _5"
        )
    return found | {"facts": tuple(own)}


def convert(arrays: Arrays) -> dict[str, Any]:
    """The nested parameters of one encoder."""
    return torch_layers.convert(arrays)


def missing(params: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Names in the source of arrays that an encoder needs and `params` lack."""
    held, needed = dict(_leaves(params)), dict(_leaves(expected))
    return [torch_layers.source_name(path) for path in needed if path not in held]


def unknown(params: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Names in the source of arrays in `params` that an encoder does not need, or of other shape.

    Those have their shapes beside their names.
    """
    needed, found = dict(_leaves(expected)), list[str]()
    for path, array in _leaves(params):
        name = torch_layers.source_name(path)
        if path not in needed:
            found.append(name)
        elif tuple(array.shape) != tuple(needed[path].shape):
            found.append(f"{name} {list(array.shape)} for {list(needed[path].shape)}")
    return found


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def _backbone(arrays: Arrays) -> str:
    """The name of the smallest backbone that has as many units."""
    units = _count(arrays, r"body\.(\d+)\.")
    if STEMS[0] in arrays:
        gated = any(name.endswith(".fc1.weight") for name in arrays)
        names = {24: "50", 49: "100", 50: "152"}
        depth = next((name for count, name in names.items() if units <= count), None)
        name = None if depth is None else f"ir-se-{depth}" if gated else f"ir-{depth}"
    elif any(name.endswith(".conv3.weight") for name in arrays):
        name = "resnet-50" if units <= 16 else None
    else:
        name = next((f"resnet-{n}" for n, count in ((18, 8), (34, 16)) if units <= count), None)
    if name is None:
        raise UnsafeFileError(f"a backbone of {units} units; allowed: 8, 16, 24, 49 or 50")
    return name


def _count(arrays: Arrays, pattern: str) -> int:
    """One more than the largest number in names."""
    found = (re.match(pattern, name) for name in arrays)
    return max((int(one.group(1)) for one in found if one), default=-1) + 1


def _length(arrays: Arrays, name: str, usual: int) -> int:
    return len(arrays[name]) if name in arrays else usual
