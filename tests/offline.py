"""Whole runs without a network: a tiny generator, feature nets of random weights, a preset."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxinv.io import checkpoints
from jaxinv.io.images import encode_png
from jaxinv.metrics import table
from jaxinv.metrics.perceptual import lpips
from jaxinv.models.features.backbones import NETS
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.presets import PRESETS
from jaxinv.runs.doctor import TINY
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from jaxinv.types import Params
from tests.tiny import mobile

SIDE = TINY.resolution
STEPS = 3
# Pixels only: a net in the objective would take most of the tests' time to compile.
PIXELS = Preset(
    "pixels",
    (Stage((Variable("w+", codec="whiten"),), (Term("mse"),), STEPS, SolverSpec("lbfgs")),),
    summary="pixels only",
    reference="none",
)


def go_offline(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Use the cache folder below `folder`, made if need be, and what `quicken` does; returns it."""
    patch.setenv("JAXINV_CACHE", str(offline_cache(folder)))
    quicken(patch)
    return offline_cache(folder)


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Add the preset; LPIPS at the images' own size: at 256 px VGG would take a second for each."""
    patch.setitem(PRESETS, PIXELS.name, PIXELS)
    patch.setattr(table, "lpips", partial(lpips, size=None))


def offline_cache(folder: Path) -> Path:
    """A cache folder below `folder` with "tiny", "alexnet" and "vgg16", made at the first call."""
    cache = folder / "offline-cache"
    if not cache.exists():
        save_weights(cache / "tiny.safetensors", tiny_params(), "generator", spec=asdict(TINY))
        for name in NETS:
            save_weights(cache / f"{name}.safetensors", random_net(name), "features")
    return cache


def tiny_params() -> Params:
    """Parameters of the tiny generator as a checkpoint holds them."""
    params = mobile()[1]
    return {name: params[name] for name in ("mapping", "synthesis")}


def random_net(name: str) -> Params:
    """Random weights in the shapes of a feature net; its heads are positive, as trained ones."""
    shapes = jax.eval_shape(NETS[name].init, jax.random.key(0))
    draws = np.random.default_rng(len(name))

    def fill(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if len(leaf.shape) == 1:
            return np.full(leaf.shape, 0.1, np.float32)
        scale = np.sqrt(2 / np.prod(leaf.shape[:3]))
        return scale * draws.standard_normal(leaf.shape, np.float32)

    return jax.tree.map(fill, {k: v for k, v in shapes.items() if k != BACKWARD_KERNELS})


def save_weights(path: Path, params: Params, kind: str, *, spec: dict | None = None) -> None:
    """A converted checkpoint as `jaxinv pull` leaves it."""
    facts = {"format": "jaxinv", "schema": "1", "kind": kind, "spec": json.dumps(spec or {})}
    checkpoints.save(path, params, facts | {"content_sha256": checkpoints.content_sha256(params)})


def photo(seed: int, side: int = SIDE) -> bytes:
    """A PNG file of smooth random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3))
    fine = np.kron(coarse, np.ones((side // 4, side // 4, 1)))
    return encode_png(fine.astype(np.uint8))


def write_photos(folder: Path, names: list[str], side: int = SIDE) -> Path:
    """Different photos under the given names; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        (folder / name).write_bytes(photo(seed, side))
    return folder


def read_results(out: Path) -> list[dict]:
    """The lines of results.jsonl as strict JSON: NaN and Infinity are refused."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    lines = (out / "results.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]
