"""PGGAN from TensorFlow pickles, genforce and pytorch_GAN_zoo.

A fused upsampling layer of the source equals a doubling of the pixels followed by a convolution
with the kernel turned by 180 degrees, and is converted to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import coloured, kernel
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Source:
    """Names of a source for `blocks` resolutions; layers count from 1 (the first convolution).

    `first`: [z_dim, 4, 4, channels] of the first weight. `whole`: the gain multiplies the bias too,
    and is sqrt(2 / fan-in) everywhere.
    """

    blocks: int
    dense: str
    first: Callable[[np.ndarray], np.ndarray]
    layer: Callable[[int], str]
    image: Callable[[int], str]
    end: str = "."
    tf: bool = False
    whole: bool = False


def convert(arrays: Arrays, source: Source, **facts: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`); `facts` are more facts of the network.

    Raises `UnsafeFileError` for arrays that the rules do not cover.
    """
    weights = {name: array for name, array in arrays.items() if name != "lod"}
    try:
        z_dim, *_, width = source.first(weights[f"{source.dense}{source.end}weight"]).shape
        widths = [_image_width(weights, source, j) for j in range(source.blocks)]
        rules = [*_dense(source, z_dim, width), *_layers(source, widths, weights)]
        rules += _images(source, widths)
    except (KeyError, ValueError, IndexError) as error:
        raise UnsafeFileError(f"the source lacks or misshapes {error.args[0]!s:.80}") from error
    level = float(arrays["lod"]) if "lod" in arrays else 0.0
    found: dict[str, Any] = {"widths": widths, "lod": level, **facts}
    spec = {
        "architecture": "pggan",
        "resolution": 2 << source.blocks,
        "z_dim": z_dim,
        "facts": sorted(found.items()),
    }
    return {"synthesis": apply_rules(rules, weights)}, spec


def _image_width(weights: Arrays, source: Source, index: int) -> int:
    return weights[f"{source.image(index)}{source.end}weight"].shape[-2 if source.tf else 1]


def _gain(source: Source, fan_in: int, usual: float) -> float:
    return float(np.sqrt(2 / fan_in)) if source.whole else usual / float(np.sqrt(fan_in))


def _bias(target: str, name: str, gain: float, count: int) -> Rule:
    return Rule(target, (name,), lambda b: gain * b, (count,))


def _dense(source: Source, z_dim: int, width: int) -> Iterator[Rule]:
    gain = _gain(source, z_dim, 2**0.5 / 4)
    weight, bias = (f"{source.dense}{source.end}{part}" for part in ("weight", "bias"))
    yield Rule(
        "dense/kernel",
        (weight,),
        lambda x: gain * source.first(x).reshape(z_dim, -1),
        (z_dim, 16 * width),
    )

    def spread(b: np.ndarray) -> np.ndarray:
        if len(b) == width:  # one per channel
            return np.tile(b, 16) * (gain if source.whole else 1.0)
        return gain * b.reshape(width, 16).T.ravel()

    yield Rule("dense/bias", (bias,), spread, (16 * width,))


def _layers(source: Source, widths: list[int], weights: Arrays) -> Iterator[Rule]:
    for number in range(1, 2 * len(widths)):
        block, up = number // 2, number % 2 == 0
        inside, outside = widths[block - 1 if up else block], widths[block]
        name = source.layer(number)
        fused = up and _is_fused(source, weights, name)
        gain = _gain(source, 9 * inside, 2**0.5)

        def laid(x: np.ndarray, fused: bool = fused, gain: float = gain) -> np.ndarray:
            if not fused:
                return gain * kernel(x, tf=source.tf, flip=False)
            # Fused kernels lie [h, w, out, in] in TensorFlow and [in, out, h, w] in torch.
            usual = x.swapaxes(2, 3) if source.tf else x.swapaxes(0, 1)
            return gain * kernel(usual, tf=source.tf, flip=True)

        base = f"b{4 << block}_conv{0 if up else 1}"
        shape = (3, 3, inside, outside)
        yield Rule(f"{base}/kernel", (f"{name}{source.end}weight",), laid, shape)
        shift = gain if source.whole else 1.0
        yield _bias(f"{base}/bias", f"{name}{source.end}bias", shift, outside)


