"""Slopes of a batch in parts, for batches that do not fit into memory at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree


def mean_gradients(
    loss: Callable[[Tree, Tree, Key], tuple[Array, Tree]],
    params: Tree,
    batch: Tree,
    key: Key,
    parts: int = 1,
) -> tuple[tuple[Array, Tree], Tree]:
    """((value, aux), slopes) of loss(params, batch, key) -> (value, aux), means over `parts` parts.

    The parts are made one after the other, of every parts-th row. Raises `ValueError` for a batch
    that they do not divide.
    """
    graded = jax.value_and_grad(loss, has_aux=True)
    if parts == 1:
        return graded(params, batch, key)
    rows = len(jax.tree.leaves(batch)[0])
    if rows % parts:
        raise ValueError(f"batch {rows} in {parts} parts; allowed: parts that divide it")
    # Rows stay on their devices: the leading axis, which is shared out, is not the one of parts.
    split = jax.tree.map(
        lambda a: a.reshape(rows // parts, parts, *a.shape[1:]).swapaxes(0, 1), batch
    )
    keys = jax.random.split(key, parts)
    found: Any = jax.eval_shape(lambda: graded(params, jax.tree.map(lambda a: a[0], split), key))
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), found)

    def add(total: Any, given: tuple[Tree, Key]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, graded(params, *given)), None

    total, _ = jax.lax.scan(add, zeros, (split, keys))
    return jax.tree.map(lambda a: a / parts, total)
