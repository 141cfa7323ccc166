"""Options of large programs: given where XLA knows them, left out where not."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models import compilation
from jaxinv.models.compilation import Program, compiler_options


@pytest.fixture(autouse=True)
def anew() -> None:
    """Options are asked for once in a process."""
    compiler_options.cache_clear()


@partial(Program, static_argnums=0)
def powers(count: int, x: jax.Array) -> jax.Array:
    """The first powers of x."""
    return x ** jnp.arange(count)


def test_a_program_does_what_its_function_does() -> None:
    np.testing.assert_array_equal(powers(3, jnp.float32(2)), [1, 2, 4])
    assert powers.__doc__ == "The first powers of x."
    lowered = powers.lower(4, jax.ShapeDtypeStruct((), jnp.float32))
    np.testing.assert_array_equal(lowered.compile()(jnp.float32(2)), [1, 2, 4, 8])


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an option of CPUs")
def test_what_xla_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "FUSION_EMITTERS", "xla_cpu_flies_to_the_moon")
    assert compiler_options() is None
    np.testing.assert_array_equal(Program(jnp.negative)(jnp.ones(2)), [-1, -1])
    compiler_options.cache_clear()


def test_accelerators_have_no_such_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler_options() is None
    compiler_options.cache_clear()
