"""The problem zoo that every solver is crossed with: where to start, and what may be left."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.io.checkpoints import read_spec, weights_file
from jaxinv.models.loading import build
from jaxinv.models.weights import read_weights
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.solvers.base import LeastSquares
from jaxinv.types import Array
from tests.tiny import SMALL, Pair, draw, linear, mobile, solve_linear
from tests.weights import SHARED, need
from weights_convert import convert

Loss = Callable[[Any], Array]


class Least(NamedTuple):
    """A loss that is the squared norm of its residuals, a vector."""

    residuals: Callable[[Any], Array]

    def __call__(self, u: Any) -> Array:
        vector = self.residuals(u)
        return jnp.vdot(vector, vector)


def objective(loss: Loss) -> Any:
    """What a solver is given: it reports the point and the loss; residuals where there are some."""

    def plain(u: Any, key: Array) -> tuple[Array, Any]:
        del key
        value = loss(u)
        return value, (u, value)

    def residuals(u: Any, key: Array) -> tuple[Array, Any]:
        del key
        vector = loss.residuals(u)  # pyright: ignore[reportFunctionMemberAccess]
        return vector, (u, jnp.vdot(vector, vector))

    return LeastSquares(residuals) if isinstance(loss, Least) else plain


class Problem(NamedTuple):
    """A loss, where to start, its least value, where that is, and what part of the gap may be left.

    `first` holds for solvers that see only gradients, `second` for those that learn curvature,
    `blind` for those that see only losses and learn how far to look, `chance` for the others,
    `chain` for those that draw samples.
    """

    loss: Loss
    start: Any
    least: float
    solution: Any
    first: float
    second: float
    blind: float = 0.35
    chance: float = 0.9
    chain: float = 0.6


def quadratic() -> Problem:
    target = {"a": jnp.asarray([1.0, -2.0]), "b": (jnp.full((2, 2), 0.5),)}

    def loss(u: Any) -> Array:
        parts = jax.tree.map(lambda x, y: jnp.sum(jnp.square(x - y)), u, target)
        return 0.5 * sum(jax.tree.leaves(parts), jnp.asarray(6.0))

    return Problem(loss, jax.tree.map(jnp.zeros_like, target), 3.0, target, 1e-4, 1e-9)


def ill_conditioned() -> Problem:
    scales = jnp.logspace(-3, 0, 10)
    loss = Least(lambda u: jnp.sqrt(0.5 * scales) * u)
    return Problem(loss, jnp.ones(10), 0.0, jnp.zeros(10), 2e-2, 1e-8)


def rosenbrock() -> Problem:
    def loss(u: Array) -> Array:
        return jnp.square(1 - u[0]) / 100 + jnp.square(u[1] - u[0] * u[0])

    return Problem(loss, jnp.asarray([-1.2, 1.0]), 0.0, jnp.ones(2), 0.3, 1e-8)


def pixels(pair: Pair, space: str, image: Array) -> Least:
    """The mean squared error of a generator's picture [size, size, 3] as a function of its code."""
    gen, params = pair

    def residuals(code: Array) -> Array:
        drawn = gen.synthesize(params, {space: code}, image.shape[0])
        return (drawn - image).ravel() / np.sqrt(image.size)

    return Least(residuals)


def linear_generator() -> Problem:
    image = jnp.asarray(draw(linear(), 1)[0])
    solution = solve_linear(np.asarray(image), "w+")
    return Problem(pixels(linear(), "w+", image), jnp.zeros((3, 6)), 0.0, solution, 0.2, 1e-8)


def self_inversion() -> Problem:
    _, params = mobile(SMALL)
    image = jnp.asarray(draw(mobile(SMALL), 1)[0]).reshape(8, 2, 8, 2, 3).mean((1, 3))
    start = jnp.tile(params["statistics"]["mean"], (SMALL.rows, 1))
    return Problem(pixels(mobile(SMALL), "w+", image), start, 0.0, None, 0.1, 1e-3)


def two_layers() -> Problem:
    """An expansive ReLU generator 4-24-96 with Gaussian weights."""
    draws = np.random.default_rng(1)
    first, second = (
        jnp.asarray(draws.standard_normal(shape) * np.sqrt(2 / shape[1]), jnp.float32)
        for shape in ((24, 4), (96, 24))
    )
    code = jnp.asarray([0.8, -0.5, 0.3, 1.1])

    def draw_at(z: Array) -> Array:
        return jax.nn.relu(second @ jax.nn.relu(first @ z))

    loss = Least(lambda z: (draw_at(z) - draw_at(code)) / np.sqrt(96))
    return Problem(loss, jnp.asarray([0.2, 0.2, 0.2, 0.2]), 0.0, code, 0.1, 1e-8)


PROBLEMS = [quadratic, ill_conditioned, rosenbrock, linear_generator, self_inversion, two_layers]


# --- networks that were trained -------------------------------------------------------------------


@lru_cache
def loaded(path: Path) -> Pair:
    """The generator of a converted file."""
    params, metadata = read_weights(path)
    return build(read_spec(metadata)), {**params, BACKWARD_KERNELS: precompute_backward(params)}


@lru_cache
def faces() -> Pair:
    """The DCGAN of faces at 32 px."""
    file = SHARED / "data" / "weights" / "celeba32_dcgan_generator.pt"
    if not file.is_file():
        pytest.skip("needs celeba32_dcgan_generator.pt in data/weights of JAXINV_SHARED")
    with TemporaryDirectory() as folder:
        return loaded(convert(file, out=Path(folder) / "celeba32.safetensors"))


def photographs() -> Pair:
    """The generator of faces at 1024 px."""
    need("ffhq")
    return loaded(weights_file("ffhq"))
