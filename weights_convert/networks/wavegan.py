"""WaveGAN by mostafaelaraby's PyTorch code; how layers are applied shows in their names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
MARKER = "fc1.weight"
WEIGHT = re.compile(r"deconv_list\.(\d{1,2})\.transpose_ops\.(\d)\.weight")
FIRST, TIMES, EPSILON = 16, 4, 1e-5
SHORT, LONG = 5, 6  # layers of sounds of 16384 samples, and of longer ones
LENGTHS = {32768: 2, 65536: 4}  # of the sounds of six layers, and the factor of the last one


def is_wavegan(arrays: Arrays) -> bool:
    """Whether the arrays are those of this code."""
    return MARKER in arrays and any(map(WEIGHT.fullmatch, arrays))


def convert(arrays: Arrays, length: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`).

    `length` of the sounds, of networks of six layers, whose arrays do not show it. Raises
    `UnsafeFileError` for arrays that the rules do not cover, `ValueError` where it is missing.
    """
    weights = {n: a for n, a in arrays.items() if not n.endswith("num_batches_tracked")}
    found = sorted((int(m[1]), m[0]) for m in map(WEIGHT.fullmatch, weights) if m)
    kernels = [name for _, name in found if weights[name].ndim == 3]
    normed = any(n.startswith("deconv_list.") and n.endswith("running_mean") for n in weights)
    if not normed:  # written, and not used
        weights = {name: a for name, a in weights.items() if not name.startswith("bn1.")}
    layers = [_layer(weights, name, _factor(i, len(kernels), length))
              for i, name in enumerate(kernels)]  # fmt: skip
    first = weights["fc1.bias"].shape[0] // FIRST
    channels, samples = layers[-1][0], _samples(layers)
    if not 1 <= channels <= 3:
        raise UnsafeFileError(f"sounds of {channels} channels; supported: 1 to 3")
    facts = {
        "architecture": "wavegan",
        "resolution": math.isqrt(samples - 1) + 1,  # of the square that holds them
        "z_dim": weights[MARKER].shape[1],
        "facts": [["first", first], ["layers", layers], ["samples", samples]],
    }
    return apply_rules(_rules(weights, kernels, layers, normed), weights), facts


def _factor(index: int, count: int, length: int | None) -> int:
    if count not in (SHORT, LONG):
        raise UnsafeFileError(f"{count} layers along time; supported: {SHORT} or {LONG}")
    told = "none, it is 16384" if count == SHORT else ", ".join(map(str, LENGTHS))
    if length is not None and (count == SHORT or length not in LENGTHS):
        raise ValueError(f"length {length} of sounds of {count} layers; allowed: {told}")
    if count == LONG and length is None:
        raise ValueError(f"the file does not say how long its sounds are; --length: {told}")
    return LENGTHS[length] if length is not None and index == count - 1 else TIMES


def _layer(arrays: Arrays, name: str, factor: int) -> list[Any]:
    """The fields of a `Layer`."""
    spread = name.endswith("transpose_ops.0.weight")
    shape = arrays[name].shape
    return [shape[1 if spread else 0], shape[2], factor, spread]


def _samples(layers: list[list[Any]]) -> int:
    count = FIRST
    for _, _, factor, spread in layers:
        count = factor * count + (2 if spread and factor < TIMES else 0)
    return count


def _rules(
    arrays: Arrays, kernels: list[str], layers: list[list[Any]], normed: bool
) -> Iterator[Rule]:
    yield from _dense(arrays, normed)
    for index, (name, layer) in enumerate(zip(kernels, layers, strict=True)):
        base, source = f"synthesis/layer{index}", name.removesuffix(".weight")
        parent = source.rpartition(".")[0]
        own = (n for n in arrays if n.startswith(f"{parent}.") and n.endswith(".running_mean"))
        norm = next((name.removesuffix(".running_mean") for name in own), None)
        yield from _convolution(base, source, layer, (arrays[name].shape, norm))


def _dense(arrays: Arrays, normed: bool) -> Iterator[Rule]:
    inside, count = arrays[MARKER].shape[1], arrays["fc1.bias"].shape[0]
    norms = _norm_names("bn1") if normed else ()

    def place(x: np.ndarray) -> np.ndarray:
        # Torch's lie [channels, samples], ours [samples, channels].
        return np.moveaxis(x.reshape(*x.shape[:-1], -1, FIRST), -1, -2)

    def kernel(x: np.ndarray, *norms: np.ndarray) -> np.ndarray:
        return (place(np.float64(x.T)) * _scale(norms)).reshape(inside, count)

    def bias(x: np.ndarray, *norms: np.ndarray) -> np.ndarray:
        return _shift(place(np.float64(x)), norms).reshape(count)

    yield Rule("synthesis/dense/kernel", (MARKER, *norms), kernel, (inside, count))
    yield Rule("synthesis/dense/bias", ("fc1.bias", *norms), bias, (count,))


def _convolution(
    base: str, source: str, layer: list[Any], given: tuple[tuple[int, ...], str | None]
) -> Iterator[Rule]:
    channels, taps, _, spread = layer
    shape, norm = given
    norms = _norm_names(norm) if norm else ()

    def kernel(x: np.ndarray, *norms: np.ndarray) -> np.ndarray:
        turned = x[:, :, ::-1].transpose(2, 0, 1) if spread else x.transpose(2, 1, 0)
        return turned[:, None] * _scale(norms)

    inside = shape[0 if spread else 1]
    names = (f"{source}.weight", *norms)
    yield Rule(f"{base}/kernel", names, kernel, (taps, 1, inside, channels))
    yield Rule(f"{base}/bias", (f"{source}.bias", *norms), lambda b, *n: _shift(b, n), (channels,))


def _norm_names(norm: str) -> tuple[str, ...]:
    return tuple(f"{norm}.{end}" for end in ("weight", "bias", "running_mean", "running_var"))


def _scale(norms: tuple[np.ndarray, ...]) -> Any:
    return norms[0] / np.sqrt(norms[3].astype(np.float64) + EPSILON) if norms else 1.0


def _shift(bias: np.ndarray, norms: tuple[np.ndarray, ...]) -> np.ndarray:
    return (bias - norms[2]) * _scale(norms) + norms[1] if norms else bias
