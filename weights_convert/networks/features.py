"""State dicts of feature nets: layers keep their names, normalisations join the layer before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.rules import Rule, apply_rules

Arrays = Mapping[str, np.ndarray]
# A batch normalisation and the layer before it, by their names.
JOINED = (
    (r"(.*\.)?bn$", r"\1conv"),
    (r"(.*?)bn(\d)$", r"\1conv\2"),
    (r"(.*)downsample\.1$", r"\1downsample.0"),
    (r"(.*)bn_atten$", r"\1conv_atten"),
    (r"(.*)(input_layer|shortcut_layer)\.1$", r"\1\2.0"),
    (r"(.*)res_layer\.4$", r"\1res_layer.3"),
    (r"last_bn$", "last_linear"),
)
COUNTER = re.compile(r"(^|\.)num_batches_tracked$")  # how long a network was trained
NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Family:
    """One kind of file: names that it has, what comes before them, and what is not the net's.

    `apart` are arrays that are kept by themselves, by their names in the file.
    """

    markers: tuple[str, ...]
    prefix: str = ""
    epsilon: float = 1e-5
    dropped: str = "$^"
    apart: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[Arrays], tuple[Arrays, list[Rule]]] | None = None


def _arcface_head(arrays: Arrays) -> tuple[Arrays, list[Rule]]:
    """The last layer with the normalisations before and behind it, and all others."""
    head = {name for name in arrays if name.startswith("output_layer.")}
    before, after = (tuple(f"output_layer.{i}.{part}" for part in NORM) for i in (0, 4))
    stored = ("output_layer.3.weight", "output_layer.3.bias", *before, *after)
    out, fan_in = arrays[stored[0]].shape
    rules = [
        Rule("output_layer/kernel", stored, partial(_head, 0), (fan_in, out)),
        Rule("output_layer/bias", stored, partial(_head, 1), (out,)),
    ]
    return {name: arrays[name] for name in arrays if name not in head}, rules


def _head(part: int, weight: np.ndarray, bias: np.ndarray, *norms: np.ndarray) -> np.ndarray:
    (factor, shift), (last, end) = (_affine(norms[i : i + 4], 1e-5) for i in (0, 4))
    channels = len(factor)
    side = round((weight.shape[1] / channels) ** 0.5)
    by_channel = weight.astype(np.float64).reshape(-1, channels, side, side)
    kernel = (by_channel * factor[:, None, None]).transpose(2, 3, 1, 0).reshape(-1, len(weight))
    sums = by_channel.sum((2, 3)) @ shift + bias
    return (kernel * last, sums * last + end)[part]


FAMILIES: Mapping[str, Family] = {
    "inception-fid": Family(
        ("Mixed_7c.branch_pool.conv.weight", "fc.weight"),
        epsilon=1e-3,
        apart={"fc.bias": "fc_bias"},
    ),
    "arcface-ir": Family(
        ("body.0.res_layer.1.weight", "output_layer.3.weight"), prepared=_arcface_head
    ),
    "bisenet-faces": Family(("cp.resnet.conv1.weight", "ffm.convblk.conv.weight")),
    "clip": Family(
        ("text_projection", "token_embedding.weight", "visual.conv1.weight"),
        dropped="(input_resolution|context_length|vocab_size)$",
        apart={"token_embedding.weight": "token_embedding"},
    ),
    "facenet": Family(
        ("repeat_1.0.conv2d.weight", "last_linear.weight"),
        epsilon=1e-3,
        dropped=r"logits\.(weight|bias)$",
    ),
    "moco-resnet50": Family(
        ("layer4.0.conv3.weight",), prefix="encoder_q.", dropped=r"fc(\.\d)?\.(weight|bias)$"
    ),
}


def recognise(arrays: Arrays) -> str | None:
    """The architecture whose names a state dict has, or None."""
    for name, family in FAMILIES.items():
        if all(family.prefix + marker in arrays for marker in family.markers):
            return name
    return None


def convert(arrays: Arrays, architecture: str) -> dict[str, Any]:
    """The nested parameters of a net from the arrays of its file.

    Raises `UnsafeFileError` where arrays are missing, left over or of shapes that do not fit.
    """
    from jaxinv.models.features.named_layers import shapes_of
    from jaxinv.models.features.nets import build_net

    family = FAMILIES[architecture]
    own = {
        name.removeprefix(family.prefix): array
        for name, array in arrays.items()
        if name.startswith(family.prefix) and not COUNTER.search(name)
    }
    own = {name: array for name, array in own.items() if not re.match(family.dropped, name)}
    plain, first = family.prepared(own) if family.prepared else (own, [])
    params = apply_rules([*first, *_rules(plain, family)], own)
    try:
        build_net(architecture, shapes_of(params))
    except ValueError as error:
        raise UnsafeFileError(f"an incomplete or other net: {error}") from error
    return params


def _rules(arrays: Arrays, family: Family) -> Iterator[Rule]:
    """A rule for every array of every layer."""
    yield from (_same(ours, name, arrays) for name, ours in family.apart.items())
    arrays = {name: array for name, array in arrays.items() if name not in family.apart}
    layers: dict[str, set[str]] = {}
    for name in arrays:
        layer, _, part = name.replace("in_proj_", "in_proj.").rpartition(".")
        if part in NORM:
            layers.setdefault(layer, set()).add(part)
        else:
            yield _same(name, name, arrays)
    joined = {_before(layer): layer for layer in layers if "running_mean" in layers[layer]}
    for layer, parts in layers.items():
        if "running_mean" in parts and _before(layer) in layers:
            continue
        yield from _layer_rules(layer, arrays, joined.get(layer), family.epsilon)


def _before(norm: str) -> str:
    """The layer that a normalisation joins, by name."""
    for pattern, name in JOINED:
        if found := re.fullmatch(pattern, norm):
            return found.expand(name)
    return ""


def _layer_rules(layer: str, arrays: Arrays, norm: str | None, epsilon: float) -> Iterator[Rule]:
    stored = {part: _stored(layer, part, arrays) for part in NORM}
    weight = stored["weight"]
    if weight not in arrays:
        raise UnsafeFileError(f"the source has no {weight}")
    shape, bias = arrays[weight].shape, stored["bias"]
    if stored["running_mean"] in arrays:
        names = tuple(stored.values())
        for index, part in enumerate(("scale", "bias")):
            yield Rule(f"{layer}/{part}", names, partial(_part, index, epsilon), shape)
    elif len(shape) == 1 and bias in arrays:
        yield from (_same(f"{layer}/scale", weight, arrays), _same(f"{layer}/bias", bias, arrays))
    elif len(shape) == 1:
        yield _same(layer, weight, arrays)
    else:
        target = layer.removesuffix(".conv") if norm and norm.endswith(".bn") else layer
        names = (weight, *((bias,) if bias in arrays else ()))
        norms = tuple(f"{norm}.{part}" for part in NORM) if norm else ()
        fold = partial(_folded, epsilon, len(names) - 1)
        turned = (*shape[2:], shape[1], shape[0])
        yield Rule(f"{target}/kernel", (*names, *norms), partial(fold, "kernel"), turned)
        if len(shape) == 4 or bias in arrays or norm:
            yield Rule(f"{target}/bias", (*names, *norms), partial(fold, "bias"), shape[:1])


def _stored(layer: str, part: str, arrays: Arrays) -> str:
    """The name of a layer's array; those of attention are called "in_proj_weight"."""
    plain = f"{layer}.{part}"
    return plain if plain in arrays or not layer.endswith("in_proj") else f"{layer}_{part}"


def _same(target: str, name: str, arrays: Arrays) -> Rule:
    return Rule(target, (name,), lambda x: x, arrays[name].shape)


def _affine(norm: tuple[np.ndarray, ...], epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Factor and shift of a batch normalisation, in float64."""
    weight, bias, mean, variance = (x.astype(np.float64) for x in norm)
    if (variance + epsilon <= 0).any():
        raise UnsafeFileError("a variance below zero")
    factor = weight / np.sqrt(variance + epsilon)
    return factor, bias - mean * factor


def _part(index: int, epsilon: float, *norm: np.ndarray) -> np.ndarray:
    return _affine(norm, epsilon)[index]


def _folded(epsilon: float, biased: int, part: str, *stored: np.ndarray) -> np.ndarray:
    """Kernel or bias of a layer with the normalisation behind it, if there is one."""
    weight, *others = (x.astype(np.float64) for x in stored)
    bias = others[0] if biased else np.zeros(len(weight))
    norm = tuple(others[biased:])
    factor, shift = _affine(norm, epsilon) if norm else (np.ones(len(weight)), 0.0)
    if part == "bias":
        return bias * factor + shift
    turned = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
    return turned * factor
