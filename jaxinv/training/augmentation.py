"""Adaptive augmentation of what a discriminator sees (Karras et al. 2020, arXiv:2006.06676).

Flips and shifts by whole pixels: their transformations of pixels that no picture must leak from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxinv.types import Array, Key

LARGEST_SHIFT = 0.125  # of the side
TARGET = 0.6  # of the mean sign of the scores of real pictures


def augmented(key: Key, images: Array, p: Array) -> Array:
    """Images [n, s, s, 3], each flipped, and each shifted, with probability p in [0, 1].

    A flip that is chosen mirrors half of the pictures; a shift draws both directions up to 1/8 of
    the side, with what lies beyond the edge mirrored.
    """
    side, keys = images.shape[1], jax.random.split(key, len(images))
    most = max(int(side * LARGEST_SHIFT), 1)

    def one(key: Key, image: Array) -> Array:
        chosen, mirrored, places = jax.random.split(key, 3)
        flips, shifts = jax.random.bernoulli(chosen, p, (2,))
        flipped = flips & jax.random.bernoulli(mirrored)
        image = jnp.where(flipped, image[:, ::-1], image)
        offset = jax.random.randint(places, (2,), 0, 2 * most + 1)
        offset = jnp.where(shifts, offset, most)
        wide = jnp.pad(image, ((most, most), (most, most), (0, 0)), mode="reflect")
        return jax.lax.dynamic_slice(wide, (*offset, 0), image.shape)

    return jax.vmap(one)(keys, images)


def adapted(p: Array, signs: Array, batch: int, length: float = 500_000.0) -> Array:
    """The probability one step on: up where the mean sign of real scores is above `TARGET`.

    It needs `length` pictures to go from 0 to 1. Section 3.1.
    """
    return jnp.clip(p + jnp.sign(signs - TARGET) * batch / length, 0.0, 1.0)
