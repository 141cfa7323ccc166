"""A small differentiable renderer with known factors, as a generator: the truth for discovery.

w = z, and a style is a factor: s = GAINS * (Q w), with Q a random orthogonal matrix. So the true
direction of factor i in z and w is the row i of Q, and in S it is channel i.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.generators.base import Generator, StepRange, missing_capability
from jaxinv.models.statistics import STATISTICS
from jaxinv.nn.resample import area_reduce
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Array, Key, Params, State
from tests.tiny import Pair

GEOMETRY = ("x", "y", "radius", "aspect", "angle")
COLOURS = ("hue", "brightness", "background")
FACTORS = (*GEOMETRY, *COLOURS)
GAINS = np.array([1.6, 1.4, 1.2, 1.1, 0.9, 1.0, 1.3, 0.8])
SIDE, DIM = 16, len(FACTORS)
SPEC = GeneratorSpec(
    name="renderer",
    architecture="renderer",
    resolution=SIDE,
    z_dim=DIM,
    w_dim=DIM,
    rows=2,
    styles=(len(GEOMETRY), len(COLOURS)),
)


@lru_cache
def renderer(seed: int = 0) -> Pair:
    """The generator and its parameters, mixed by the orthogonal matrix of a seed."""
    gen = Generator(
        spec=SPEC,
        steps=("mask", "paint"),
        init=_params,
        map=lambda params, z: z @ params["mapping"]["mix"],
        affine=_affine,
        embed=missing_capability(SPEC, "class embedding"),
        run=_run,
        stored_noise=lambda params: (),
    )
    params = _params(jax.random.key(seed))
    return gen, {**params, STATISTICS: {"mean": jnp.zeros(DIM)}}


def directions(pair: Pair) -> np.ndarray:
    """The true unit directions [factors, d] in w."""
    tree = pair[1]["synthesis"]
    rows = np.concatenate([tree["geometry"], tree["colours"]])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def factors(pair: Pair, w: np.ndarray) -> np.ndarray:
    """The factors [n, 8] of codes [n, d]."""
    return w @ directions(pair).T * GAINS


def likeness(pair: Pair, found: np.ndarray) -> np.ndarray:
    """|cosines| [k, factors] of directions [k, d] to the true ones."""
    found = found / np.linalg.norm(found, axis=-1, keepdims=True)
    return np.abs(found @ directions(pair).T)


def codes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def pictures(pair: Pair, w: np.ndarray) -> np.ndarray:
    """Images [n, 16, 16, 3] in [-1, 1] of codes in w."""
    return np.asarray(_drawn(pair[1], jnp.asarray(w)))


def shown(images: np.ndarray) -> dict[str, np.ndarray]:
    """What some factors look like, as numbers of images [n, 16, 16, 3]."""
    return {
        "background": images[:, 0, 0].mean(-1),  # a corner
        "brightness": images[:, 8, 8].mean(-1),  # the middle, always inside
        "hue": images[:, 8, 8, 2] - images[:, 8, 8, 1],
    }


@jax.jit
def _drawn(params: Params, w: Array) -> Array:
    gen = renderer()[0]
    return jax.vmap(lambda one: gen.synthesize(params, {"w": one}))(w)


def _params(key: Key) -> Params:
    draws = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    q = np.linalg.qr(draws.standard_normal((DIM, DIM)))[0] * GAINS[:, None]
    split = len(GEOMETRY)
    return {
        "mapping": {"mix": jnp.eye(DIM)},
        "synthesis": {
            "geometry": jnp.asarray(q[:split], jnp.float32),
            "colours": jnp.asarray(q[split:], jnp.float32),
        },
    }


def _affine(params: Params, w: Array) -> tuple[Array, ...]:
    tree = params["synthesis"]
    return tree["geometry"] @ w[0], tree["colours"] @ w[1]


def _run(params: Params, s: tuple[Array, ...], noise: Any, state: State, part: StepRange) -> Any:
    del params, noise
    last = 2 if part.last is None else part.last
    if part.first == 0 and last >= 1:
        mask = blob(s[0])
        state = {"x": jnp.stack([mask, 1 - mask], -1)}
    if part.first <= 1 and last >= 2:
        state = {"x": state["x"] @ paint(s[1])}
    return area_reduce(state["x"], part.size) if part.last is None else state


def blob(factors: Array, side: int = SIDE) -> Array:
    """How far each pixel [side, side] lies inside the ellipse."""
    x, y, radius, aspect, angle = factors
    axis = jnp.linspace(-1, 1, side)
    dx = axis[None, :] - 0.2 * jnp.tanh(x / 2)
    dy = axis[:, None] - 0.2 * jnp.tanh(y / 2)
    turn = 0.5 * jnp.tanh(angle / 2)
    along, across = dx * jnp.cos(turn) + dy * jnp.sin(turn), dy * jnp.cos(turn) - dx * jnp.sin(turn)
    size, stretch = jnp.exp(-0.6 + 0.2 * jnp.tanh(radius)), jnp.exp(0.2 + 0.15 * jnp.tanh(aspect))
    distance = jnp.sqrt((along / stretch) ** 2 + (across * stretch) ** 2 + 1e-6)
    return jax.nn.sigmoid(10 * (size - distance))


def paint(factors: Array) -> Array:
    """Colours [2, 3] of the ellipse and of what lies behind it."""
    hue, brightness, background = jnp.tanh(factors / 2)
    phases = jnp.array([0.0, 2.1, 4.2])
    inside = 0.3 + 0.4 * brightness + 0.3 * jnp.cos(1.2 * hue + phases)
    return jnp.stack([inside, jnp.full(3, -0.5) + 0.4 * background])
