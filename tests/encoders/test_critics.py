"""The latent critic's losses by hand, and the pool that it is shown old codes from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders import critics


def test_losses_of_scores_known_by_hand() -> None:
    zeros = jnp.zeros(3)
    assert np.isclose(critics.logistic(zeros, zeros), 2 * np.log(2))
    slopes = jnp.asarray([3.0, 4.0])
    assert np.isclose(critics.r1(lambda w: w @ slopes, jnp.zeros((5, 2))), 25.0)


def test_only_active_rows_count() -> None:
    codes = jnp.asarray([[[0.0], [3.0], [5.0]], [[1.0], [1.0], [0.0]]])
    for active, expected in ((1, 0.0), (2, 1.5), (3, 4.5)):
        assert np.isclose(critics.delta_penalty(codes, active), expected, atol=1e-5)
        rows = np.log1p(np.exp(-np.asarray(codes[:, :active, 0]))).mean()
        found = critics.adversarial(lambda w: w[0], codes, jnp.asarray(active))
        assert np.isclose(found, rows)
    slope = jax.grad(critics.delta_penalty)(jnp.ones((1, 3, 2)), 3)
    assert np.isfinite(slope).all()


def test_a_pool_fills_and_then_shows_half_old_ones() -> None:
    pool = critics.empty_pool(4, (1,))
    codes = jnp.arange(1.0, 201.0)[:, None]
    pool, shown = critics.exchange(pool, jax.random.key(0), codes[:4])
    np.testing.assert_array_equal(shown, codes[:4])
    np.testing.assert_array_equal(pool.kept, codes[:4])
    later, shown = critics.exchange(pool, jax.random.key(1), codes[4:])
    old = np.mean(np.asarray(shown != codes[4:]))
    assert 0.35 < old < 0.65
    seen = {float(x) for x in np.concatenate([shown, later.kept]).ravel()}
    assert seen == {float(x) for x in codes[:, 0]}
    assert len(np.unique(np.concatenate([shown, later.kept]))) == len(codes)
