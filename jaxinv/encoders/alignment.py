"""How far codes lie from those that a generator was trained on, in directions of its styles.

Cao et al. 2022, LSAP (arXiv:2209.12746), section 3: styles of unit length, and the mean of those of
random codes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.latents.spaces import draw_prior
from jaxinv.models.generators.base import convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Latents, Params

DRAWS, TOGETHER = 10_000, 500  # random codes whose styles are averaged; there 100,000
LEAST = 1e-8


def directions(gen: Generator, params: Params, latents: Latents) -> tuple[Array, ...]:
    """The styles of a code, each [channels] and of unit length."""
    styles = convert(gen, params, latents, "s")
    return tuple(s / jnp.maximum(jnp.linalg.norm(s), LEAST) for s in styles)


def mean_directions(gen: Generator, params: Params) -> tuple[Array, ...]:
    """The means of `directions` over random codes; `ValueError` for a generator without styles."""
    if not gen.spec.w_dim:
        raise ValueError(
            f"generator {gen.spec.name!r} has no styles that could be aligned; allowed: one with "
            f"a space w"
        )

    @jax.jit
    def some(params: Params, keys: Key) -> tuple[Array, ...]:
        found = jax.vmap(lambda key: directions(gen, params, draw_prior(gen.spec, key)))(keys)
        return tuple(jnp.mean(s, axis=0) for s in found)

    keys = jax.random.split(jax.random.key(0), (DRAWS // TOGETHER, TOGETHER))
    parts = [some(params, few) for few in keys]
    return tuple(jnp.mean(jnp.stack(means), axis=0) for means in zip(*parts, strict=True))


def aligner(gen: Generator, params: Params) -> Any:
    """The net of "style_alignment": a function of latents with its arrays."""
    return jax.tree_util.Partial(_misalignment(gen), params, mean_directions(gen, params))


@lru_cache
def _misalignment(gen: Generator) -> Callable[..., Array]:
    """One function for a generator, so that programs are shared."""

    def measure(params: Params, means: tuple[Array, ...], latents: Latents) -> Array:
        found = directions(gen, params, latents)
        gaps = [1 - jnp.vdot(s, mean) for s, mean in zip(found, means, strict=True)]
        return gen.spec.rows * jnp.mean(jnp.stack(gaps))

    return measure
