"""DCGAN, WGAN, WGAN-GP and perceptron generators from bare torch state dicts.

No file says how its layers are applied, but names and kernel sizes do: each recogniser below knows
one code that writes such names. Batch normalisation is folded into the layer before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.rules import Rule, apply_rules

EPSILON = 1e-5  # of batch normalisation
Arrays = Mapping[str, np.ndarray]


class Step(NamedTuple):
    """One layer of a source: names of the linear part and of its normalisation, how it is applied.

    `side`: see `jaxinv.generators.dcgan.Layer`.
    """

    linear: str
    norm: str | None
    activation: str
    stride: int = 1
    padding: int = 0
    side: int = 0
    kind: str = "up"  # of a 4-D weight, or "attend"


class Plan(NamedTuple):
    """The layers of a source in their order, and the prior of its z."""

    steps: tuple[Step, ...]
    prior: str = "normal"


def convert(arrays: Arrays, plan: Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`) of a chain.

    Raises `UnsafeFileError` for arrays that the chain does not cover or whose sizes do not fit.
    """
    steps = plan.steps
    try:
        held = {n: a for n, a in arrays.items() if not n.endswith(".num_batches_tracked")}
        weights = spectrally_normalised(held)
        layers = [_layer(weights, step) for step in steps]
        z_dim = _fan_in(weights, steps[0])
        side = _final_side(layers)
        rules = [
            rule
            for index, (step, layer) in enumerate(zip(steps, layers, strict=True))
            for rule in _rules(index, step, layer, weights)
        ]
    except (KeyError, IndexError) as error:
        raise UnsafeFileError(f"the source has no {error.args[0]!s:.80}") from error
    if layers[-1][1] not in (1, 3):
        raise UnsafeFileError(f"images of {layers[-1][1]} channels; allowed: 1 or 3")
    params = {"synthesis": apply_rules(rules, weights)}
    facts = {
        "architecture": "dcgan",
        "resolution": side,
        "z_dim": z_dim,
        "prior": plan.prior,
        "facts": [["layers", layers]],
    }
    return params, facts


def spectrally_normalised(arrays: Arrays) -> dict[str, np.ndarray]:
    """Every `weight_bar` divided by its norm as `weight`; heykeetae/Self-Attention-GAN's form.

    That code makes one power iteration from the stored vectors in every call; the first call after
    loading is the reference.
    """
    found = dict(arrays)
    for name in [name for name in arrays if name.endswith(".weight_bar")]:
        base = name.removesuffix("_bar")
        weight, u, v = (found.pop(f"{base}_{part}") for part in ("bar", "u", "v"))
        matrix = weight.reshape(len(weight), -1).astype(np.float64)
        if u.shape != (len(matrix),) or v.shape != matrix.shape[1:]:
            raise UnsafeFileError(f"{base}: vectors of another size than the matrix")
        v = _unit(matrix.T @ u)
        u = _unit(matrix @ v)
        found[base] = weight / (u @ matrix @ v)
    return found


def _unit(x: np.ndarray) -> np.ndarray:
    return x / (np.linalg.norm(x) + 1e-12)


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
    sizes = [weight.shape[2], step.stride, step.padding]
    return [step.kind, weight.shape[step.kind == "up"], step.activation, step.side, *sizes]


def _final_side(layers: list[list[Any]]) -> int:
    side = 1
    for layer in layers:
        if layer[0] == "dense":
            side = layer[3] or side
        elif layer[0] != "attend":
            size, stride, padding = layer[4:]
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
            return place(x.T * _scale(norms))
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


def _scale(norms: tuple[np.ndarray, ...]) -> Any:
    return norms[0] / np.sqrt(norms[3].astype(np.float64) + EPSILON) if norms else 1.0


# --- who wrote it ---------------------------------------------------------------------------------


def pytorch_examples(arrays: Arrays) -> Plan | None:
    """`main.0`, `main.3` ...: pytorch/examples and its descendants.

    A last kernel of one pixel has the padding that cuts 32 px to MNIST's 28 if images are grey.
    """
    numbers = sorted(
        int(match[1]) for name in arrays if (match := re.fullmatch(r"main\.(\d+)\.weight", name))
    )
    linear = [n for n in numbers if arrays[f"main.{n}.weight"].ndim == 4]
    if (
        not linear
        or linear[0] != 0
        or any(f"main.{n + 1}.weight" not in arrays for n in linear[:-1])
    ):
        return None
    last = arrays[f"main.{linear[-1]}.weight"]
    end = (1, 2 if last.shape[1] == 1 else 0) if last.shape[2] == 1 else (2, 1)
    middle = [Step(f"main.{n}", f"main.{n + 1}", "relu", 2, 1) for n in linear[1:-1]]
    final = Step(f"main.{linear[-1]}", None, "tanh", *end)
    return Plan((Step("main.0", "main.1", "relu"), *middle, final))


def gan_zoo(arrays: Arrays) -> Plan | None:
    """`formatLayer`, `main.convTranspose1` ..., `main.outlayer`: pytorch_GAN_zoo."""
    if "formatLayer.weight" not in arrays or "main.outlayer.weight" not in arrays:
        return None
    depth = sum(f"main.convTranspose{i}.weight" in arrays for i in range(1, 16))
    middle = [
        Step(f"main.convTranspose{i}", f"main.batchNorm{i}", "relu", 2, 1)
        for i in range(1, depth + 1)
    ]
    first = Step("formatLayer", "main.batchNorm0", "relu")
    return Plan((first, *middle, Step("main.outlayer", None, "tanh", 2, 1)))


