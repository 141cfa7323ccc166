"""Penalties on unknowns: closed forms, and gradients where roots have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.losses import regularizers as r

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 8)), jnp.float32)
AXES = jnp.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0], jnp.float32)
SCALES = jnp.linspace(0.5, 2.0, 8)
MEAN = jnp.linspace(-1.0, 1.0, 8)


def mahalanobis(u: Any) -> Any:
    return jnp.mean(jnp.square(r.principal_coordinates(u, MEAN, AXES.T, SCALES)))


EVERY: dict[str, Callable[[Any], Any]] = {
    "l1": r.l1,
    "mahalanobis": mahalanobis,
    "norm": lambda u: r.norm(u - MEAN),
    "norm squared": lambda u: r.norm(u - MEAN, power=2),
    "delta_norm": r.delta_norm,
    "geocross": r.geocross,
    "drift": lambda u: r.drift({"a": u - ROWS, "b": [u[0]]}),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("start", [ROWS, 0 * ROWS, 0 * ROWS + MEAN], ids=["any", "zero", "mean"])
def test_values_and_gradients_are_finite(name: str, start: Any) -> None:
    value, slope = jax.jit(jax.value_and_grad(EVERY[name]))(start)
    assert value.shape == ()
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_l1() -> None:
    np.testing.assert_allclose(r.l1(jnp.array([[1.0, -2.0], [0.0, 3.0]])), 1.5)


def test_mahalanobis_is_1_on_average_over_the_gaussian_it_describes() -> None:
    v = np.random.default_rng(2).normal(size=(20000, 8))
    codes = MEAN + jnp.asarray(v, jnp.float32) * SCALES @ AXES
    np.testing.assert_allclose(mahalanobis(codes), 1, atol=0.02)
    one = MEAN + 3 * SCALES[2] * AXES[2]
    np.testing.assert_allclose(mahalanobis(one), 9 / 8, rtol=1e-5)
    covariance = np.asarray((AXES.T * SCALES**2) @ AXES, float)
    apart = np.asarray(ROWS[0] - MEAN, float)
    expected = apart @ np.linalg.inv(covariance) @ apart / 8
    np.testing.assert_allclose(mahalanobis(ROWS[0]), expected, rtol=1e-4)


def test_norm() -> None:
    code, mean = jnp.full((2, 8), 3.0), jnp.full(8, 1.0)
    np.testing.assert_allclose(r.norm(code - mean), 8, rtol=1e-6)
    np.testing.assert_allclose(r.norm(code - mean, power=2), 64, rtol=1e-6)
    with pytest.raises(ValueError, match="power of norm must be 1 or 2, got 3"):
        r.norm(code - mean, power=3)


def test_delta_norm_is_0_for_equal_rows() -> None:
    rows = jnp.array([[1.0, 1.0], [4.0, 5.0], [1.0, 2.0]])
    np.testing.assert_allclose(r.delta_norm(rows), 5 + 1, rtol=1e-6)
    np.testing.assert_allclose(r.delta_norm(jnp.ones((4, 6))), 0, atol=1e-5)


@pytest.mark.parametrize("degrees", [0.5, 30, 90, 179.5])
def test_geodesic_is_the_angle(degrees: float) -> None:
    turn = np.deg2rad(degrees)
    a, b = 3 * np.array([1.0, 0.0]), 3 * np.array([np.cos(turn), np.sin(turn)])
    np.testing.assert_allclose(r.geodesic(jnp.asarray(a), jnp.asarray(b)), turn, rtol=1e-3)


def test_geocross_of_orthogonal_rows() -> None:
    """n (n - 1) of the n^2 pairs are at right angles."""
    rows = 2.5 * jnp.eye(6, 16)
    np.testing.assert_allclose(r.geocross(rows), 30 / 36 * (np.pi / 2) ** 2 * 16 / 8, rtol=1e-4)
    np.testing.assert_allclose(r.geocross(jnp.ones((6, 16))), 0, atol=1e-6)


def test_drift_counts_every_array() -> None:
    tree = {"a": jnp.full((2, 3), 2.0), "b": {"c": jnp.full(4, -1.0)}}
    np.testing.assert_allclose(r.drift(tree), (6 * 4 + 4) / 10, rtol=1e-6)
    np.testing.assert_allclose(r.drift(tree, power=1), (6 * 2 + 4) / 10, rtol=1e-6)
    np.testing.assert_allclose(r.drift(jax.tree.map(jnp.zeros_like, tree)), 0)
    with pytest.raises(ValueError, match="power of drift must be 1 or 2, got 0"):
        r.drift(tree, power=0)
