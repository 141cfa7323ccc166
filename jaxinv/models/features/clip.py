"""CLIP: pictures and texts in one space (Radford et al. 2021); transformers and residual nets.

All sizes are those of the arrays: heads have 64 channels, the side of the picture follows from the
table of positions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.models.features.named_layers import Layers, Net, Shapes, Taps, apply, initialiser, unit
from jaxinv.models.features.resnet import stages
from jaxinv.nn.attention import many_headed
from jaxinv.nn.pool import average_pool

if TYPE_CHECKING:
    from jaxinv.types import Array

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
HEAD = 64  # channels of a head


class Clip(Layers):
    """Embeds a picture by `picture`, a text by `text`."""

    def __call__(self, image: Array, ids: Array) -> tuple[Taps, Array]:
        """Both, for the initialiser: a prepared picture [s, s, 3] and ids [n]."""
        return self.picture(image), self.text(ids)

    @nn.compact
    def picture(self, x: Array) -> Taps:
        """A prepared picture [s, s, 3] -> "vector", "embedding" (its direction), "logit_scale".

        A transformer gives "patches" [n, c] too, a residual net "layer1".."layer4".
        """
        transforms = any(name == "visual.proj" for name, _ in self.shapes)
        taps = self.transformed(x) if transforms else self.convolved(x)
        scale = jnp.exp(self.array("logit_scale"))
        return taps | {"embedding": unit(taps["vector"]), "logit_scale": scale}

    def transformed(self, x: Array) -> Taps:
        """The vision transformer: one more token stands for the picture."""
        patch = self.shape("visual.conv1/kernel")[0]
        patches = self.conv("visual.conv1", x, patch, padded=False)
        patches = patches.reshape(-1, patches.shape[-1])
        tokens = jnp.concatenate([self.array("visual.class_embedding")[None], patches])
        tokens = self.norm("visual.ln_pre", tokens + self.array("visual.positional_embedding"))
        tokens = self.blocks("visual.transformer.resblocks", tokens)
        vector = self.norm("visual.ln_post", tokens[0]) @ self.array("visual.proj")
        return {"vector": vector, "patches": patches}

    def convolved(self, x: Array) -> Taps:
        """The residual net: three convolutions, four stages, and attention in place of a mean."""
        for index in (1, 2, 3):
            x = self.relu(f"visual.conv{index}", x, 2 if index == 1 else 1)
        found = stages(self, "visual.", average_pool(x, 2, 2), pooled=True)
        pixels = found[-1].reshape(-1, found[-1].shape[-1])
        tokens = jnp.concatenate([pixels.mean(0, keepdims=True), pixels])
        tokens = tokens + self.array("visual.attnpool.positional_embedding")
        query, key, value = (
            self.dense(f"visual.attnpool.{kind}_proj", part)
            for kind, part in (("q", tokens[:1]), ("k", tokens), ("v", tokens))
        )
        seen = many_headed(query, key, value, query.shape[-1] // HEAD)
        vector = self.dense("visual.attnpool.c_proj", seen[0])
        return {"vector": vector, **{f"layer{i}": y for i, y in enumerate(found, start=1)}}

    @nn.compact
    def text(self, ids: Array) -> Array:
        """Ids [n] of a text -> its vector, not normalised.

        It is that of the token with the largest id, which ends the text.
        """
        tokens = self.array("token_embedding")[ids]
        tokens = tokens + self.array("positional_embedding")[: len(ids)]
        later = jnp.arange(len(ids))[:, None] < jnp.arange(len(ids))
        tokens = self.blocks("transformer.resblocks", tokens, jnp.where(later, -jnp.inf, 0.0))
        last = self.norm("ln_final", tokens)[jnp.argmax(ids)]
        return last @ self.array("text_projection")

    def blocks(self, group: str, x: Array, mask: Array | None = None) -> Array:
        """All blocks of a transformer on tokens [n, c]."""
        for index in range(self.count(group)):
            name = f"{group}.{index}"
            parts = jnp.split(
                self.dense(f"{name}.attn.in_proj", self.norm(f"{name}.ln_1", x)), 3, -1
            )
            seen = many_headed(*parts, x.shape[-1] // HEAD, mask)
            x = x + self.dense(f"{name}.attn.out_proj", seen)
            wide = self.dense(f"{name}.mlp.c_fc", self.norm(f"{name}.ln_2", x))
            x = x + self.dense(f"{name}.mlp.c_proj", wide * jax.nn.sigmoid(1.702 * wide))
        return x


def side(shapes: Shapes) -> int:
    """The side in px of the pictures that a CLIP of these arrays takes."""
    known = dict(shapes)
    table = "visual.positional_embedding", "visual.attnpool.positional_embedding"
    rows = next(known[name][0] for name in table if name in known)
    cell = known["visual.conv1/kernel"][0] if table[0] in known else 32
    return round((rows - 1) ** 0.5) * cell


def clip_input(image: Array, size: int) -> Array:
    """A picture [h, w, 3] in [-1, 1] at `size` px: its centre, bicubic, CLIP's mean taken out.

    The shorter side is brought to the size, smoothed where it shrinks. The published code rounds to
    8 bits on the way, see `jaxinv.io.published_resizes`.
    """
    height, width = image.shape[:2]
    rows, columns = (int(size * n / min(height, width)) for n in (height, width))
    shape = (rows, columns, 3)
    x = jax.image.resize(image, shape, "cubic", precision=jax.lax.Precision.HIGHEST)
    top, left = round((rows - size) / 2), round((columns - size) / 2)
    return scaled((jnp.clip(x[top : top + size, left : left + size], -1, 1) + 1) / 2)


def scaled(at_one: Array) -> Array:
    """A picture in [0, 1], with CLIP's mean and deviation taken out."""
    return (at_one - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)


def build(shapes: Shapes) -> Net:
    """The net of these arrays; ids of texts are those of `ClipTokenizer`.

    A picture suits a text as the product of their directions, times `logit_scale` for logits.
    """
    module, size = Clip(shapes), side(shapes)
    known = dict(shapes)
    ends = ("visual.proj", "visual.attnpool.c_proj/kernel"), ("text_projection",)
    seen, said = (next(known[n][-1] for n in names if n in known) for names in ends)
    if seen != said:
        raise ValueError(f"pictures of {seen} numbers, texts of {said}; allowed: one space")
    words = known["positional_embedding"][0]
    init = initialiser(module, ((size, size, 3), jnp.float32), ((words,), jnp.int32))
    return Net(
        "clip",
        "embedding",
        partial(clip_input, size=size),
        init,
        partial(apply, module, method=Clip.picture),
        partial(apply, module, method=Clip.text),
    )
