"""Chains of torch's layers, from a plan of their names: generators and discriminators.

Batch normalisation is folded into the layer before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks.layouts import check_channels
from weights_convert.networks.rules import Rule, apply_rules
from weights_convert.networks.spectral import from_a_whole_step

EPSILON = 1e-5  # of batch normalisation
SLOPE = 0.2  # of a leaky ReLU, unless a code has another
Arrays = Mapping[str, np.ndarray]


class Step(NamedTuple):
    """One layer of a source: names of the linear part and of its normalisation, how it is applied.

    `side`, `slope`: see `jaxinv.nn.layer_chain.Layer`; `cells` is the side of the image that a
    dense layer was given flattened.
    """

    linear: str
    norm: str | None
    activation: str
    stride: int = 1
    padding: int = 0
    side: int = 0
    kind: str = "up"  # of a 4-D weight, or "attend"
    cells: int = 1
    slope: float = SLOPE


class Plan(NamedTuple):
    """The layers of a source in their order, and the prior of its z."""

    steps: tuple[Step, ...]
    prior: str = "normal"


def convert(
    arrays: Arrays, plan: Plan, classes: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`) of a chain.

    The last inputs are so many `classes`. Raises `UnsafeFileError` for arrays that the chain does
    not cover or whose sizes do not fit, `ValueError` where no input would be left for z.
    """
    params, layers, z_dim = _chain(arrays, plan.steps)
    check_channels(layers[-1][1])
    facts = {
        "architecture": "dcgan",
        "resolution": final_side(layers, 1),
        "z_dim": z_dim,
        "prior": plan.prior,
        "facts": [["layers", layers]],
    }
    return {"synthesis": params}, with_classes(facts, classes)


def with_classes(facts: dict[str, Any], classes: int | None) -> dict[str, Any]:
    """The facts of a chain whose last inputs are so many classes; `ValueError` without a z."""
    if classes is None:
        return facts
    inputs = facts["z_dim"]
    if classes >= inputs:
        raise ValueError(f"{classes} classes among {inputs} inputs; allowed: at most {inputs - 1}")
    return {**facts, "z_dim": inputs - classes, "labels": classes, "embedding": classes}


def discriminator(
    arrays: Arrays, steps: tuple[Step, ...], resolution: int
) -> tuple[dict[str, Any], list[Any]]:
    """(nested parameters, plan) of a discriminator of images of `resolution` px.

    The plan: "chain", the channels of its images, its layers. Raises `UnsafeFileError` if a whole
    image does not end in one number.
    """
    params, layers, channels = _chain(arrays, steps)
    if final_side(layers, resolution) != 1 or layers[-1][1] != 1 or channels not in (1, 3):
        raise UnsafeFileError(f"no discriminator of images of {resolution} px, 1 or 3 channels")
    return params, ["chain", channels, layers]


def _chain(arrays: Arrays, steps: tuple[Step, ...]) -> tuple[dict[str, Any], list[list[Any]], int]:
    """Parameters, layers, and the size of what comes in."""
    try:
        held = {n: a for n, a in arrays.items() if not n.endswith(".num_batches_tracked")}
        weights = from_a_whole_step(held)
        layers = [_layer(weights, step) for step in steps]
        inputs = _fan_in(weights, steps[0])
        rules = [
            rule
            for index, (step, layer) in enumerate(zip(steps, layers, strict=True))
            for rule in _rules(index, step, layer, weights)
        ]
    except (KeyError, IndexError) as error:
        raise UnsafeFileError(f"the source has no {error.args[0]!s:.80}") from error
    return apply_rules(rules, weights), layers, inputs


def _fan_in(arrays: Arrays, step: Step) -> int:
    weight = arrays[f"{step.linear}.weight"]
    return weight.shape[0 if weight.ndim == 4 and step.kind == "up" else 1]


