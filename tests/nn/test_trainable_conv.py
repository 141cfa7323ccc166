"""Convolutions whose kernels are unknowns: their derivatives against those of JAX's own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.nn.conv import Geometry, plain_conv, trainable_conv
from jaxinv.nn.modulated import SMALL, Kernel, doubled, modulated_conv
from tests.tiers import mostly_slow

GEOMETRIES = {
    "same": Geometry(),
    "strided": Geometry(2, 0),
    "strided, padded": Geometry(2, 1),
    "spread": Geometry(1, 2, 2),
    "oblong": Geometry(1, (0, 2)),
}


def arrays(side: int, lanes: tuple[int, ...] = (3,)) -> tuple[Any, Any]:
    draws = np.random.default_rng(0)
    x, k = draws.standard_normal((*lanes, side, side, 4)), draws.standard_normal((3, 3, 4, 5))
    return jnp.asarray(x, jnp.float32), jnp.asarray(k / 6, jnp.float32)


def derivatives(function: Any, x: Any, k: Any, order: int) -> Any:
    def value(x: Any, k: Any) -> Any:
        return jnp.sum(jnp.sin(jax.vmap(function, (0, None))(x, k)))

    def slope(x: Any, k: Any) -> Any:
        return sum(jnp.sum(jnp.cos(a)) for a in jax.grad(value, (0, 1))(x, k))

    return jax.jit(jax.grad(value if order == 1 else slope, (0, 1)))(x, k)


def same(own: Any, plain: Any, x: Any, k: Any, order: int) -> None:
    found, expected = (derivatives(f, x, k, order) for f in (own, plain))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))
        assert jnp.abs(b).max() > 0.01


@pytest.mark.parametrize(
    ("name", "order"),
    mostly_slow([(n, o) for n in GEOMETRIES for o in (1, 2)], [("same", 2), ("strided", 2)]),
)
def test_derivatives_of_a_convolution_to_the_second_order(name: str, order: int) -> None:
    geometry = GEOMETRIES[name]
    same(
        lambda x, k: trainable_conv(x, k, geometry),
        lambda x, k: plain_conv(x, k, geometry),
        *arrays(8),
        order,
    )


@pytest.mark.parametrize("order", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("side", mostly_slow([4, SMALL + 2], [4]))
def test_derivatives_of_the_doubling_layer(side: int, order: int) -> None:
    same(
        lambda x, k: modulated_conv(x, jnp.ones(4), Kernel(k), up=True),
        lambda x, k: doubled(x, k, k),
        *arrays(side),
        order,
    )


def test_lanes_with_kernels_of_their_own() -> None:
    x, k = arrays(6)
    kernels = jnp.stack([k, 2 * k, -k])

    def slopes(function: Any) -> Any:
        value = lambda x, k: jnp.sum(jnp.sin(function(x, k, Geometry())))  # noqa: E731
        return jax.vmap(jax.grad(value, (0, 1)))(x, kernels)

    for a, b in zip(slopes(trainable_conv), slopes(plain_conv), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_forward_mode_and_one_argument_alone() -> None:
    x, k = arrays(6, ())
    push = lambda f: jax.jvp(lambda x, k: f(x, k, Geometry()), (x, k), (2 * x, 3 * k))[1]  # noqa: E731
    np.testing.assert_allclose(push(trainable_conv), push(plain_conv), rtol=1e-4, atol=1e-4)
    only = lambda f: jax.grad(lambda k: jnp.sum(f(x, k, Geometry()) ** 2))(k)  # noqa: E731
    np.testing.assert_allclose(only(trainable_conv), only(plain_conv), rtol=1e-4, atol=1e-3)


def test_the_gradient_of_a_shared_kernel_is_one_convolution() -> None:
    x, k = arrays(8, (7,))
    value = lambda k: jnp.sum(jax.vmap(trainable_conv, (0, None, None))(x, k, Geometry()) ** 2)  # noqa: E731
    text = jax.jit(jax.grad(value)).lower(k).as_text()
    assert text.count("stablehlo.convolution") == 2  # forward, and the kernel's gradient
    assert "dot_general" not in text
