"""Checkpoints of published widths with random weights, laid out as other code writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxinv.io.files import atomic_write
from jaxinv.models.loading import build
from jaxinv.runs.doctor import random_params
from tests import published
from weights_convert.networks import stylegan2 as rules
from weights_convert.writers import torch_files

Named = Iterator[tuple[str, np.ndarray]]
CHANNEL, CONDITION, LOOK, TRUNCATIONS = 128, 256, 8, 51


def stylegan2(path: str) -> None:
    """Config-f at 1024 px, as rosinality's converter leaves it."""
    spec = published.stylegan2("config-f", 1024, 32768)
    params = random_params(build(spec))
    params["mapping"]["average"] = np.zeros(spec.w_dim, np.float32)
    arrays = rules.export(params, spec, rules.ROSINALITY)
    average = arrays.pop(rules.ROSINALITY.average)
    tree = {"g_ema": arrays, "latent_avg": average}
    atomic_write(path, lambda handle: torch_files.write(tree, handle))


def biggan_deep(path: str) -> None:
    """BigGAN-deep at 512 px, as HuggingFace's port stores it, with its config.json."""
    blocks = dict(published.biggan_deep(512).facts)["blocks"]
    arrays = dict(Port(np.random.default_rng(0)).network(blocks))
    atomic_write(path, lambda handle: torch_files.write(arrays, handle))
    config = {
        "layers": [[up, inside // CHANNEL, out // CHANNEL] for inside, out, up in blocks],
        "attention_layer_position": LOOK,
        "eps": 1e-4,
    }
    Path(path).with_name("config.json").write_text(json.dumps(config), "utf-8")


class Port:
    """Random arrays under the port's names."""

    def __init__(self, draws: np.random.Generator) -> None:
        self.draws = draws

    def network(self, blocks: tuple) -> Named:
        yield "embeddings.weight", self.normal(CONDITION // 2, published.CLASSES)
        yield from self.weighted("generator.gen_z", (16 * blocks[0][0], CONDITION))
        for index, (inside, out, _) in enumerate(blocks):
            if index == LOOK:
                yield from self.attention(f"generator.layers.{LOOK}", inside)
            yield from self.block(f"generator.layers.{index + (index >= LOOK)}", inside, out)
        yield from self.statistics("generator.bn", CHANNEL)
        yield "generator.bn.weight", np.ones(CHANNEL, np.float32)
        yield "generator.bn.bias", np.zeros(CHANNEL, np.float32)
        yield from self.weighted("generator.conv_to_rgb", (CHANNEL, CHANNEL, 3, 3))

    def block(self, base: str, inside: int, out: int) -> Named:
        middle = inside // 4
        sizes = ((inside, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, out, 1))
        for index, (before, after, size) in enumerate(sizes):
            norm = f"{base}.bn_{index}"
            yield from self.statistics(norm, before)
            for part in ("scale", "offset"):
                yield from self.weighted(f"{norm}.{part}", (before, CONDITION), bias=False)
            yield from self.weighted(f"{base}.conv_{index}", (after, before, size, size))

    def attention(self, base: str, width: int) -> Named:
        narrow = {"theta": width // 8, "phi": width // 8, "g": width // 2}
        for name, out in narrow.items():
            yield from self.weighted(f"{base}.snconv1x1_{name}", (out, width, 1, 1), bias=False)
        shape = (width, width // 2, 1, 1)
        yield from self.weighted(f"{base}.snconv1x1_o_conv", shape, bias=False)
        yield f"{base}.gamma", np.ones(1, np.float32)

    def statistics(self, base: str, width: int) -> Named:
        yield f"{base}.running_means", np.zeros((TRUNCATIONS, width), np.float32)
        yield f"{base}.running_vars", np.ones((TRUNCATIONS, width), np.float32)

    def weighted(self, base: str, shape: tuple[int, ...], *, bias: bool = True) -> Named:
        """A weight with the two vectors of its spectral norm after one step."""
        weight = self.normal(*shape)
        matrix, u = weight.reshape(shape[0], -1), self.normal(shape[0])
        v = unit(matrix.T @ u)
        yield f"{base}.weight_orig", weight
        yield f"{base}.weight_u", unit(matrix @ v)
        yield f"{base}.weight_v", v
        if bias:
            yield f"{base}.bias", np.zeros(shape[0], np.float32)

    def normal(self, *shape: int) -> np.ndarray:
        return self.draws.standard_normal(shape, np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)
