"""Adversarial losses, their regulariser, a critic of latents and a pool of earlier fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.nn.linear import leaky_relu
from jaxinv.specs.checks import check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Params

POOL = 50  # vectors; Tov et al. 2021 (e4e)


def critic_loss(real: Array, fake: Array) -> Array:
    """Mean logistic loss of a critic from its scores [n] and [m] (Goodfellow et al. 2014)."""
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def generator_loss(fake: Array) -> Array:
    """Mean non-saturating loss of whoever made the fakes, from their scores [n]."""
    return jnp.mean(jax.nn.softplus(-fake))


def gradient_penalty(score: Callable[[Array], Array], real: Array) -> Array:
    """R1: the mean squared norm of the scores' slopes at real samples [n, ...].

    `score` gives [n]. To be multiplied by gamma / 2, and by the number of steps between two of them
    where it is lazy (Mescheder et al. 2018, equation 9; Karras et al. 2020, StyleGAN2, appendix B).
    """
    slopes = jax.grad(lambda x: jnp.sum(score(x)))(real)
    return jnp.mean(jnp.sum(jnp.square(slopes).reshape(len(real), -1), axis=1))


def latent_critic_init(key: Key, width: int, layers: int = 4) -> Params:
    """Parameters of `latent_critic` for vectors of this width: width to width, the last to 1.

    Drawn uniformly within 1 / sqrt(fan-in), biases too. Raises `ValueError` below 1 layer.
    """
    check_whole("layers", layers, 1)
    bound, params = width**-0.5, {}
    for index, own in enumerate(jax.random.split(key, layers)):
        out = 1 if index == layers - 1 else width
        first, second = jax.random.split(own)
        params[f"fc{index}"] = {
            "kernel": jax.random.uniform(first, (width, out), minval=-bound, maxval=bound),
            "bias": jax.random.uniform(second, (out,), minval=-bound, maxval=bound),
        }
    return params


def latent_critic(params: Params, w: Array) -> Array:
    """Scores [...] of vectors [..., width]: leaky ReLU of slope 0.2 between layers.

    Tov et al. 2021 (e4e), section 3.2: a latent critic, by which codes are drawn to W.
    """
    for index in range(len(params)):
        layer = params[f"fc{index}"]
        w = w @ layer["kernel"] + layer["bias"]
        w = leaky_relu(w) if index < len(params) - 1 else w
    return w[..., 0]


class Pool(NamedTuple):
    """Earlier fakes [size, ...], and how many places are taken."""

    held: Array
    count: Array


def pool_init(shape: tuple[int, ...], size: int = POOL) -> Pool:
    """An empty pool of vectors of `shape`; a size of 0 passes everything through."""
    check_whole("size", size, 0)
    return Pool(jnp.zeros((size, *shape)), jnp.zeros((), jnp.int32))


def query(pool: Pool, fakes: Array, key: Key) -> tuple[Pool, Array]:
    """The pool after, and what the critic is shown for `fakes` [n, ...], one after the other.

    While there is room a fake is kept and shown. Then, with probability 1/2 each, it is shown and
    not kept, or it takes a random place and what was there is shown (Shrivastava et al. 2017;
    Tov et al. 2021).
    """
    if not len(pool.held):
        return pool, fakes
    size = len(pool.held)

    def one(pool: Pool, given: tuple[Array, Key]) -> tuple[Pool, Array]:
        fake, own = given
        first, second = jax.random.split(own)
        filling = pool.count < size
        place = jnp.where(filling, pool.count, jax.random.randint(first, (), 0, size))
        swaps = ~filling & jax.random.bernoulli(second)
        shown = jnp.where(swaps, pool.held[place], fake)
        kept = jnp.where(filling | swaps, fake, pool.held[place])
        return Pool(pool.held.at[place].set(kept), pool.count + filling), shown

    return jax.lax.scan(one, pool, (fakes, jax.random.split(key, len(fakes))))
