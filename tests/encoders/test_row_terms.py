"""Terms of active rows: values known by hand, and slopes where rows are equal."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders import row_terms

CODES = jnp.asarray([[[0.0], [3.0], [5.0]], [[1.0], [1.0], [0.0]]])


def test_only_active_rows_count() -> None:
    for active, expected in ((1, 0.0), (2, 1.5), (3, 4.5)):
        found = row_terms.delta_penalty(CODES, jnp.asarray(active))
        assert np.isclose(found, expected, atol=1e-5)
        rows = np.log1p(np.exp(-np.asarray(CODES[:, :active, 0]))).mean()
        found = row_terms.adversarial(lambda w: w[..., 0], CODES, jnp.asarray(active))
        assert np.isclose(found, rows)


def test_equal_rows_have_finite_slopes() -> None:
    slope = jax.grad(row_terms.delta_penalty)(jnp.ones((1, 3, 2)), 3)
    np.testing.assert_array_equal(slope, 0.0)
