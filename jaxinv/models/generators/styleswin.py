"""StyleSwin (Zhang et al. 2022, arXiv:2112.10762): a StyleGAN of transformer blocks.

Half of the heads look inside windows, half inside shifted ones; styles scale and shift normalised
features. After the two blocks of a stage the resolution doubles and an image is added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.generators import base
from jaxinv.nn.linear import Linear
from jaxinv.nn.mapping import mapping_of
from jaxinv.nn.module import Module
from jaxinv.nn.progressive import instance_norm
from jaxinv.nn.resample import area_reduce, blur_double
from jaxinv.nn.windows import WindowAttention

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, State

SIDE, EPSILON = 4, 1e-5


class Stage(NamedTuple):
    """Channels, heads, side of the windows, and hidden channels of the layers after attention."""

    width: int
    heads: int
    window: int
    hidden: int


class Modulation(Module):
    """Normalised features with the factors and shifts of a style."""

    channels: int

    def setup(self) -> None:
        self.style = Linear(2 * self.channels)

    def __call__(self, x: Array, style: Array) -> Array:
        """[h, w, c], [2c] -> [h, w, c]."""
        gain, shift = jnp.split(style, 2)
        return gain * instance_norm(x, EPSILON) + shift


class Block(Module):
    """Attention and two dense layers, each of modulated features and added to them."""

    stage: Stage
    shift: bool

    def setup(self) -> None:
        width, heads, window, hidden = self.stage
        self.norm1, self.norm2 = Modulation(width), Modulation(width)
        self.qkv, self.proj = Linear(3 * width), Linear(width)
        self.plain = WindowAttention(window, heads // 2, shift=False)
        self.shifted = WindowAttention(window, heads // 2, self.shift)
        self.fc0, self.fc1 = Linear(hidden), Linear(width)

    def __call__(self, x: Array, styles: tuple[Array, Array]) -> Array:
        """[h, w, c] -> [h, w, c]."""
        parts = jnp.split(self.qkv(self.norm1(x, styles[0])), 3, -1)
        halves = [jnp.split(part, 2, -1) for part in parts]
        seen = [
            look(*(half[index] for half in halves))
            for index, look in enumerate((self.plain, self.shifted))
        ]
        x = x + self.proj(jnp.concatenate(seen, -1))
        y = jax.nn.gelu(self.fc0(self.norm2(x, styles[1])), approximate=False)
        return x + self.fc1(y)


class Double(Module):
    """Twice the resolution: bilinear, normalised, a dense layer, and waves of the position."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[h, w, in] -> [2h, 2w, width]."""
        y = blur_double(x, "edge")
        y = nn.LayerNorm(epsilon=EPSILON, name="norm")(y)
        y = Linear(self.width, bias=False, name="reduction")(y)
        alpha = self.param("alpha", nn.initializers.zeros, ())
        return y + alpha * position_waves(y.shape)


def position_waves(shape: tuple[int, ...]) -> np.ndarray:
    """Sines, then cosines, of the column in the first half of the channels, of the row in the rest.

    [h, w, c], counted from 1 (Vaswani et al. 2017, section 3.5).
    """
    height, width, channels = shape
    count = channels // 4
    rates = np.exp(-np.arange(count) * np.log(1e4) / max(count - 1, 1))
    angles = [np.arange(1, length + 1)[:, None] * rates for length in (width, height)]
    across, down = (np.concatenate([np.sin(a), np.cos(a)], -1) for a in angles)
    parts = [
        np.broadcast_to(across[None], (height, width, 2 * count)),
        np.broadcast_to(down[:, None], (height, width, 2 * count)),
    ]
    return np.concatenate(parts, -1).astype(np.float32)


class Synthesis(Module):
    """Styles -> image."""

    stages: tuple[Stage, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """The two blocks of every stage, then its doubling and its image."""
        kinds = ("block0", "block1", "image")
        return tuple(f"b{SIDE << i}_{kind}" for i in range(len(self.stages)) for kind in kinds)

    def setup(self) -> None:
        shape = (SIDE, SIDE, self.stages[0].width)
        self.const = self.param("const", nn.initializers.normal(), shape)
        parts: dict[str, Any] = {}
        for index, stage in enumerate(self.stages):
            name, side = f"b{SIDE << index}", SIDE << index
            for number in (0, 1):
                own = f"{name}_block{number}"
                parts[own] = Block(stage, side > stage.window, name=own)
            if index + 1 < len(self.stages):
                parts[f"{name}_up"] = Double(self.stages[index + 1].width, name=f"{name}_up")
            parts[f"{name}_image"] = Linear(3, name=f"{name}_image")
        self.parts = parts

    def affine(self, w: Array) -> tuple[Array, ...]:
        """W+ [rows, w_dim] -> two styles of every block, factors before shifts."""
        blocks = [self.parts[name] for name in self.steps if "block" in name]
        pairs = zip(blocks, w, strict=True)
        return tuple(norm.style(row) for b, row in pairs for norm in (b.norm1, b.norm2))

    def step(self, index: int, state: State, s: tuple[Array, ...], noise: Any) -> State:
        """One block, or a doubling with its image: {"x": [h, w, channels], "image": the sum}."""
        del noise
        stage, kind = divmod(index, 3)
        x = state.get("x", self.const)
        name = f"b{SIDE << stage}"
        if kind < 2:
            first = 4 * stage + 2 * kind
            return {**state, "x": self.parts[self.steps[index]](x, s[first : first + 2])}
        last = stage + 1 == len(self.stages)
        x = x if last else self.parts[f"{name}_up"](x)
        image = self.parts[f"{name}_image"](x)
        if stage:
            image = image + (state["image"] if last else blur_double(state["image"]))
        return {"x": x, "image": image}

    def finish(self, state: State, s: tuple[Array, ...], size: int) -> Array:
        """-> image [size, size, 3] in about [-1, 1]."""
        del s
        return area_reduce(state["image"], size)


def build(spec: GeneratorSpec) -> base.Generator:
    """The generator of a `spec` whose fact "stages" lists them."""
    synthesis = Synthesis(tuple(Stage(*fields) for fields in dict(spec.facts)["stages"]))
    code = jnp.ones((spec.rows, spec.w_dim))
    return base.from_w(spec, mapping_of(spec), base.Synthesis(synthesis, code))
