"""One program serves every batch and every number of steps: compiling is what a first run pays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
import pytest

import jaxinv
from tests.tiny import mobile

COMPILE = "/jax/core/compile/backend_compile_duration"


@contextmanager
def compiled() -> Iterator[list[str]]:
    """The programs that are compiled meanwhile."""
    seen: list[str] = []

    def listen(event: str, duration_secs: float, **facts: str | int) -> None:
        del duration_secs
        if event == COMPILE:
            seen.append(str(facts.get("fun_name", event)))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).uniform(-1, 1, (count, 16, 16, 3)).astype(np.float32)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators take whole batches")
def test_another_batch_or_step_count_compiles_nothing() -> None:
    gen, params = mobile()
    preset = plain()
    with compiled() as first:
        jaxinv.invert(gen, params, pictures(1), preset=preset, steps=12)
    assert first, "nothing was seen to be compiled: the listener is deaf"
    with compiled() as later:
        jaxinv.invert(gen, params, pictures(3), preset=preset, steps=25, batch=2)
        jaxinv.invert(gen, params, pictures(5), preset=preset, steps=7, batch=4)
    assert not later


def plain() -> jaxinv.Preset:
    """Two stages, a code and then weights, without nets."""
    solver = jaxinv.SolverSpec("lbfgs")
    tuned = jaxinv.SolverSpec("adam", 0.01)
    terms = (jaxinv.Term("mse"),)
    return jaxinv.Preset(
        name="plain",
        summary="a code, then weights",
        reference="this test",
        stages=(
            jaxinv.Stage((jaxinv.Variable("w+", "whiten"),), terms, 20, solver),
            jaxinv.Stage((jaxinv.Variable("weights", form="multiply"),), terms, 10, tuned),
        ),
    )
