"""Solvers that draw one candidate per step and look at nothing but its loss."""

# jax annotates its arguments only in part (here: jnp.sqrt, where).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.solvers.base import Evaluation, Solver

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree

SUCCESS = 0.2  # the rate of improvements that the one-fifth rule aims at


class State(NamedTuple):
    """One lane: the parent and its loss, the standard deviation, and the next candidate.

    The vector is [n]; `point` is the caller's own tree.
    """

    parent: Array
    loss: Array
    sigma: Array
    point: Tree


def draws(sigma: float, *, adapt: bool) -> Solver:
    """Normal draws around the parent, the start evaluated first.

    With `adapt`, the (1+1)-ES: a candidate that is no worse becomes the parent, and sigma grows by
    exp(0.8 / d) or shrinks by exp(0.2 / d), d = sqrt(n + 1), so that one draw in five succeeds
    (Rechenberg 1973; Hansen, Arnold & Auger 2015, "Evolution strategies"). Without it, random
    search: the parent stays the start, and so does sigma.
    """

    def init(u: Tree) -> State:
        x = ravel_pytree(u)[0]
        return State(x, jnp.full((), jnp.inf), jnp.full((), sigma), u)

    def step(
        key: Key, fn: Callable[..., Any], state: State, progress: Array
    ) -> tuple[State, Evaluation]:
        del progress
        x, unravel = ravel_pytree(state.point)
        loss, aux = fn(state.point, key)
        first = jnp.isinf(state.loss)  # the parent has not been evaluated
        worth = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        seen = Evaluation(state.point, loss, aux, first & ~jnp.isfinite(loss))
        if adapt:
            better = worth <= state.loss
            rate = jnp.where(first, 0.0, (better - SUCCESS) / jnp.sqrt(x.size + 1))
            state = state._replace(
                parent=jnp.where(better, x, state.parent),
                loss=jnp.minimum(worth, state.loss),
                sigma=state.sigma * jnp.exp(rate),
            )
        else:
            state = state._replace(loss=jnp.minimum(worth, state.loss))
        noise = jax.random.normal(jax.random.fold_in(key, 1), x.shape)
        return state._replace(point=unravel(state.parent + state.sigma * noise)), seen

    return Solver(init, step)
