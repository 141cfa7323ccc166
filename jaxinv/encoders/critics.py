"""The critic of latent codes, its losses, and the pool of old codes that it is shown.

Tov et al. 2021, e4e (arXiv:2102.02766), sections 4.1 and 4.2: codes that an encoder makes should be
told from codes of the mapping network no better than by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxinv.losses.regularizers import delta_norms
from jaxinv.nn.linear import Linear, leaky_relu
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key

    Score = Callable[[Array], Array]


class LatentCritic(Module):
    """How likely a code [d] is one of the mapping network: hidden layers, leaky ReLU, a number."""

    widths: tuple[int, ...] = (512, 512, 512)

    @nn.compact
    def __call__(self, w: Array) -> Array:
        """[..., d] -> [...], higher for real codes."""
        for index, width in enumerate(self.widths):
            w = leaky_relu(Linear(width, name=f"mlp.{2 * index}")(w))
        return Linear(1, name=f"mlp.{2 * len(self.widths)}")(w)[..., 0]


def logistic(real: Array, fake: Array) -> Array:
    """The critic's loss of scores [n] of real and [m] of made codes (Goodfellow et al. 2014)."""
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def r1(score: Score, real: Array) -> Array:
    """Mean squared length of the score's gradient at real codes [n, ...] (Mescheder et al. 2018).

    `score` maps one code to a number. e4e adds 10 / 2 times it every 16th step, 16-fold.
    """
    slopes = jax.vmap(jax.grad(score))(real)
    return jnp.mean(jnp.sum(jnp.square(slopes), axis=tuple(range(1, slopes.ndim))))


def adversarial(score: Score, codes: Array, active: int | Array) -> Array:
    """The encoder's loss against a critic: codes [n, rows, d]; the first `active` rows count."""
    found = jnp.mean(jax.nn.softplus(-jax.vmap(jax.vmap(score))(codes)), axis=0)
    return jnp.sum(jnp.where(jnp.arange(found.size) < active, found, 0.0)) / active


def delta_penalty(codes: Array, active: int | Array) -> Array:
    """How far rows lie from the first: codes [n, rows, d]; the first `active` rows count.

    The mean over codes of the summed distances; the weight of e4e is 2e-4.
    """
    found = jnp.mean(jax.vmap(delta_norms)(codes), axis=0)
    return jnp.sum(jnp.where(1 + jnp.arange(found.size) < active, found, 0.0))


class Pool(NamedTuple):
    """Old codes or pictures, `kept` [size, ...], of which the first `count` are filled."""

    kept: Array
    count: Array


def empty_pool(size: int, shape: tuple[int, ...]) -> Pool:
    """A pool of `size` things of a shape; that of e4e holds 50."""
    return Pool(jnp.zeros((size, *shape)), jnp.zeros((), jnp.int32))


def exchange(pool: Pool, key: Key, fresh: Array) -> tuple[Pool, Array]:
    """The pool after fresh things [n, ...], and what the critic is shown for them [n, ...].

    While there is room a fresh one is kept and shown; later half of them are shown, and half take
    the place of an old one, which is shown (Shrivastava et al. 2017, section 2.3).
    """

    def one(pool: Pool, given: tuple[Key, Array]) -> tuple[Pool, Array]:
        toss, draw = jax.random.split(given[0])
        size = pool.kept.shape[0]
        full, swaps = pool.count >= size, jax.random.bernoulli(toss)
        place = jnp.where(full, jax.random.randint(draw, (), 0, size), pool.count)
        shown = jnp.where(full & swaps, pool.kept[place], given[1])
        left = jnp.where(full & ~swaps, pool.kept[place], given[1])
        return Pool(pool.kept.at[place].set(left), jnp.minimum(pool.count + 1, size)), shown

    return jax.lax.scan(one, pool, (jax.random.split(key, len(fresh)), fresh))
