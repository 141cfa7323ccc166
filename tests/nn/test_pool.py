"""Pooling and interpolation against loops and against scipy; convolutions that are not square."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxinv.nn import pool
from jaxinv.nn.attention import many_headed
from jaxinv.nn.conv import BACKWARD_KERNELS, Conv, precompute_backward

pytestmark = pytest.mark.usefixtures("quick_compilation")
X = jnp.asarray(np.random.default_rng(0).standard_normal((7, 10, 2)), jnp.float32)


@pytest.mark.parametrize(
    ("side", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (3, 2, 0), (2, 2, 0)]
)
def test_pools_are_those_of_windows(side: int, stride: int, padding: int) -> None:
    pads = [(padding, padding), (padding, padding), (0, 0)]

    def reduced(x: Any, start: float, function: Any) -> np.ndarray:
        window, steps = (side, side, 1), (stride, stride, 1)
        return np.asarray(lax.reduce_window(x, start, function, window, steps, pads))

    largest = reduced(X, -np.inf, lax.max)
    np.testing.assert_allclose(pool.max_pool(X, side, stride, padding), largest)
    means = reduced(X, 0.0, lax.add) / reduced(np.ones_like(X), 0.0, lax.add)
    found = pool.average_pool(X, side, stride, padding)
    np.testing.assert_allclose(found, means, rtol=1e-5, atol=1e-6)


def test_interpolations_are_linear_between_the_pixels_that_each_names() -> None:
    ramp = jnp.arange(8.0)[:, None, None] * jnp.ones((1, 2, 1))

    def rows(x: object) -> list[float]:
        return np.asarray(x)[:, 0, 0].tolist()

    assert rows(pool.bilinear(ramp, (4, 2))) == [0.5, 2.5, 4.5, 6.5]
    assert rows(pool.bilinear(ramp, (16, 2)))[:3] == [0, 0.25, 0.75]
    assert rows(pool.bilinear_tensorflow(ramp, (4, 2))) == [0, 2, 4, 6]
    assert rows(pool.bilinear_tensorflow(ramp, (16, 2)))[-2:] == [7, 7]
    np.testing.assert_allclose(rows(pool.bilinear_corners(ramp, (3, 2))), [0, 3.5, 7])
    assert rows(pool.nearest(ramp, (3, 2))) == [0, 2, 5]
    assert rows(pool.bilinear_corners(ramp, (1, 2))) == [0]


@pytest.mark.parametrize("size", [(3, 4), (7, 10), (5, 1)])
def test_adaptive_means_are_of_whole_pixels(size: tuple[int, int]) -> None:
    expected = np.zeros((*size, 2))
    for i in range(size[0]):
        for j in range(size[1]):
            rows = slice(i * 7 // size[0], -(-(i + 1) * 7 // size[0]))
            columns = slice(j * 10 // size[1], -(-(j + 1) * 10 // size[1]))
            expected[i, j] = np.asarray(X)[rows, columns].mean((0, 1))
    np.testing.assert_allclose(pool.adaptive_average(X, size), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "stride"), [((1, 7), 1), ((5, 3), 2)])
def test_kernels_may_differ_by_direction(size: tuple[int, int], stride: int) -> None:
    module = Conv(3, size, stride, (size[0] // 2, size[1] // 2))
    params: Any = module.init(jax.random.key(0), X)["params"]
    frozen = {"params": params, BACKWARD_KERNELS: precompute_backward(params)}

    def ours(x: Any, variables: Any) -> Any:
        return module.apply(variables, x)

    def theirs(x: Any) -> Any:
        pads = [(n // 2, n // 2) for n in size]
        dimensions = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x[None], params["kernel"], (stride, stride), pads, dimension_numbers=dimensions
        )[0]

    for variables in ({"params": params}, frozen):
        found, pull = jax.vjp(partial(ours, variables=variables), X)
        expected, push = jax.vjp(theirs, X)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        g = jnp.cos(expected)
        np.testing.assert_allclose(pull(g)[0], push(g)[0], rtol=1e-5, atol=1e-5)


def test_every_head_attends_by_itself() -> None:
    draws = np.random.default_rng(1)
    q, k, v = (draws.standard_normal((n, 6)).astype(np.float32) for n in (3, 4, 4))
    mask = np.where(draws.uniform(size=(3, 4)) < 0.3, -np.inf, 0).astype(np.float32)
    mask[:, 0] = 0
    expected = []
    for part in (slice(0, 3), slice(3, 6)):
        products = q[:, part] @ k[:, part].T / np.sqrt(3) + mask
        weights = np.exp(products) / np.exp(products).sum(1, keepdims=True)
        expected.append(weights @ v[:, part])
    query, key, value = (jnp.asarray(x) for x in (q, k, v))
    found = many_headed(query, key, value, 2, jnp.asarray(mask))
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-5, atol=1e-6)
