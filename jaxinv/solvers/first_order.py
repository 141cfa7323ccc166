"""Any optax gradient transformation as a solver."""

# jax and optax annotate their arguments only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxinv.solvers.base import Eval, Solver, factor

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import Schedule
    from jaxinv.types import Array, Key, Tree

TRANSFORMS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": optax.scale_by_adam,
    "adamax": optax.scale_by_adamax,
    "radam": optax.scale_by_radam,
    "rmsprop": optax.scale_by_rms,
    "sgd": optax.identity,
}


class State(NamedTuple):
    """The current point and the transformation's own state."""

    u: Tree
    inner: Any


def first_order(
    transform: optax.GradientTransformation,
    learning_rate: float,
    schedule: Schedule,
    *,
    hook: Callable[[Tree], Tree] = lambda u: u,
) -> Solver:
    """u <- hook(u - learning_rate x schedule x transform(gradient)), one evaluation per step."""

    def init(u: Tree) -> State:
        return State(u, transform.init(u))

    def step(key: Key, fn: Callable[..., Any], state: State, progress: Array) -> tuple[State, Eval]:
        (loss, aux), gradient = jax.value_and_grad(fn, has_aux=True)(state.u, key)
        update, inner = transform.update(gradient, state.inner, state.u)
        rate = learning_rate * factor(schedule, progress)

        def move(at: Array, by: Array) -> Array:
            return at - rate * by

        u = jax.tree.map(move, state.u, update)
        return State(hook(u), inner), Eval(state.u, loss, aux, ~jnp.isfinite(loss))

    return Solver(init, step)