def wasserstein(arrays: Arrays) -> Plan | None:
    """`main.initial:100-512:convt`, `main.pyramid:...`, `main.final:...`: WassersteinGAN."""
    convs = [
        n.removesuffix(".weight")
        for n in arrays
        if re.fullmatch(r"main\..*:(convt|conv)\.weight", n)
    ]
    if (
        not convs
        or not convs[0].startswith("main.initial:")
        or not convs[-1].startswith("main.final:")
    ):
        return None
    steps: list[Step] = []
    for name in convs:
        stage, sizes, kind = name.split(":")
        if kind != "convt":
            raise UnsafeFileError(f"{name}: extra convolutions are not built; allowed: convt")
        out = sizes.split("-")[1]
        norm = None if stage == "main.final" else f"{stage}:{out}:batchnorm"
        geometry = (1, 0) if stage == "main.initial" else (2, 1)
        steps.append(Step(name, norm, "relu" if norm else "tanh", *geometry))
    return Plan(tuple(steps))


def gradient_penalty(arrays: Arrays) -> Plan | None:
    """`preprocess.0`, `block1.0`, `block2.0`, `deconv_out`: caogang/wgan-gp, CIFAR or MNIST."""
    if "preprocess.0.weight" not in arrays or "deconv_out.weight" not in arrays:
        return None
    if "preprocess.1.weight" in arrays:
        blocks = [Step(f"block{i}.0", f"block{i}.1", "relu", 2) for i in (1, 2)]
        first, last = Step("preprocess.0", "preprocess.1", "relu", side=4), "tanh"
    else:
        blocks = [Step("block1.0", None, "relu", side=7), Step("block2.0", None, "relu")]
        first, last = Step("preprocess.0", None, "relu", side=4), "sigmoid"
    return Plan((first, *blocks, Step("deconv_out", None, last, 2)))


def perceptron(arrays: Arrays) -> Plan | None:
    """`0`, `2`, `4` ...: dense layers with ReLU between them, to square grey images."""
    if {name.partition(".")[2] for name in arrays} != {"weight", "bias"}:
        return None
    numbers = [name.removesuffix(".weight") for name in arrays if name.endswith(".weight")]
    pixels = arrays[f"{numbers[-1]}.weight"].shape[0]
    side = round(pixels**0.5)
    if numbers != [str(2 * i) for i in range(len(numbers))] or side * side != pixels:
        return None
    hidden = [Step(number, None, "relu") for number in numbers[:-1]]
    return Plan((*hidden, Step(numbers[-1], None, "tanh", side=side)))


def face_generator(arrays: Arrays) -> Plan | None:
    """`generator_deconv.0.0` ...: fletchersarip93/face-generator, 32 px; z uniform on [-1, 1]."""
    names = [f"generator_deconv.{i}" for i in range(5)]
    if any(f"{name}.0.weight" not in arrays for name in names):
        return None
    first = Step(f"{names[0]}.0", f"{names[0]}.1", "none")
    flat = Step(f"{names[1]}.0", f"{names[1]}.1", "leaky_relu", 1, 1, kind="conv")
    middle = [Step(f"{name}.0", f"{name}.1", "leaky_relu", 2, 1) for name in names[2:4]]
    return Plan((first, flat, *middle, Step(f"{names[4]}.0", None, "tanh", 2, 1)), "uniform")


def digit_generator(arrays: Arrays) -> Plan | None:
    """`gen.0.0` ... `gen.3.0`: the 28-px WGAN-GP of courses and tutorials."""
    held = [arrays[name] for i in range(4) if (name := f"gen.{i}.0.weight") in arrays]
    if [weight.shape[2:] for weight in held] != [(3, 3), (4, 4), (3, 3), (4, 4)]:
        return None
    strides = (2, 1, 2)
    hidden = [Step(f"gen.{i}.0", f"gen.{i}.1", "relu", n) for i, n in enumerate(strides)]
    return Plan((*hidden, Step("gen.3.0", None, "tanh", 2)))


def self_attention(arrays: Arrays) -> Plan | None:
    """`l1.0.module` ... `l4`, `attn1`, `attn2`, `last`: heykeetae/Self-Attention-GAN, 64 px."""
    if "l1.0.module.weight_bar" not in arrays or "attn1.gamma" not in arrays:
        return None
    first = Step("l1.0.module", "l1.1", "relu")
    ups = [Step(f"l{i}.0.module", f"l{i}.1", "relu", 2, 1) for i in (2, 3, 4)]
    looks = [Step(f"attn{i}", None, "none", kind="attend") for i in (1, 2)]
    return Plan((first, *ups[:2], looks[0], ups[2], looks[1], Step("last.0", None, "tanh", 2, 1)))


READERS: dict[str, Callable[[Arrays], Plan | None]] = {
    "DCGAN, face-generator": face_generator,
    "WGAN-GP, digits": digit_generator,
    "DCGAN, pytorch/examples": pytorch_examples,
    "DCGAN, pytorch_GAN_zoo": gan_zoo,
    "DCGAN, WassersteinGAN": wasserstein,
    "WGAN-GP, caogang": gradient_penalty,
    "GAN of dense layers": perceptron,
    "SAGAN, heykeetae": self_attention,
}
