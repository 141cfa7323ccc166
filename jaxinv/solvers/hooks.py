"""What is done to the codes after every step of a first-order solver."""

# jax annotates its arguments only in part (here: tree.map).
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import Hook
    from jaxinv.types import Array, Key, Tree

    Change = Callable[[Hook, Array, Array, Key], Array]


def standardize(hook: Hook, before: Array, after: Array, key: Key) -> Array:
    """A map shifted and scaled to mean 0 and variance 1."""
    del hook, before, key
    return (after - jnp.mean(after)) * jax.lax.rsqrt(jnp.var(after) + 1e-12)


def sphere(hook: Hook, before: Array, after: Array, key: Key) -> Array:
    """Every vector (last axis) as long as it was."""
    del hook, key
    lengths = (jnp.sum(jnp.square(u), axis=-1, keepdims=True) for u in (before, after))
    was, now = lengths
    return after * jnp.sqrt(was / jnp.maximum(now, 1e-24))


def clamp(hook: Hook, before: Array, after: Array, key: Key) -> Array:
    """Coordinates within the bound."""
    del before, key
    return jnp.clip(after, -hook.bound, hook.bound)


def redraw(hook: Hook, before: Array, after: Array, key: Key) -> Array:
    """Coordinates beyond the bound drawn anew within."""
    del before
    drawn = jax.random.uniform(key, after.shape, minval=-hook.bound, maxval=hook.bound)
    return jnp.where(jnp.abs(after) > hook.bound, drawn, after)


CHANGES: dict[str, Change] = {
    "standardize": standardize,
    "sphere": sphere,
    "clamp": clamp,
    "redraw": redraw,
}


def hook_of(hooks: tuple[Hook, ...]) -> Callable[[Tree, Tree, Key], Tree] | None:
    """One function (codes before, codes after, key) -> codes of all hooks, in their order."""
    if not hooks:
        return None

    def run(before: Tree, after: Tree, key: Key) -> Tree:
        for number, hook in enumerate(hooks):
            own, name = jax.random.fold_in(key, number), hook.variable
            change = CHANGES[hook.kind]
            pairs = jax.tree.map(
                lambda b, a, h=hook, k=own, c=change: c(h, b, a, k), before[name], after[name]
            )
            after = {**after, name: pairs}
        return after

    return run
