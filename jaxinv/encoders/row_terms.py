"""Terms of the rows of a code that an encoder is trained by (Tov et al. 2021, arXiv:2102.02766).

Rows join one after the other: both terms see the first `active` ones, a number that may be traced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.losses.regularizers import delta_norms

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array


def adversarial(score: Callable[[Array], Array], codes: Array, active: int | Array) -> Array:
    """How well a critic tells active rows of codes [n, rows, d] from real ones: section 3.2.

    The mean of softplus(-score); `score` gives [...] of [..., d], such as a
    `training.critics.latent_critic` with its parameters.
    """
    found = jnp.mean(jax.nn.softplus(-score(codes)), axis=0)
    return jnp.sum(jnp.where(jnp.arange(found.size) < active, found, 0.0)) / active


def delta_penalty(codes: Array, active: int | Array) -> Array:
    """How far active rows of codes [n, rows, d] lie from the first: equation 3.

    The mean over codes of their summed distances; the published weight is 2e-4.
    """
    found = jnp.mean(jax.vmap(delta_norms)(codes), axis=0)
    return jnp.sum(jnp.where(1 + jnp.arange(found.size) < active, found, 0.0))
