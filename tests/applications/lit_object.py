"""A generator that turns and relights one object of known depth: the truth for shapes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.generators.base import Generator, StepRange, missing_capability
from jaxinv.nn.depth_maps import Scene, draw
from jaxinv.nn.resample import area_reduce
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Array, Key, Params, State
from tests.tiny import Pair

SIDE, DIM = 32, 4  # pitch, yaw, and where the light comes from
SPEC = GeneratorSpec(
    name="lit", architecture="lit", resolution=SIDE, z_dim=DIM, w_dim=DIM, rows=2, styles=(DIM,)
)


def true_depth() -> np.ndarray:
    """A tall ellipsoid beside a small one: neither is where a search starts."""
    places = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = np.meshgrid(places, places)
    tall = np.maximum(1 - ((x + 0.1) / 0.5) ** 2 - (y / 0.85) ** 2, 0) ** 0.5
    nose = np.maximum(1 - ((x + 0.1) / 0.15) ** 2 - ((y - 0.1) / 0.3) ** 2, 0)
    return (1.03 - 0.08 * tall - 0.03 * nose).astype(np.float32)


def true_albedo() -> np.ndarray:
    """Smooth spots of colour."""
    draws = np.random.default_rng(3).uniform(-0.6, 0.4, (8, 8, 3))
    return np.asarray(jax.image.resize(jnp.asarray(draws, jnp.float32), (SIDE, SIDE, 3), "cubic"))


@lru_cache
def lit_object() -> Pair:
    """The generator and its parameters: w = z are its factors in a random orthogonal mix."""
    gen = Generator(
        spec=SPEC,
        steps=("object",),
        init=_params,
        map=lambda params, z: z @ params["mapping"]["mix"],
        affine=lambda params, w: (w.mean(0) @ params["synthesis"]["factors"],),
        embed=missing_capability(SPEC, "class embedding"),
        run=_run,
        stored_noise=lambda params: (),
    )
    return gen, _params(jax.random.key(0))


def _params(key: Key) -> Params:
    draws = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    mix = np.linalg.qr(draws.standard_normal((DIM, DIM)))[0]
    return {
        "mapping": {"mix": jnp.eye(DIM)},
        "synthesis": {
            "factors": jnp.asarray(mix, jnp.float32),
            "depth": jnp.asarray(true_depth()),
            "albedo": jnp.asarray(true_albedo()),
        },
    }


def _run(params: Params, s: tuple[Array, ...], noise: Any, state: State, part: StepRange) -> Any:
    del noise
    if part.first == 0 and part.last != 0:
        tree, (pitch, yaw, right, down) = params["synthesis"], s[0]
        view = jnp.stack([0.15 * pitch, 0.3 * yaw, *[jnp.zeros(())] * 4])
        light = jnp.stack([jnp.asarray(0.6), jnp.asarray(0.4), 0.4 * right, 0.4 * down])
        state = {"x": draw(Scene(tree["depth"], tree["albedo"], view, light), SIDE)[0]}
    return area_reduce(state["x"], part.size) if part.last is None else state
