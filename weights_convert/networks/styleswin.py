"""StyleSwin by its own code; widths, heads and windows are read from its arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import (
    Layout,
    Widths,
    dense,
    permuted,
    plain,
    without_filters,
)
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
MARKER = "layers.0.blocks.0.attn.0.relative_position_bias_table"
# What follows from the sizes, and memory that was never written.
DERIVED = ("relative_position_index", "attn_mask2", "sin_pos_embed._float_tensor")
TAPS = (1, 3, 3, 1)
TURNED = Layout((1, 0))


def convert(arrays: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = without_filters(arrays, TAPS)
    weights = {name: array for name, array in weights.items() if not name.endswith(DERIVED)}
    count = sum(f"layers.{i}.blocks.0.qkv.weight" in weights for i in range(16))
    stages = [_stage(weights, index) for index in range(count)]
    mapping = Widths.of(weights, lambda i: f"style.{i + 1}.weight", tf=False)
    facts = {**mapping.facts, "stages": stages}
    widths = [width for width, *_ in stages]
    spec = {
        "architecture": "styleswin",
        "resolution": 4 << (count - 1),
        "z_dim": mapping.fan_in,
        "w_dim": mapping.outs[-1],
        "rows": 2 * count,
        "styles": [2 * width for width in widths for _ in range(4)],
        "facts": sorted(facts.items()),
    }
    return apply_rules(_rules(weights, stages, mapping), weights), spec


def _stage(arrays: Arrays, index: int) -> list[int]:
    """The fields of a `Stage`."""
    block = f"layers.{index}.blocks.0"
    rows, half = arrays[f"{block}.attn.0.relative_position_bias_table"].shape
    window = (round(rows**0.5) + 1) // 2
    if (2 * window - 1) ** 2 != rows or (4 << index) % window:
        raise UnsafeFileError(f"{block}: a table of {rows} offsets for {4 << index} px")
    hidden = len(arrays[f"{block}.mlp.fc1.bias"])
    return [arrays[f"{block}.proj.weight"].shape[0], 2 * half, window, hidden]


def _rules(arrays: Arrays, stages: list[list[int]], mapping: Widths) -> Iterator[Rule]:
    yield from mapping.rules(lambda i: (f"style.{i + 1}.weight", f"style.{i + 1}.bias"))
    const = Layout((1, 2, 0), ones=(1, 0))
    yield permuted("synthesis/const", "input.input", (4, 4, stages[0][0]), const)
    w_dim = mapping.outs[-1]
    for index, (width, heads, window, hidden) in enumerate(stages):
        for number in (0, 1):
            base = f"synthesis/b{4 << index}_block{number}"
            sizes = (width, heads, window, hidden, w_dim)
            yield from _block(base, f"layers.{index}.blocks.{number}", sizes)
        after = width
        if index + 1 < len(stages):
            after, up = stages[index + 1][0], f"layers.{index}.upsample"
            yield from _double(f"synthesis/b{4 << index}_up", up, (width, after))
        image, source = f"synthesis/b{4 << index}_image", f"to_rgbs.{index}"
        point = Layout((1, 0), ones=(0, 2))
        yield permuted(f"{image}/kernel", f"{source}.conv.weight", (after, 3), point)
        biases = (f"{source}.conv.bias", f"{source}.bias")
        yield Rule(f"{image}/bias", biases, lambda a, b: a + b.reshape(-1), (3,))


def _block(base: str, source: str, sizes: tuple[int, ...]) -> Iterator[Rule]:
    width, heads, window, hidden, w_dim = sizes
    for norm in ("norm1", "norm2"):
        style = f"{source}.{norm}.style"
        yield dense(f"{base}/{norm}/style/kernel", f"{style}.weight", (w_dim, 2 * width), False)
        yield plain(f"{base}/{norm}/style/bias", f"{style}.bias", (2 * width,))
    for ours, theirs, shape in (
        ("qkv", "qkv", (width, 3 * width)),
        ("proj", "proj", (width, width)),
        ("fc0", "mlp.fc1", (width, hidden)),
        ("fc1", "mlp.fc2", (hidden, width)),
    ):
        yield permuted(f"{base}/{ours}/kernel", f"{source}.{theirs}.weight", shape, TURNED)
        yield plain(f"{base}/{ours}/bias", f"{source}.{theirs}.bias", shape[1:])
    table = ((2 * window - 1) ** 2, heads // 2)
    for number, ours in enumerate(("plain", "shifted")):
        name = f"{source}.attn.{number}.relative_position_bias_table"
        yield plain(f"{base}/{ours}/table", name, table)


def _double(base: str, source: str, shape: tuple[int, int]) -> Iterator[Rule]:
    yield plain(f"{base}/norm/scale", f"{source}.norm.weight", shape[:1])
    yield plain(f"{base}/norm/bias", f"{source}.norm.bias", shape[:1])
    yield permuted(f"{base}/reduction/kernel", f"{source}.reduction.weight", shape, TURNED)
    yield plain(f"{base}/alpha", f"{source}.alpha", (), (1, 0))
