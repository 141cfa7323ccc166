"""State dicts of encoders that are not of the pSp family -> fields of the spec, and parameters.

What equalised layers multiply by when they run is folded into their weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import torch_layers

Arrays = Mapping[str, np.ndarray]
Network = tuple[dict[str, Any], dict[str, Any]]  # fields of the spec, nested parameters
UNITS: Mapping[tuple[int, ...], str] = {
    (2, 2, 2, 2): "18",
    (3, 4, 6, 3): "34",
    (3, 4, 23, 3): "101",
    (3, 4, 14, 3): "50",
    (3, 13, 30, 3): "100",
    (3, 8, 36, 3): "152",
}
ROW = 512  # numbers of a row of W+, where the shapes leave it open
LEVELS = ("HighLevel", "MidLevel", "LowLevel")
GRID, LAST = 3, 4  # side of the maps that dense layers of Feature-Style and IDInvert see


class Naming(NamedTuple):
    """Patterns of names and what stands for them here, in this order."""

    pairs: tuple[tuple[str, str], ...]

    def __call__(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """The arrays by their names here; `UnsafeFileError` where two become one."""
        found: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            own = name
            for pattern, ours in self.pairs:
                own = re.sub(pattern, ours, own)
            if own in found:
                raise UnsafeFileError(f"two arrays are {own[:80]!r}")
            found[own] = array
        return found


def count(arrays: Arrays, pattern: str) -> int:
    """One more than the largest number that names have at the group of a pattern; 0 if none."""
    found = (re.match(pattern, name) for name in arrays)
    return max((int(one[1]) for one in found if one), default=-1) + 1


def depth(arrays: Arrays, stage: Callable[[int], str], first: int = 0) -> str:
    """The depth that a net of four stages is called by; the pattern of a stage has a number."""
    units = tuple(count(arrays, stage(number)) - first for number in (1, 2, 3, 4))
    if units not in UNITS:
        raise UnsafeFileError(f"a backbone of {units} units; allowed: {', '.join(map(str, UNITS))}")
    return UNITS[units]


def pixels_last(weight: np.ndarray, side: int) -> np.ndarray:
    """A dense weight [out, c h w] of a flattened map, for one that has its channels last."""
    out = weight.reshape(len(weight), -1, side, side)
    return out.transpose(0, 2, 3, 1).reshape(len(weight), -1)


def scaled(arrays: Arrays, pattern: str, gain: float = 1.0) -> dict[str, np.ndarray]:
    """Weights whose names match, times gain / sqrt(fan-in)."""
    return {
        name: array * np.float64(gain) / np.sqrt(array[0].size)
        if re.fullmatch(pattern, name)
        else array
        for name, array in arrays.items()
    }


IDINVERT = Naming(((r"\.bn(\d?)\.bn\.", r".bn\1."), (r"\.wscale(\d)\.bias", r".conv\1.bias")))


def idinvert(arrays: Arrays, equalised: bool | None = None) -> Network:
    """The encoder of IDInvert; `equalised`: whether its convolutions are (None: by their size)."""
    pooled = count(arrays, r"block(\d+)\.conv1\.weight") - 1
    last = f"block{pooled + 1}.fc.weight"
    widths = [len(arrays["block0.conv.weight"])]
    widths += [len(arrays[f"block{i}.conv2.weight"]) for i in range(1, pooled + 1)]
    rows = 2 * (pooled + 1)
    numbers = len(arrays[last])
    if numbers % rows:
        raise UnsafeFileError(f"a code of {numbers} numbers for {rows} rows")
    dense = np.float64(arrays[last]) / np.sqrt(arrays[last].shape[1])
    own = IDINVERT(arrays) | {last: pixels_last(dense, LAST)}
    if _is_equalised(arrays) if equalised is None else equalised:
        own = scaled(own, r".*\.conv\d?\.weight", 2**0.5)
    facts = {
        "width": widths[0],
        "widest": max(widths),
        "normalised": "block0.bn.bn.weight" in arrays,
    }
    fields = {
        "backbone": "pooled-blocks",
        "head": "dense",
        "side": LAST << pooled,
        "rows": rows,
        "width": numbers // rows,
        "base": "zeros",
        "resize": "bilinear-plain",
    }
    return {**fields, "facts": tuple(facts.items())}, torch_layers.convert(own)


def _is_equalised(arrays: Arrays) -> bool:
    """Whether kernels have the size 1 that equalised ones begin with, not 1 / sqrt(fan-in)."""
    kernels = (a for name, a in arrays.items() if re.fullmatch(r".*\.conv\d?\.weight", name))
    widest = max(kernels, key=lambda kernel: kernel[0].size)
    size = np.sqrt(np.mean(np.square(widest, dtype=np.float64)))
    return bool(size > widest[0].size ** -0.25)


def latent_composition(arrays: Arrays, side: int = 256) -> Network:
    """The masked encoder of a StyleGAN2 (a 1x1 convolution last) or of a PGGAN (a dense layer).

    `side` is that of the pictures that it sees: 256, or 128 of smaller generators.
    """
    styles = "layer5.conv5.weight" in arrays
    own = Naming(((r"^layer5\.conv5\.", "fc."),))(arrays)
    own["fc.weight"] = own["fc.weight"].reshape(len(own["fc.weight"]), -1)
    numbers = len(own["fc.weight"])
    if styles and numbers % ROW:
        raise UnsafeFileError(f"a code of {numbers} numbers; allowed: multiples of {ROW}")
    channels = arrays["conv1.weight"].shape[1]
    if channels not in (3, 4):
        raise UnsafeFileError(f"pictures of {channels} channels; allowed: 3, or 4 with a mask")
    deep = any(name.endswith(".conv3.weight") for name in arrays)
    name = depth(arrays, lambda stage: rf"layer{stage}\.(\d+)\.")
    name = "50" if deep and name == "34" else name
    fields = {
        "backbone": f"masked-resnet-{name}",
        "head": "pooled-dense",
        "side": side,
        "rows": numbers // ROW if styles else 0,
        "width": ROW if styles else numbers,
        "output": "w+" if styles else "z",
        "base": "zeros",
        "resize": "pool",
        "planes": ("image", "mask") if channels == 4 else ("image",),
    }
    facts = (("width", len(arrays["conv1.weight"])), ("offset", 0.0 if styles else -0.5))
    return {**fields, "facts": facts}, torch_layers.convert(own)


TENSORFLOW = Naming(
    (
        (r"/moving_mean$", "/running_mean"),
        (r"/moving_variance$", "/running_var"),
        (r"/gamma$", "/weight"),
        (r"/beta$", "/bias"),
        (r"/", "."),
    )
)


def gh_feat(arrays: Arrays, side: int = 256) -> Network:
    """The encoder of GH-Feat, from TensorFlow's names: [h, w, in, out] and [in, out]."""
    kernels = {4: (3, 2, 0, 1), 2: (1, 0)}
    own = {
        name: array.transpose(kernels[array.ndim]) if array.ndim in kernels else array
        for name, array in TENSORFLOW(arrays).items()
    }
    joined = len(own["fuse_conv_0.bias"])
    for level in LEVELS:  # their maps are flattened with channels first
        weight = own[f"{level}.weight"]
        own[f"{level}.weight"] = pixels_last(weight, math.isqrt(weight.shape[1] // joined))
    high, middle, low = (len(own[f"{level}.bias"]) for level in LEVELS)
    style = 2 * ROW
    styles = [style] * (high // style) + [style] * (middle // style)
    left = low
    while left > 0:
        style //= 2
        styles += [style, style]
        left -= 2 * style
    if left or sum(styles) != high + middle + low:
        raise UnsafeFileError(f"styles of {high}, {middle} and {low} numbers")
    name = depth(own, lambda stage: rf"stage{stage}_unit(\d+)\.", first=1)
    name = "50" if name == "34" and "stage1_unit1.Convc.weight" in own else name
    fields = {
        "backbone": f"resnet-{name}-deeper",
        "neck": "fpn-aligned",
        "head": "style-scales",
        "side": side,
        "rows": len(styles),
        "width": 2 * ROW,
        "output": "s",
        "base": "zeros",
    }
    groups = (high // (2 * ROW), middle // (2 * ROW))
    facts = {"styles": tuple(styles), "groups": groups, "joined": joined}
    facts["width"] = len(own["Conv0.weight"])
    fields |= {"resize": "area", "facts": tuple(facts.items())}
    return fields, torch_layers.convert(own)


def feature_style(arrays: Arrays) -> Network:
    """The Feature-Style encoder; its content replaces features of 16 px, as its authors trained."""
    own = {
        name: pixels_last(array, GRID) if re.fullmatch(r"styles\.\d+\.weight", name) else array
        for name, array in arrays.items()
    }
    name = depth(arrays, lambda stage: rf"block_{stage}\.(\d+)\.")
    fields = {
        "backbone": f"iresnet-{name}",
        "head": "styles-content",
        "base": "mean",
        "rows": count(arrays, r"styles\.(\d+)\."),
        "width": len(arrays["styles.0.bias"]),
    }
    facts = {
        "width": len(arrays["conv.0.weight"]),
        "channels": len(arrays["content_layer.5.bias"]),
    }
    return {**fields, "resize": "bilinear", "facts": tuple(facts.items())}, torch_layers.convert(
        own
    )
