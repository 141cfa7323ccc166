"""A generator of two soft blobs whose places and colours are its code: what drags do is known."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.generators.base import Generator, missing_capability
from jaxinv.models.statistics import STATISTICS, w_statistics
from jaxinv.nn.resample import area_reduce
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Array, Latents, Params

SIDE, ROWS, WIDTH = 64, 4, 3
SPEC = GeneratorSpec(
    "blobs", "blobs", resolution=SIDE, z_dim=WIDTH, w_dim=WIDTH, rows=ROWS, styles=(WIDTH,) * ROWS
)
SCALE = 4.0  # px that a unit of the code moves a blob


def _run(params: Params, code: Any, noise: Any, state: Any, part: Any) -> Any:
    del noise, state
    first, second, one, other = code
    y, x = jnp.meshgrid(jnp.arange(SIDE * 1.0), jnp.arange(SIDE * 1.0), indexing="ij")
    width = params["synthesis"]["width"]

    def blob(place: Array, middle: tuple[float, float]) -> Array:
        apart = (y - middle[0] - SCALE * place[0]) ** 2 + (x - middle[1] - SCALE * place[1]) ** 2
        return jnp.exp(-apart / (2 * width**2))[..., None]

    a, b = blob(first, (32.0, 18.0)), blob(second, (32.0, 46.0))
    if part.last is not None:
        return {"x": jnp.concatenate([a, b, a * b, a - b], axis=-1)}
    image = jnp.tanh(a * (1 + one) + b * (1 + other)) * 1.6 - 0.8
    return area_reduce(image, part.size)


@lru_cache
def blobs() -> tuple[Generator, Params]:
    """The generator and its parameters."""
    gen = Generator(
        spec=SPEC,
        steps=("draw",),
        init=lambda key: {"mapping": {}, "synthesis": {"width": jnp.ones(())}},
        map=lambda params, z: z,
        affine=lambda params, w: tuple(w),
        embed=missing_capability(SPEC, "class embedding"),
        run=_run,
        stored_noise=lambda params: (),
    )
    params: Params = {"mapping": {}, "synthesis": {"width": jnp.asarray(5.0)}}
    return gen, params | {STATISTICS: w_statistics(gen, params)}


def start() -> Latents:
    """Both blobs where they usually are."""
    return {"w+": np.zeros((ROWS, WIDTH), np.float32)}


def centre(latents: Latents, row: int) -> np.ndarray:
    """Where a blob is: x and y in px."""
    middle = np.array([(32.0, 18.0), (32.0, 46.0)][row])
    return (middle + SCALE * np.asarray(latents["w+"])[row, :2])[::-1]


def programs() -> int:
    """How many steps were compiled."""
    from jaxinv.sessions import stepping

    jitted: Any = stepping._step
    return jitted._cache_size()


def leaves_equal(a: Latents, b: Latents) -> bool:
    """Whether two latents hold the same bytes."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)
