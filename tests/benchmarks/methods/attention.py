"""YLG's claim, on a SAGAN of 32 px with random weights; no trained one is at hand."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.loading import build, load_generator
from jaxinv.models.rendering import render
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.presets import PRESETS
from tests.benchmarks.methods.claims import Claim, Found, decibels, search, spent, spread
from tests.tiny import Pair
from tests.weights import SHARED

FILE = SHARED / "fixtures" / "sagan-ajbrock" / "G_ema.pth"
WIDTH = 64  # the least that has a channel for each of eight heads
BLOCKS = tuple(
    (WIDTH if index else 3, WIDTH, WIDTH, down)
    for index, down in enumerate((True, True, True, False))
)
JUDGE = ("residual", False, BLOCKS, (0,), True)
COUNT, STARTS, STEPS = 8, 2, (40, 200)


@lru_cache
def sagan() -> Pair:
    """The generator of the fixture, and a discriminator that attends in YLG's eight heads."""
    from weights_convert import convert

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sagan.safetensors"
        convert(FILE, name="sagan", out=out, epsilon=1e-5)
        gen, params = load_generator(str(out))
    facts = {**dict(gen.spec.facts), "discriminator": JUDGE}
    gen = build(replace(gen.spec, facts=tuple(facts.items())))
    judge: Any = gen.discriminator
    draws = np.random.default_rng(4)

    def fill(leaf: jax.ShapeDtypeStruct) -> jnp.ndarray:
        scale = np.sqrt(2 / max(np.prod(leaf.shape[:-1]), 1))
        return jnp.asarray(scale * draws.standard_normal(leaf.shape), jnp.float32)

    shapes = jax.eval_shape(judge.init, jax.random.key(1))
    params = {**params, DISCRIMINATOR: jax.tree.map(fill, shapes)}
    return gen, {**params, BACKWARD_KERNELS: precompute_backward(params)}


def weighted_attention() -> Found:
    pair = sagan()
    labels = [number % pair[0].spec.labels for number in range(COUNT)]
    z = np.random.default_rng(7).standard_normal((COUNT, pair[0].spec.z_dim))
    classes = np.eye(pair[0].spec.labels)[labels]
    images = render(*pair, {"z": np.float32(z), "label": np.float32(classes)})
    told, holds, made = [], True, []
    for steps in STEPS:
        settings = {"labels": labels, "restarts": STARTS, "steps": steps}
        ends = [search(pair, images, PRESETS[name], **settings) for name in ("ylg", "ylg-uniform")]
        scores = [decibels(pair, found, images) for found in ends]
        better = int(np.sum(scores[0] > scores[1]))
        holds &= bool(np.mean(scores[0]) > np.mean(scores[1]))
        made.append(spent(ends[0]))
        told.append(
            f"weighted {spread(scores[0])}, uniform {spread(scores[1])}, "
            f"better for {better} of {COUNT}"
        )
    return Found(
        "; ".join(told), holds, " and ".join(made), f"{COUNT} own pictures of a random SAGAN"
    )


CLAIMS = (
    Claim(
        "ylg-attention", ("ylg", "ylg-uniform"), "Daras et al. 2020, section 5",
        "features weighted by the discriminator's attention invert better than by themselves",
        "higher PSNR after both budgets", weighted_attention,
        "the weights are random, so its attention picks nothing out; no trained SAGAN is at hand",
    ),
)  # fmt: skip
