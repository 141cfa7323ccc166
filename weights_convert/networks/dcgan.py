"""DCGAN, WGAN, WGAN-GP and perceptron networks from bare torch state dicts.

No file says how its layers are applied, but names and kernel sizes do: each recogniser below knows
one code that writes such names.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from weights_convert.networks.chains import Arrays, Plan, Step


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
    """`main.initial:100-512:convt`, `main.pyramid:...`, `main.final:...`: WassersteinGAN.

    Between the pyramid and the end there may be `main.extra-layers-0:64:conv` and so on.
    """
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
        out = sizes.rpartition("-")[2]
        norm = None if stage == "main.final" else f"{stage}:{out}:batchnorm"
        # Extra layers, if any, keep the resolution.
        geometry = (1, 0) if stage == "main.initial" else (2, 1) if kind == "convt" else (1, 1)
        way = "up" if kind == "convt" else "conv"
        steps.append(Step(name, norm, "relu" if norm else "tanh", *geometry, kind=way))
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


# --- discriminators -------------------------------------------------------------------------------


def face_discriminator(arrays: Arrays) -> tuple[Step, ...] | None:
    """`discriminator.0.0` ... `discriminator.5`: fletchersarip93/face-generator, 32 px."""
    names = [f"discriminator.{i}" for i in range(4)]
    if "discriminator.5.weight" not in arrays or f"{names[3]}.0.weight" not in arrays:
        return None
    first = Step(f"{names[0]}.0", None, "leaky_relu", 2, 1, kind="conv")
    middle = [_halving(f"{name}.0", f"{name}.1") for name in names[1:]]
    return (first, *middle, Step("discriminator.5", None, "none", cells=2))


def digit_critic(arrays: Arrays) -> tuple[Step, ...] | None:
    """`crit.0.0` ... `crit.2.0`: the critic of the 28-px WGAN-GP of courses and tutorials."""
    if any(f"crit.{i}.0.weight" not in arrays for i in range(3)):
        return None
    hidden = [Step(f"crit.{i}.0", f"crit.{i}.1", "leaky_relu", 2, kind="conv") for i in (0, 1)]
    return (*hidden, Step("crit.2.0", None, "none", 2, kind="conv"))


def pytorch_examples_discriminator(arrays: Arrays) -> tuple[Step, ...] | None:
    """`main.0`, `main.2`, `main.3` (a norm) ...: netD of pytorch/examples."""
    numbers = [n for n in range(40) if getattr(arrays.get(f"main.{n}.weight"), "ndim", 0) == 4]
    if len(numbers) < 3 or numbers[:2] != [0, 2] or "main.1.weight" in arrays:
        return None
    first = Step("main.0", None, "leaky_relu", 2, 1, kind="conv")
    middle = [_halving(f"main.{n}", f"main.{n + 1}") for n in numbers[1:-1]]
    return (first, *middle, Step(f"main.{numbers[-1]}", None, "none", kind="conv"))


def self_attention_discriminator(arrays: Arrays) -> tuple[Step, ...] | None:
    """`l1.0.module` ... `l4`, `attn1`, `attn2`, `last`: heykeetae/Self-Attention-GAN, 64 px."""
    if "l1.0.module.weight_bar" not in arrays or "l1.1.weight" in arrays:
        return None
    convs = [
        Step(f"l{i}.0.module", None, "leaky_relu", 2, 1, kind="conv", slope=0.1)
        for i in range(1, 5)
    ]
    looks = [Step(f"attn{i}", None, "none", kind="attend") for i in (1, 2)]
    last = Step("last.0", None, "none", kind="conv")
    return (*convs[:3], looks[0], convs[3], looks[1], last)


def _halving(linear: str, norm: str) -> Step:
    return Step(linear, norm, "leaky_relu", 2, 1, kind="conv")


JUDGES: tuple[Callable[[Arrays], tuple[Step, ...] | None], ...] = (
    face_discriminator,
    digit_critic,
    pytorch_examples_discriminator,
    self_attention_discriminator,
)
