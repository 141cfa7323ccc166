"""Lightweight GAN of lucidrains; every size is read from its arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.attention_rules import linear_attention, norm_rules
from weights_convert.networks.gated_units import Unit, first_rules, unit_rules
from weights_convert.networks.layouts import (
    NOISE_SEED,
    Layout,
    coloured,
    convolution,
    drawn_noise,
    permuted,
    plain,
)
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
MARKER = "initial_conv.0.weight"
IMAGE = "out_conv"
GATES = {16: 128, 32: 256, 64: 512, 128: 1024}  # by the side of the features that make them
POINT = Layout((1, 0), ones=(0, 2))


def convert(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    The transparency that a file's images may have is left out. Raises `UnsafeFileError` for arrays
    that the rules do not cover.
    """
    weights = _plain(arrays)
    count = sum(f"layers.{i}.0.2.1.weight" in weights for i in range(16))
    sides = [8 << index for index in range(count)]
    layers = [_layer(weights, index, sides) for index in range(count)]
    inside, first = (arrays[MARKER].shape[axis] for axis in (0, 1))
    facts: dict[str, Any] = {
        "first": first // 2,
        "layers": layers,
        "noise_seed": NOISE_SEED,
        "smoothed": any(".0.1.f" in name for name in arrays),
    }
    spec = {
        "architecture": "lightweight",
        "resolution": sides[-1],
        "z_dim": inside,
        "noise": sides,
        "facts": sorted(facts.items()),
    }
    return apply_rules(_rules(weights, layers), weights), spec


def _plain(arrays: Arrays) -> dict[str, np.ndarray]:
    """Without counters, the filter, and the transparency of images."""
    ends = ("num_batches_tracked", ".0.1.f")
    kept = {name: array for name, array in arrays.items() if not name.endswith(ends)}
    for end in ("weight", "bias"):
        image = kept.get(f"{IMAGE}.{end}")
        if image is not None and len(image) == 4:
            kept[f"{IMAGE}.{end}"] = image[:3]
    return kept


def _layer(arrays: Arrays, index: int, sides: list[int]) -> list[Any]:
    """The fields of a `Layer`."""
    base = f"layers.{index}"
    width = arrays[f"{base}.0.2.1.weight"].shape[0] // 2
    query = arrays.get(f"{base}.2.fn.to_lin_q.weight")
    gated, hidden, way = -1, 0, "pooled"
    if f"{base}.1.net.0.weight" in arrays:
        target = GATES.get(sides[index])
        if target not in sides:
            raise UnsafeFileError(f"a gate at {sides[index]} px; allowed: {list(GATES)}")
        gated, hidden = sides.index(target), len(arrays[f"{base}.1.net.0.bias"])
        way = "frequencies" if f"{base}.1.dct_weights" in arrays else "pooled"
    return [width, 0 if query is None else len(query), gated, hidden, way]


def _rules(arrays: Arrays, layers: list[list[Any]]) -> Iterator[Rule]:
    yield from first_rules("initial_conv.0", "initial_conv.1", arrays)
    inside = arrays[MARKER].shape[1] // 2
    for index, (width, attention, gate, hidden, way) in enumerate(layers):
        side, source = 8 << index, f"layers.{index}"
        base, up = f"synthesis/b{side}", f"layers.{index}.0.0.net.0"
        yield permuted(f"{base}_up/kernel", f"{up}.weight", (inside, 4 * inside), POINT)
        yield plain(f"{base}_up/bias", f"{up}.bias", (4 * inside,))
        unit = Unit(f"{source}.0.2.1", f"{source}.0.3.weight", f"{source}.0.4")
        yield from unit_rules(f"{base}_unit", unit, arrays)
        yield drawn_noise(f"{base}_unit/noise", side, index)
        if attention:
            yield from norm_rules(f"{base}_attention/norm", f"{source}.2.norm", inside)
            own = (f"{base}_attention/attention", f"{source}.2.fn")
            yield from linear_attention(*own, (inside, attention), local=True)
        if gate >= 0:
            yield from _gate(f"{base}_gate", f"{source}.1", (width, hidden, layers[gate][0]))
            if way == "frequencies":
                shape = (side, side, width)
                cosines = Layout((1, 2, 0), ones=(1, 0))
                yield permuted(f"{base}_gate/cosines", f"{source}.1.dct_weights", shape, cosines)
            else:
                yield permuted(
                    f"{base}_gate/key/kernel", f"{source}.1.to_k.weight", (width, 1), POINT
                )
                yield plain(f"{base}_gate/key/bias", f"{source}.1.to_k.bias", (1,))
        inside = width
    shape = (3, 3, inside, 3)
    yield from coloured(
        permuted(
            "synthesis/image/kernel", f"{IMAGE}.weight", shape, convolution(tf=False, flip=False)
        ),
        plain("synthesis/image/bias", f"{IMAGE}.bias", (3,)),
    )


def _gate(base: str, source: str, sizes: tuple[int, int, int]) -> Iterator[Rule]:
    inside, hidden, outside = sizes
    for number, shape in ((0, (inside, hidden)), (1, (hidden, outside))):
        layer = f"{source}.net.{2 * number}"
        yield permuted(f"{base}/fc{number}/kernel", f"{layer}.weight", shape, POINT)
        yield plain(f"{base}/fc{number}/bias", f"{layer}.bias", shape[1:])