def _layer(arrays: Arrays, step: Step) -> list[Any]:
    """The fields of a `Layer`."""
    if step.kind == "attend":
        return ["attend", len(arrays[f"{step.linear}.value_conv.bias"]), "none"]
    weight = arrays[f"{step.linear}.weight"]
    if weight.ndim == 2:
        return ["dense", weight.shape[0] // max(step.side, 1) ** 2, step.activation, step.side]
    sizes: list[Any] = [weight.shape[2], step.stride, step.padding]
    sizes += [step.slope] if step.slope != SLOPE else []
    return [step.kind, weight.shape[step.kind == "up"], step.activation, step.side, *sizes]


def final_side(layers: list[list[Any]], side: int) -> int:
    """Side of what comes out of a chain that is given `side` pixels."""
    for layer in layers:
        if layer[0] == "dense":
            side = layer[3] or 1
        elif layer[0] != "attend":
            size, stride, padding = layer[4:7]
            up = (side - 1) * stride + size - 2 * padding
            down = (side + 2 * padding - size) // stride + 1
            side = layer[3] or (up if layer[0] == "up" else down)
    return side


def _rules(index: int, step: Step, layer: list[Any], arrays: Arrays) -> Iterator[Rule]:
    if step.kind == "attend":
        return _attention(f"layer{index}/attention", step.linear, layer[1])
    return _linear(index, step, layer, arrays)


def _attention(base: str, source: str, channels: int) -> Iterator[Rule]:
    for name, count in (("query", channels // 8), ("key", channels // 8), ("value", channels)):
        weight, bias = (f"{source}.{name}_conv.{part}" for part in ("weight", "bias"))
        shape = (channels, count)
        yield Rule(f"{base}/{name}/kernel", (weight,), lambda x: x[:, :, 0, 0].T, shape)
        yield Rule(f"{base}/{name}/bias", (bias,), np.asarray, (count,))
    yield Rule(f"{base}/gamma", (f"{source}.gamma",), lambda x: x.reshape(()), ())


def _linear(index: int, step: Step, layer: list[Any], arrays: Arrays) -> Iterator[Rule]:
    weight = f"{step.linear}.weight"
    bias = [f"{step.linear}.bias"] if f"{step.linear}.bias" in arrays else []
    ends = ("weight", "bias", "running_mean", "running_var")
    norm = [f"{step.norm}.{end}" for end in ends] if step.norm else []
    dense, channels, side = layer[0] == "dense", layer[1], layer[3]
    outputs = channels * max(side, 1) ** 2 if dense else channels
    fan_in = _fan_in(arrays, step)
    shape = (fan_in, outputs) if dense else (layer[4], layer[4], fan_in, outputs)

    def place(x: np.ndarray) -> np.ndarray:
        # Torch's flat images lie [channels, side, side], ours [side, side, channels].
        if not (dense and side):
            return x
        cells = x.reshape(*x.shape[:-1], channels, side, side)
        return np.moveaxis(cells, -3, -1).reshape(x.shape)

    def kernel(x: np.ndarray, *norms: np.ndarray) -> np.ndarray:
        if dense:
            return place(_channels_last(x.T, step.cells) * _scale(norms))
        turned = x[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
        return (turned if layer[0] == "up" else x.transpose(2, 3, 1, 0)) * _scale(norms)

    def shift(*given: np.ndarray) -> np.ndarray:
        own, norms = (given[0], given[1:]) if bias else (np.zeros(outputs), given)
        if not norms:
            return place(own)
        return place((own - norms[2]) * _scale(norms) + norms[1])

    yield Rule(f"layer{index}/kernel", (weight, *norm), kernel, shape)
    if bias or norm:
        yield Rule(f"layer{index}/bias", (*bias, *norm), shift, (outputs,))
    else:
        yield Rule(f"layer{index}/bias", (), lambda: np.zeros(outputs), (outputs,))


def _channels_last(x: np.ndarray, cells: int) -> np.ndarray:
    """Rows of an image that was flattened as [channels, cells, cells] in the order of ours."""
    image = x.reshape(-1, cells, cells, x.shape[-1])
    return image.transpose(1, 2, 0, 3).reshape(x.shape)


def _scale(norms: tuple[np.ndarray, ...]) -> Any:
    return norms[0] / np.sqrt(norms[3].astype(np.float64) + EPSILON) if norms else 1.0
