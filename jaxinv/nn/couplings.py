"""An invertible network of affine couplings (Dinh et al. 2017, Real NVP, arXiv:1605.08803).

Its parameters are a plain dict; vectors [..., d] go through, and come back exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from jaxinv.types import Array, Key, Params

LIMIT = 2.0  # of the logarithm of what a coupling multiplies by


def init(key: Key, width: int, blocks: int = 6, hidden: int = 64) -> Params:
    """The parameters of a network that changes nothing yet, for vectors of `width` >= 2 numbers."""
    half = width // 2

    def block(key: Key) -> Params:
        return {
            "scale": jnp.zeros(width),
            "shift": jnp.zeros(width),
            "first": jax.random.normal(key, (half, hidden)) / max(half, 1) ** 0.5,
            "bias": jnp.zeros(hidden),
            "second": jnp.zeros((hidden, 2 * (width - half))),
        }

    return {f"block{i}": block(one) for i, one in enumerate(jax.random.split(key, blocks))}


def forward(params: Params, x: Array) -> tuple[Array, Array]:
    """x [..., d] -> its place y [..., d], and log |det dy/dx| [...]."""
    total = jnp.zeros(x.shape[:-1])
    for index in range(len(params)):
        one = params[f"block{index}"]
        x = (x * jnp.exp(one["scale"]) + one["shift"])[..., _order(index, x.shape[-1])]
        kept, moved = jnp.split(x, [x.shape[-1] // 2], axis=-1)
        scale, shift = _coupled(one, kept)
        x = jnp.concatenate([kept, moved * jnp.exp(scale) + shift], axis=-1)
        total = total + jnp.sum(one["scale"]) + jnp.sum(scale, axis=-1)
    return x, total


def inverse(params: Params, y: Array) -> Array:
    """The inverse of `forward`."""
    for index in reversed(range(len(params))):
        one = params[f"block{index}"]
        kept, moved = jnp.split(y, [y.shape[-1] // 2], axis=-1)
        scale, shift = _coupled(one, kept)
        y = jnp.concatenate([kept, (moved - shift) * jnp.exp(-scale)], axis=-1)
        y = y[..., np.argsort(_order(index, y.shape[-1]))]
        y = (y - one["shift"]) * jnp.exp(-one["scale"])
    return y


def _coupled(one: Params, kept: Array) -> tuple[Array, Array]:
    found = jnp.tanh(kept @ one["first"] + one["bias"]) @ one["second"]
    scale, shift = jnp.split(found, 2, axis=-1)
    return LIMIT * jnp.tanh(scale / LIMIT), shift


def _order(index: int, width: int) -> np.ndarray:
    """The order of the numbers in a block: half of them move, others in the next."""
    if index % 2:
        return np.arange(width)[::-1]
    return np.random.default_rng(index).permutation(width)