def _is_fused(source: Source, weights: Arrays, name: str) -> bool:
    """By name in TensorFlow, in genforce by which axis has the inputs in any upsampling layer."""
    if source.tf:
        return name.endswith("Conv0_up")
    return not source.whole and inputs_lead(weights)


def inputs_lead(weights: Arrays) -> bool:
    """Whether the upsampling layers of genforce lie [in, out, 3, 3], as in a fused network."""
    ups = (f"layer{2 * i}" for i in range(1, 16) if f"layer{2 * i}.weight" in weights)
    return any(weights[f"{up}.weight"].shape[0] != len(weights[f"{up}.bias"]) for up in ups)


def _images(source: Source, widths: list[int]) -> Iterator[Rule]:
    for index, width in enumerate(widths):
        name, gain = source.image(index), _gain(source, width, 1.0)
        weight = Rule(
            f"b{4 << index}_rgb/weight",
            (f"{name}{source.end}weight",),
            lambda x, gain=gain: gain * kernel(x, tf=source.tf, flip=False)[0, 0],
            (width, 3),
        )
        shift = gain if source.whole else 1.0
        bias = _bias(f"b{4 << index}_rgb/bias", f"{name}{source.end}bias", shift, 3)
        yield from coloured(weight, bias)


# --- who wrote it ---------------------------------------------------------------------------------


def tensorflow(arrays: Arrays) -> Source | None:
    """`4x4/Dense`, `8x8/Conv0` or `8x8/Conv0_up` ..., `ToRGB_lod0`."""
    if "4x4/Dense/weight" not in arrays or "ToRGB_lod0/weight" not in arrays:
        return None
    blocks = sum(f"ToRGB_lod{k}/weight" in arrays for k in range(16))

    def layer(number: int) -> str:
        side = 4 << (number // 2)
        up = "Conv0_up" if f"{side}x{side}/Conv0_up/weight" in arrays else "Conv0"
        return f"{side}x{side}/" + ("Conv" if number == 1 else "Conv1" if number % 2 else up)

    return Source(
        blocks,
        "4x4/Dense",
        lambda x: x.reshape(len(x), -1, 4, 4).transpose(0, 2, 3, 1),
        layer,
        lambda j: f"ToRGB_lod{blocks - 1 - j}",
        end="/",
        tf=True,
    )


def genforce(arrays: Arrays) -> Source | None:
    """`layer0` (a 4x4 convolution of one pixel), `layer1` ..., `output0` ...."""
    if "layer0.weight" not in arrays or "output0.weight" not in arrays:
        return None
    return Source(
        sum(f"output{j}.weight" in arrays for j in range(16)),
        "layer0",
        lambda x: x[:, :, ::-1, ::-1].transpose(1, 2, 3, 0),
        lambda number: f"layer{number}",
        lambda j: f"output{j}",
    )


def gan_zoo(arrays: Arrays) -> Source | None:
    """`formatLayer`, `groupScale0.0`, `scaleLayers.0.0` ..., `toRGBLayers.0` ... of GAN zoo."""
    if "formatLayer.module.weight" not in arrays or "toRGBLayers.0.module.weight" not in arrays:
        return None

    def layer(number: int) -> str:
        if number == 1:
            return "groupScale0.0.module"
        return f"scaleLayers.{number // 2 - 1}.{number % 2}.module"

    return Source(
        sum(f"toRGBLayers.{j}.module.weight" in arrays for j in range(16)),
        "formatLayer.module",
        lambda x: x.reshape(-1, 4, 4, x.shape[1]).transpose(3, 1, 2, 0),
        layer,
        lambda j: f"toRGBLayers.{j}.module",
        whole=True,
    )
