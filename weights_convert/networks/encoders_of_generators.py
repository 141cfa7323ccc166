"""Encoders that change the inside of a generator: HyperStyle and HFGI."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import torch_layers
from weights_convert.networks.encoder_families import Naming, Network, count, scaled

Arrays = Mapping[str, np.ndarray]
BLOCK = r"refinement_blocks\.(\d+)\."
SHARED = "shared_weight_hypernet"
TAPS = 9  # of a kernel of 3 x 3
# Two layers without a weight's name, of which HyperStyle runs the one that is called second first.
TWO_MAPS = Naming(
    (
        (r"\.w2$", ".first.weight"),
        (r"\.b2$", ".first.bias"),
        (r"\.w1$", ".second.weight"),
        (r"\.b1$", ".second.bias"),
    )
)


def hyperstyle(arrays: Arrays) -> Network:
    """The hypernetwork of HyperStyle without its codes; the shapes say which layers it changes."""
    own = without_repeats(arrays)
    named = {
        name: array.T if re.search(r"\.w[12]$", name) else array for name, array in own.items()
    }
    channels = own["conv1.weight"].shape[1]
    if channels != 6:
        raise UnsafeFileError(f"pictures of {channels} channels; allowed: 6")
    numbers = sorted({int(one[1]) for one in (re.match(BLOCK, name) for name in own) if one})
    changes = tuple(change(own, number) for number in numbers)
    units = count(own, r"body\.(\d+)\.")
    backbones = {16: "resnet-34", 8: "resnet-18"}
    if units not in backbones or any(name.endswith("conv3.weight") for name in own):
        raise UnsafeFileError(f"a backbone of {units} units; allowed: 8 or 16 of two convolutions")
    fields = {
        "backbone": backbones[units],
        "head": "weight-factors",
        "resize": "bilinear",
        "planes": ("image", "reconstruction"),
        "base": "before",
    }
    facts = (("width", len(own["conv1.weight"])), ("changes", changes))
    return {**fields, "facts": facts}, torch_layers.convert(TWO_MAPS(named))


def without_repeats(arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays without those that torch lists again under each block of HyperStyle.

    Raises `UnsafeFileError` where they are not those that the blocks share.
    """
    repeated = re.compile(rf"{BLOCK}hypernet\.(\w+)")
    for name, array in arrays.items():
        found = repeated.fullmatch(name)
        if found and not _equal(array, arrays.get(f"{SHARED}.{found[2]}")):
            raise UnsafeFileError(f"{name} is not what the blocks share")
    return {name: array for name, array in arrays.items() if not repeated.fullmatch(name)}


def _equal(array: np.ndarray, shared: np.ndarray | None) -> bool:
    return shared is not None and array.shape == shared.shape and np.array_equal(array, shared)


def change(arrays: Arrays, number: int) -> tuple[int, str, int, int, int]:
    """Fields of the `Change` of one layer."""
    name = f"refinement_blocks.{number}"
    hidden = len(arrays[f"{name}.convs.0.weight"])
    if f"{name}.linear.weight" in arrays:
        inside = arrays[f"{SHARED}.w2"].shape[1] // arrays[f"{SHARED}.w2"].shape[0]
        return number, "shared", inside, arrays[f"{SHARED}.w1"].shape[1] // TAPS, hidden
    if f"{name}.output.0.make_kernel_in.bias" in arrays:
        sides = (len(arrays[f"{name}.output.0.make_kernel_{way}.bias"]) for way in ("in", "out"))
        inside, outside = (numbers // TAPS for numbers in sides)
        return number, "separable", inside, outside, hidden
    if f"{name}.output.0.bias" in arrays:
        return number, "image", len(arrays[f"{name}.output.0.bias"]) // 3, 3, hidden
    inside, outside = _channels(len(arrays[f"{name}.output.1.bias"]), number)
    return number, "pooled", inside, outside, hidden


def _channels(numbers: int, number: int) -> tuple[int, int]:
    """In and out of a kernel from their product: they are equal, or in is twice as many."""
    for factor in (1, 2):
        outside = round((numbers / factor) ** 0.5)
        if factor * outside * outside == numbers:
            return factor * outside, outside
    raise UnsafeFileError(f"layer {number} of {numbers} pairs of channels")


def hfgi(arrays: Arrays) -> Network:
    """The aligner and the consultant of HFGI, which stand behind an encoder of the pSp family."""
    own = scaled(arrays, r"residue\.condition_(scale|shift)3\.\d\.weight")
    aligner, consultant = (
        tuple(
            len(arrays[f"{name}.conv_layer1.0.weight"])
            if stage == 1
            else len(arrays[f"{name}.conv_layer{stage}.0.res_layer.1.weight"])
            for stage in range(1, count(arrays, rf"{name}\.conv_layer(\d+)\."))
        )
        for name in ("grid_align", "residue")
    )
    fields = {
        "backbone": "aligned-residual",
        "head": "scale-shift",
        "base": "before",
        "planes": ("image", "reconstruction", "edited"),
        "resize": "bilinear",
        "resize_drawn": "bilinear-clipped",
    }
    facts = {
        "aligner": aligner,
        "consultant": consultant,
        "channels": len(arrays["residue.condition_scale3.2.bias"]),
    }
    return {**fields, "facts": tuple(facts.items())}, torch_layers.convert(own)
