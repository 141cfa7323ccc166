"""The discriminators of PGGAN and of all StyleGANs (Karras et al. 2018, 2019, 2020, 2021).

From the full resolution down to 4 px: two convolutions per resolution, the second of which halves
it. StyleGAN2's blocks have a shortcut. Gains are folded into the weights.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxinv.models.discriminators.base import Discriminator, discriminator
from jaxinv.nn.conv import BACKWARD_KERNELS, Geometry, conv
from jaxinv.nn.linear import Linear, clamped, leaky_relu
from jaxinv.nn.mapping import Mapping
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import smooth
from jaxinv.nn.resample import area_reduce, blur

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State


class Plan(NamedTuple):
    """Facts of a network; `widths` are the channels at 4, 8 ... px.

    `kind`: "pooled" (PGGAN, which averages after the activation), "plain" (fused PGGAN, which does
    before it), "smooth" (the first StyleGAN, which smooths first as well) or "residual"
    (StyleGAN2). `outputs` of the last layer; the score is their product with the class ("label"),
    with its mapping of `mapping` layers ("embed"), or the first of them ("none").
    """

    kind: str
    widths: tuple[int, ...]
    group: int
    clamp: float | None
    outputs: int
    label: str
    mapping: int
    label_width: int


class Convolution(Module):
    """3x3 convolution, bias, leaky ReLU; one that halves averages after it, or blurs before it."""

    channels: tuple[int, int]
    half: str  # "", or the plan's kind
    clamp: float | None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h, w, out] or [h/2, w/2, out]."""
        # Halving by an average is one convolution of 4x4.
        side = 4 if self.half in ("plain", "smooth") else 3
        shape = (side, side, *self.channels)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        if self.half == "smooth":
            x = smooth(x)
        elif self.half == "residual":
            x = blur(x, 2)
        strided = self.half not in ("", "pooled")
        geometry = Geometry(2, int(side == 4)) if strided else Geometry()
        y = conv(x, kernel, self.get_variable(BACKWARD_KERNELS, "backward"), geometry)
        bias = self.param("bias", nn.initializers.zeros, self.channels[1:])
        y = clamped(leaky_relu(y + bias), self.clamp)
        return area_reduce(y, y.shape[0] // 2) if self.half == "pooled" else y


class Block(Module):
    """Both convolutions of a resolution, and StyleGAN2's shortcut."""

    channels: tuple[int, int]
    plan: Plan

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [h/2, w/2, out]."""
        inside, outside = self.channels
        kind, clamp = self.plan.kind, self.plan.clamp
        y = Convolution((inside, inside), "", clamp, name="conv0")(x)
        if kind != "residual":
            return Convolution(self.channels, kind, clamp, name="conv1")(y)
        lower = clamp and clamp * 0.5**0.5
        y = Convolution(self.channels, kind, lower, name="conv1")(y)
        return y + Linear(outside, bias=False, name="skip")(blur(x)[::2, ::2])


class Progressive(Module):
    """Image -> score."""

    plan: Plan

    @property
    def steps(self) -> tuple[str, ...]:
        """From the image, then one per block, named by the resolution that comes in."""
        sides = [4 << i for i in range(len(self.plan.widths))]
        return ("image", *(f"b{side}" for side in sides[:0:-1]))

    def setup(self) -> None:
        plan, widths = self.plan, self.plan.widths[::-1]
        self.image = Linear(widths[0])
        self.blocks = [
            Block(pair, plan, name=name)
            for pair, name in zip(pairwise(widths), self.steps[1:], strict=True)
        ]
        last = widths[-1]
        self.conv = Convolution((last + 1, last), "", plan.clamp)
        self.dense = Linear(last)
        self.out = Linear(plan.outputs)
        if plan.label == "embed":
            self.mapping = Mapping(plan.outputs, plan.mapping, "embed", plan.label_width)

    def step(self, index: int, x: Array) -> State:
        """Image [r, r, 3], or features, -> {"x": features}."""
        if index:
            return {"x": self.blocks[index - 1](x)}
        return {"x": clamped(leaky_relu(self.image(x)), self.plan.clamp)}

    def score_features(self, x: Array, deviation: Array, label: Array | None) -> Array:
        """[4, 4, channels], how far the image differs from those beside it, its class -> score."""
        wide = jnp.broadcast_to(deviation, (4, 4, 1))
        x = self.conv(jnp.concatenate([x, wide], axis=-1))
        found = self.out(leaky_relu(self.dense(x.ravel())))
        if self.plan.label == "none":
            return found[0]
        if label is None:
            raise ValueError("a conditional discriminator needs labels [n, classes]")
        if self.plan.label == "label":
            return found @ label
        return found @ self.mapping(jnp.zeros(0), label) * self.plan.outputs**-0.5


def build(spec: GeneratorSpec) -> Discriminator:
    """The discriminator of a `spec` whose fact "discriminator" is a plan."""
    plan = Plan(*dict(spec.facts)["discriminator"][1:])
    image = (spec.resolution, spec.resolution, 3)
    return discriminator(Progressive(plan), image, group=plan.group, labels=spec.labels)
