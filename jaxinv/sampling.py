"""Random latents: draws from the prior, classes, and the truncation of W."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.checks import check_whole
from jaxinv.spaces import SPACES, STATISTICS

if TYPE_CHECKING:
    from jaxinv.generators.base import Generator
    from jaxinv.types import Array, Latents, Params


def average(params: Params) -> Array:
    """Mean of W [w_dim]: the running average of training if the checkpoint has it, else measured.

    Raises `ValueError` for a generator without a W space.
    """
    stored = params.get("mapping", {}).get("average")
    found = params.get(STATISTICS, {}).get("mean") if stored is None else stored
    if found is None:
        raise ValueError("the generator has no W space to truncate; allowed: psi = 1")
    return found


def truncate(params: Params, w: Array, psi: float, cutoff: int | None = None) -> Array:
    """w [w_dim] or w+ [rows, w_dim] drawn towards the mean of W by the factor `psi`.

    With `cutoff` only the first rows of w+ are. Karras et al. 2019 (StyleGAN), appendix B.
    """
    mean = average(params)
    moved = mean + psi * (w - mean)
    if cutoff is None:
        return moved
    return jnp.where(jnp.arange(len(w))[:, None] < cutoff, moved, w)


def one_hot(gen: Generator, label: int | None) -> Array | None:
    """The class as [classes] zeros and a one; `ValueError` for a class that there is not."""
    count = gen.spec.labels
    if not count:
        if label is not None:
            raise ValueError(f"label {label}: generator {gen.spec.name!r} has no classes")
        return None
    if label is None or not 0 <= label < count:
        raise ValueError(f"label {label}; allowed: 0 to {count - 1} (generator {gen.spec.name!r})")
    return jax.nn.one_hot(label, count)


def sample_latents(
    gen: Generator,
    params: Params,
    count: int,
    *,
    seed: int = 0,
    psi: float = 1.0,
    label: int | None = None,
) -> Latents:
    """`count` draws with a leading axis: {"w": [count, w_dim]}, or {"z": ...} where there is no W.

    Raises `ValueError` for a count below 1, a class that the generator does not have, and a `psi`
    other than 1 where there is no W.
    """
    check_whole("count", count, 1)
    classes = one_hot(gen, label)
    keys = jax.random.split(jax.random.key(seed), count)
    z = jax.vmap(partial(SPACES["z"].sample, gen, params))(keys)
    if not gen.spec.w_dim:
        if psi != 1.0:
            average(params)
        return {"z": z}
    given = () if classes is None else (jnp.broadcast_to(classes, (count, len(classes))),)
    w = jax.jit(jax.vmap(lambda *a: gen.map(params, *a)))(z, *given)
    return {"w": w if psi == 1.0 else truncate(params, w, psi)}
