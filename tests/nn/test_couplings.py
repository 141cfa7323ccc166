"""The invertible network: inverses, and the logarithm of its determinant."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.nn import couplings
from jaxinv.types import Params

pytestmark = pytest.mark.usefixtures("quick_compilation")
DRAWS = np.random.default_rng(0)


def shaken(width: int) -> Params:
    """A network that changes much."""
    params = couplings.init(jax.random.key(0), width, 5, 8)
    return jax.tree.map(lambda a: a + 0.4 * DRAWS.standard_normal(a.shape).astype("f"), params)


@pytest.mark.parametrize("width", [2, 5])
def test_what_goes_through_comes_back(width: int) -> None:
    params, x = shaken(width), jnp.asarray(DRAWS.standard_normal((7, width)), jnp.float32)
    y, _ = couplings.forward(params, x)
    np.testing.assert_allclose(couplings.inverse(params, y), x, atol=2e-4)
    assert np.abs(np.asarray(y - x)).max() > 0.5


def test_the_change_of_volume_is_the_determinant() -> None:
    params, x = shaken(4), jnp.asarray(DRAWS.standard_normal(4), jnp.float32)
    matrix = jax.jacfwd(lambda x: couplings.forward(params, x)[0])(x)
    sign, wanted = np.linalg.slogdet(np.asarray(matrix, np.float64))
    assert abs(sign) == 1
    assert float(couplings.forward(params, x)[1]) == pytest.approx(wanted, abs=1e-3)


def test_at_first_numbers_are_only_put_in_another_order() -> None:
    x = jnp.arange(6.0)
    y, change = couplings.forward(couplings.init(jax.random.key(0), 6), x)
    assert sorted(np.asarray(y).tolist()) == list(range(6))
    assert float(change) == 0
