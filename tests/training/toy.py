"""A training job without networks: a line is fitted to noisy points. `python -m` trains it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.training.data import batches
from jaxinv.training.loop import Job, Run, train

TRUE = np.asarray([1.0, -2.0, 0.5], np.float32)


class Points:
    def __len__(self) -> int:
        return 37

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        x = np.random.default_rng(number).standard_normal(3).astype(np.float32)
        return {"x": x, "y": x @ TRUE}


@jax.jit
def _step(state: Any, batch: Any, key: Any) -> Any:
    def loss(w: Any) -> Any:
        noise = 0.01 * jax.random.normal(key, batch["y"].shape)
        return jnp.mean((batch["x"] @ w - batch["y"] - noise) ** 2)

    value, slope = jax.value_and_grad(loss)(state["w"])
    return {"w": state["w"] - 0.1 * slope, "steps": state["steps"] + 1}, {"loss": value}


def step(state: Any, batch: Any, key: Any, number: int) -> Any:
    state, metrics = _step(state, batch, key)
    return state, {**metrics, **({"tenth": jnp.asarray(float(number))} if number % 10 == 0 else {})}


def validate(state: Any) -> Any:
    error = float(jnp.abs(state["w"] - TRUE).max())
    return {"error": error}, {"samples": np.full((8, 8, 3), 7, np.uint8)}


def init(key: Any) -> Any:
    return {"w": jax.random.normal(key, (3,)), "steps": jnp.zeros((), jnp.int32)}


def job(**changes: Any) -> Job:
    return Job(init, step, validate, best="error")._replace(**changes)


def run(folder: str | Path, steps: int = 40, **changes: Any) -> Run:
    usual = {"log_every": 5, "validate_every": 10, "save_every": 7, "facts": {"what": "toy"}}
    return Run(folder, steps, **{"seed": 3, **usual, **changes})


def fit(folder: str | Path, steps: int = 40, own: Job | None = None, **changes: Any) -> Any:
    given = batches(Points(), 8, seed=3)
    return train(own or job(), given, run(folder, steps, **changes), lambda text: None)


if __name__ == "__main__":
    found = fit(sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(np.asarray(found["w"]).tobytes().hex())
