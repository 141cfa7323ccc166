"""FastGAN's generator from its own code and from that of Projected GAN.

Which convolutions a block has, and what follows them, shows in the names and sizes of its arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.gated_units import Unit, first_rules, unit_rules
from weights_convert.networks.layouts import (
    NOISE_SEED,
    Layout,
    coloured,
    convolution,
    drawn_noise,
    permuted,
)
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.networks.spectral import from_stored_vectors

Arrays = Mapping[str, np.ndarray]
MARKER = "init.init.0.weight_orig"
SIDES = tuple(8 << index for index in range(8))
# The side of a block, and that of the features which gate it, in both codes.
GATED_BY = {64: 4, 128: 8, 256: 16, 512: 32}


class Source(NamedTuple):
    """What the two codes differ in; `resolution` of the images, or 0 for the largest block."""

    normalised: bool
    resolution: int = 0
    labels: int = 0


def convert(arrays: Arrays, source: Source) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = from_stored_vectors(_kept(arrays), turned=("init.init.0.weight",))
    sides = [side for side in SIDES if any(n.startswith(f"feat_{side}.") for n in weights)]
    resolution = source.resolution or max(sides)
    if resolution not in sides:
        raise UnsafeFileError(f"images of {resolution} px from blocks of {sides} px")
    sides = [side for side in sides if side <= resolution]
    weights = {n: a for n, a in weights.items() if not _beyond(n, resolution)}
    units = {side: list(_units(weights, side)) for side in sides}
    noisy = [i for i, side in enumerate(sides) if units[side][0].noise]
    blocks = [[weights[f"{units[side][-1].conv}.weight"].shape[0] // 2, len(units[side]),
               _gate(weights, side)] for side in sides]  # fmt: skip
    init = weights["init.init.0.weight"]
    facts: dict[str, Any] = {
        "first": init.shape[1] // 2,
        "blocks": blocks,
        "noisy": noisy,
        "normalised": source.normalised,
        "tanh": not source.normalised and resolution == 1024,
    }
    noise = [side for side in sides if units[side][0].noise for _ in units[side]]
    if noise:
        facts["noise_seed"] = NOISE_SEED
    embedding = weights["embed.weight"].shape[1] if source.labels else 0
    spec = {
        "architecture": "fastgan",
        "resolution": resolution,
        "z_dim": init.shape[0],
        "noise": noise,
        "labels": source.labels,
        "embedding": embedding,
        "facts": sorted(facts.items()),
    }
    return apply_rules(_rules(weights, source, units), weights), spec


def _kept(arrays: Arrays) -> dict[str, np.ndarray]:
    """Without the small image of FastGAN's own code, and without counters."""
    drop = ("to_128.", "num_batches_tracked")
    return {n: a for n, a in arrays.items() if not n.startswith(drop[0]) and drop[1] not in n}


def _beyond(name: str, resolution: int) -> bool:
    """Whether an array belongs to a block that images of that size do not pass."""
    kind, _, rest = name.partition("_")
    side = rest.partition(".")[0]
    return kind in ("feat", "se") and side.isdigit() and int(side) > resolution


def _units(arrays: Arrays, side: int) -> Iterator[Unit]:
    base = f"feat_{side}"
    if f"{base}.conv1.weight" in arrays:  # of classes: one strength for both
        for number in (1, 2):
            yield Unit(f"{base}.conv{number}", f"{base}.noise.weight", f"{base}.bn{number}")
    elif f"{base}.5.weight" in arrays:
        for first in (1, 5):
            yield Unit(f"{base}.{first}", f"{base}.{first + 1}.weight", f"{base}.{first + 2}")
    elif f"{base}.1.weight" in arrays:
        yield Unit(f"{base}.1", "", f"{base}.2")
    else:
        raise UnsafeFileError(f"block {base} of a kind that is not known")


def _gate(arrays: Arrays, side: int) -> int:
    """After how many blocks the gate of a block is computed, -1 without one."""
    if f"se_{side}.main.1.weight" not in arrays:
        return -1
    if side not in GATED_BY:
        raise UnsafeFileError(f"a gate at {side} px; allowed: {', '.join(map(str, GATED_BY))}")
    return (GATED_BY[side] // 4).bit_length() - 1


def _rules(arrays: Arrays, source: Source, units: Mapping[int, list[Unit]]) -> Iterator[Rule]:
    if source.labels:
        width = arrays["embed.weight"].shape[1]
        rows = source.labels
        yield Rule("synthesis/classes", ("embed.weight",), lambda x: x[:rows], (rows, width))
    yield from first_rules("init.init.0", "init.init.1", arrays)
    number = 0
    for side, own in units.items():
        for index, unit in enumerate(own):
            base = f"synthesis/b{side}_unit{index}"
            yield from unit_rules(base, unit, arrays)
            if unit.noise:
                yield drawn_noise(f"{base}/noise", side, number)
                number += 1
        if f"se_{side}.main.1.weight" in arrays:
            yield from _gate_rules(side, arrays)
    inside = arrays["to_big.weight"].shape[1]
    image = convolution(tf=False, flip=False)
    yield from coloured(
        permuted("synthesis/image/kernel", "to_big.weight", (3, 3, inside, 3), image),
        Rule("synthesis/image/bias", ("to_big.bias",), np.asarray, (3,))
        if "to_big.bias" in arrays
        else Rule("synthesis/image/bias", (), lambda: np.zeros(3), (3,)),
    )


def _gate_rules(side: int, arrays: Arrays) -> Iterator[Rule]:
    base, source = f"synthesis/b{side}_gate", f"se_{side}.main"
    wide, inside = arrays[f"{source}.1.weight"].shape[:2]

    def flat(x: np.ndarray) -> np.ndarray:
        return x.transpose(2, 3, 1, 0).reshape(16 * inside, wide)

    yield Rule(f"{base}/fc0/kernel", (f"{source}.1.weight",), flat, (16 * inside, wide))
    point = Layout((1, 0), ones=(0, 2))
    yield permuted(f"{base}/fc1/kernel", f"{source}.3.weight", (wide, wide), point)
