"""Small encoders with random weights, for generators of the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders.base import Encoder
from jaxinv.encoders.networks import build
from jaxinv.models.loading import generator_hash
from jaxinv.runs.doctor import TINY
from jaxinv.specs.encoders import EncoderSpec
from jaxinv.types import Params
from tests.tiny import mobile

# Sees 32 px and gives W+ of the tiny generator, each row from the map that is its own.
LOOK = EncoderSpec(
    name="look",
    backbone="resnet-18",
    neck="fpn",
    head="map2style",
    side=32,
    rows=TINY.rows,
    width=TINY.w_dim,
    facts=(("groups", (3, 4)), ("units", (1, 1, 1, 1)), ("width", 4)),
)
DELTAS = replace(LOOK, name="deltas", head="deltas")
FEEDBACK = replace(
    LOOK,
    name="feedback",
    neck="none",
    planes=("image", "reconstruction"),
    passes=3,
    facts=LOOK.facts[1:],
)
CORRECTION = replace(FEEDBACK, name="correction", passes=1, base="before", before=LOOK)
TOLD = replace(LOOK, name="told", planes=("image", "attribute"), base="before", before=LOOK)
MASKED = replace(LOOK, name="masked", planes=("image", "mask"))
SKETCH = replace(LOOK, name="sketch", planes=("labels",), labels=1)


@lru_cache
def drawn(spec: EncoderSpec = LOOK) -> tuple[Encoder, Params]:
    """An encoder with random weights; all channels live, so that every layer shows."""
    encoder = build(spec)
    draws = np.random.default_rng(len(spec.name))

    def fill(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        n = draws.standard_normal(leaf.shape, np.float32)
        name = path[-1].key
        if name in ("scale", "variance"):
            return jnp.asarray(1 + 0.1 * np.abs(n))
        fan_in = 1.0 if spec.width == leaf.shape[0] == leaf.shape[-1] else np.prod(leaf.shape[:-1])
        scale = fan_in**-0.5 if name == "kernel" else 0.1
        return jnp.asarray(scale * n, jnp.float32)

    shapes = jax.eval_shape(encoder.init, jax.random.key(0))
    return encoder, jax.tree_util.tree_map_with_path(fill, shapes)


def owned(spec: EncoderSpec) -> EncoderSpec:
    """The same, made for the tiny generator."""
    before = None if spec.before is None else owned(spec.before)
    return replace(spec, generator=generator_hash(mobile()[1]), before=before)


def pictures(count: int, side: int = 32) -> np.ndarray:
    """Smooth random pictures."""
    coarse = np.random.default_rng(3).uniform(-1, 1, (count, 4, 4, 3)).astype(np.float32)
    return np.kron(coarse, np.ones((1, side // 4, side // 4, 1), np.float32))


def source_arrays(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A state dict of torch of which the converter makes these parameters."""
    parts = {"scale": "weight", "slope": "weight", "mean": "running_mean"}
    parts |= {"variance": "running_var", "bias": "bias"}
    found: dict[str, np.ndarray] = {}
    for branch in ("params", "batch_stats"):
        for layer, held in params[branch].items():
            for part, leaf in held.items():
                array = np.asarray(leaf)
                if part == "kernel":
                    array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
                found[f"{layer}.{parts.get(part, 'weight')}"] = np.ascontiguousarray(array)
            if branch == "batch_stats":
                found[f"{layer}.num_batches_tracked"] = np.asarray(1000)
    return found
