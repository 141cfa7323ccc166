"""The discriminators of BigGAN, BigGAN-deep (Brock et al. 2019, arXiv:1809.11096), SAGAN and YLG.

Residual blocks from the image down to 4 px; the score comes from the sum over all pixels and from
its product with the vector of a class (Miyato & Koyama 2018, arXiv:1802.05637). Spectral norms are
folded into the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.discriminators.base import Discriminator, discriminator
from jaxinv.nn.conv import Conv
from jaxinv.nn.linear import Linear
from jaxinv.nn.local_attention import attention
from jaxinv.nn.module import Module
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State


class Block(NamedTuple):
    """Channels in, between and out, and whether the resolution is halved."""

    inside: int
    middle: int
    outside: int
    down: bool


class Plan(NamedTuple):
    """Facts of a network.

    `deep`: blocks of BigGAN-deep, behind a convolution of the image. `attention`: the blocks after
    which it stands; `local`: it is sparse and in eight heads (YLG).
    """

    deep: bool
    blocks: tuple[Block, ...]
    attention: tuple[int, ...]
    local: bool

    @property
    def steps(self) -> tuple[str, ...]:
        """The convolution of the image, if any, then blocks and attentions."""
        names = ["image"] if self.deep else []
        for index in range(len(self.blocks)):
            looks = [f"attention{index}"] if index in self.attention else []
            names += [f"block{index}", *looks]
        return tuple(names)


class Wide(Module):
    """Two convolutions and a pointwise shortcut; `first`: the image comes in, not ReLU'd."""

    plan: Block
    first: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, inside] -> [h', w', outside]."""
        inside, middle, outside, down = self.plan
        y = Conv(middle, name="conv1")(x if self.first else jax.nn.relu(x))
        # Halving by an average is one convolution of 4x4.
        last = Conv(outside, 4, 2, name="conv2") if down else Conv(outside, name="conv2")
        y = last(jax.nn.relu(y))
        around = _halved(x) if down else x
        return y + (Linear(outside, name="skip")(around) if down or inside != outside else around)


class Deep(Module):
    """Four convolutions with a narrow middle; the shortcut keeps x and adds what is missing."""

    plan: Block
    first: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, inside] -> [h', w', outside]."""
        inside, middle, outside, down = self.plan
        y = Linear(middle, name="conv1")(jax.nn.relu(x))
        y = Conv(middle, name="conv2")(jax.nn.relu(y))
        y = jax.nn.relu(Conv(middle, name="conv3")(jax.nn.relu(y)))
        y = Linear(outside, name="conv4")(_halved(y) if down else y)
        around = _halved(x) if down else x
        if inside != outside:
            more = Linear(outside - inside, name="skip")(around)
            around = jnp.concatenate([around, more], axis=-1)
        return y + around


def _halved(x: Array) -> Array:
    return area_reduce(x, x.shape[0] // 2)


class Residual(Module):
    """(image, class) -> score."""

    plan: Plan
    labels: int

    @property
    def steps(self) -> tuple[str, ...]:
        """See the plan."""
        return self.plan.steps

    def setup(self) -> None:
        plan, kind = self.plan, Deep if self.plan.deep else Wide
        parts: dict[str, Any] = {}
        if plan.deep:
            parts["image"] = Conv(plan.blocks[0].inside, name="image")
        for index, block in enumerate(plan.blocks):
            parts[f"block{index}"] = kind(block, index == 0, name=f"block{index}")
        for index in plan.attention:
            parts[f"attention{index}"] = attention(plan.local, f"attention{index}")
        self.parts = parts
        self.out = Linear(1)
        shape = (self.labels, plan.blocks[-1].outside)
        self.classes = self.param("classes", nn.initializers.normal(), shape)

    def step(self, index: int, x: Array) -> State:
        """Image or features -> {"x": [h, w, channels]}, "attention" [pixels, keys] behind one.

        YLG's has one more axis before those, of its eight heads.
        """
        name = self.steps[index]
        if name.startswith("attention"):
            x, weights = self.parts[name](x)
            return {"x": x, "attention": weights}
        return {"x": self.parts[name](x)}

    def score_features(self, x: Array, deviation: Array, label: Array | None) -> Array:
        """[h, w, channels] and a class [classes], or any mixture of them -> score."""
        del deviation
        if label is None:
            raise ValueError("a conditional discriminator needs labels [n, classes]")
        summed = jnp.sum(jax.nn.relu(x), axis=(0, 1))
        return self.out(summed)[0] + (label @ self.classes) @ summed


def build(spec: GeneratorSpec) -> Discriminator:
    """The discriminator of a `spec` whose fact "discriminator" is "residual" and a plan."""
    _, deep, blocks, looks, local = dict(spec.facts)["discriminator"]
    plan = Plan(deep, tuple(Block(*fields) for fields in blocks), looks, local)
    image = (spec.resolution, spec.resolution, 3)
    return discriminator(Residual(plan, spec.labels), image, labels=spec.labels)
