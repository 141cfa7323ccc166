"""Spectral norms: each source's formula, and no more memory than the weights take in the file."""

from __future__ import annotations

import numpy as np
import pytest

from weights_convert import UnsafeFileError
from weights_convert.networks.spectral import from_half_a_step, from_stored_vectors

DRAWS = np.random.default_rng(0)
WEIGHT = DRAWS.standard_normal((6, 4, 3, 3)).astype(np.float32)
MATRIX = WEIGHT.reshape(6, -1)
LEFT, VALUES, RIGHT = np.linalg.svd(MATRIX)
U, V = (DRAWS.standard_normal(count).astype(np.float32) for count in MATRIX.shape)


def test_stored_vectors_decide_even_when_they_are_not_singular() -> None:
    given = {"a.weight_orig": WEIGHT, "a.weight_u": U, "a.weight_v": V, "a.bias": U}
    found = from_stored_vectors(given)
    assert set(found) == {"a.weight", "a.bias"}
    np.testing.assert_allclose(found["a.weight"] * (U @ MATRIX @ V), WEIGHT, rtol=1e-5)
    assert found["a.weight"].dtype == np.float32


def test_half_a_step_starts_from_the_stored_vector() -> None:
    found = from_half_a_step({"a.weight": WEIGHT, "a.u0": LEFT[:, 1][None], "a.sv0": VALUES[:1]})
    assert set(found) == {"a.weight"}
    # From a singular vector, a step leads nowhere else: the second value, not the largest.
    np.testing.assert_allclose(found["a.weight"] * VALUES[1], WEIGHT, rtol=1e-4)
    assert found["a.weight"].dtype == np.float32


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"a.weight_orig": WEIGHT, "a.weight_u": U}, "no a.weight_v"),
        ({"a.weight_orig": WEIGHT, "a.weight_u": V, "a.weight_v": V}, "another size"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(given: dict, told: str) -> None:
    with pytest.raises(UnsafeFileError, match=told):
        from_stored_vectors(given)
