"""The one interface of every solver, and the schedules that scale its steps."""

# jax annotates its arguments only in part (here: jnp.ones).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import Schedule
    from jaxinv.types import Array, Key, Tree

State: TypeAlias = Any


class Eval(NamedTuple):
    """The point that WAS evaluated, its loss, what the objective reported, and whether it is over.

    Because it is the evaluated point, best-so-far costs nothing. `lost` is true when the solver
    cannot go on: its state must not be used again. A loss that is not finite is not the end of a
    line search, which answers with a shorter step. `taken` is false where the solver looked at the
    point but does not stand on it, so that keep "last" passes it over.
    """

    u: Tree
    loss: Array
    aux: Tree
    lost: Array
    taken: Array | bool = True


class Solver(NamedTuple):
    """init(u) -> state; step(key, fn, state, progress) -> (state, Eval).

    A step evaluates `fn(u, key) -> (loss, aux)` exactly once, with its gradient or without;
    `progress` in [0, 1) is the fraction of the stage already done. A solver that is `frozen`
    compares evaluations with one another: its keys stay the same for a chunk of steps.
    """

    init: Callable[[Tree], State]
    step: Callable[[Key, Callable[..., Any], State, Array], tuple[State, Eval]]
    frozen: bool = False


def factor(schedule: Schedule, progress: Array) -> Array:
    """Value in [0, 1] of `schedule` at `progress`."""
    if schedule.kind == "nv_ramp":
        rise = jnp.minimum(1.0, progress / schedule.rise)
        fall = jnp.minimum(1.0, (1.0 - progress) / schedule.fall)
        return rise * (0.5 - 0.5 * jnp.cos(jnp.pi * fall))
    if schedule.kind == "cosine":
        return 0.5 + 0.5 * jnp.cos(jnp.pi * progress)
    if schedule.kind == "quadratic_decay":
        return jnp.square(jnp.maximum(0.0, 1.0 - progress / schedule.until))
    return jnp.ones(())
