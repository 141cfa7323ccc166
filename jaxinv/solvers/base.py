"""The one interface of every solver, and the schedules that scale its steps."""

# jax annotates its arguments only in part (here: jnp.ones).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
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

    A step evaluates `fn(u, key) -> (loss, aux)` exactly once, with its gradient (or a product with
    its derivatives) or without; `progress` in [0, 1) is the fraction of the stage already done.

    A loss that is a sum of squares may say so: `fn.residuals(u, key) -> (vector, aux)`, whose
    squared norm is the loss (see `Squares`). Solvers that can use it call it instead of `fn`.

    `frozen`: the solver compares losses of several steps, so that the function must not change from
    step to step. It is given keys that stay the same for many steps; equal keys promise the same
    function, and where the key changes the solver starts afresh with what it knows.
    """

    init: Callable[[Tree], State]
    step: Callable[[Key, Callable[..., Any], State, Array], tuple[State, Eval]]
    frozen: bool = False


class Squares:
    """The objective whose loss is the squared norm of `residuals(u, key) -> (vector [m], aux)`."""

    def __init__(self, residuals: Callable[[Tree, Key], tuple[Array, Tree]]) -> None:
        self.residuals = residuals

    def __call__(self, u: Tree, key: Key) -> tuple[Array, Tree]:
        """(loss, aux)."""
        vector, aux = self.residuals(u, key)
        return jnp.vdot(vector, vector), aux


def mark(key: Key) -> Array:
    """Two words [2] that tell keys apart, for a state whose solver asks for `frozen` keys."""
    return jax.random.bits(jax.random.fold_in(key, 2), (2,), jnp.uint32)


def factor(schedule: Schedule, progress: Array) -> Array:
    """Value in [0, 1] of `schedule` at `progress`."""
    return FACTORS[schedule.kind](schedule, progress)


def _constant(schedule: Schedule, t: Array) -> Array:
    del schedule, t
    return jnp.ones(())


def _nv_ramp(schedule: Schedule, t: Array) -> Array:
    rise = jnp.minimum(1.0, t / schedule.rise)
    fall = jnp.minimum(1.0, (1.0 - t) / schedule.fall)
    return rise * (0.5 - 0.5 * jnp.cos(jnp.pi * fall))


def _cosine(schedule: Schedule, t: Array) -> Array:
    del schedule
    return 0.5 + 0.5 * jnp.cos(jnp.pi * t)


def _quadratic_decay(schedule: Schedule, t: Array) -> Array:
    return jnp.square(jnp.maximum(0.0, 1.0 - t / schedule.until))


def _exponential(schedule: Schedule, t: Array) -> Array:
    return jnp.asarray(schedule.rate) ** t


def _multi_step(schedule: Schedule, t: Array) -> Array:
    values = [1.0, *(value for _, value in schedule.points)]
    starts = jnp.asarray([start for start, _ in schedule.points])
    return jnp.asarray(values)[jnp.sum(t >= starts)]


def _one_cycle(schedule: Schedule, t: Array) -> Array:
    return schedule.low + (1 - schedule.low) * (1 - 2 * jnp.abs(t - 0.5))


def _one_cycle_drop(schedule: Schedule, t: Array) -> Array:
    low, drop = schedule.low, schedule.drop
    tail = low + (t - drop) / (1 - drop) * (schedule.end - low)
    return jnp.where(t < drop, _one_cycle(schedule, t / drop), tail)


FACTORS: dict[str, Callable[[Schedule, Array], Array]] = {
    "constant": _constant,
    "nv_ramp": _nv_ramp,
    "cosine": _cosine,
    "quadratic_decay": _quadratic_decay,
    "exponential": _exponential,
    "multi_step": _multi_step,
    "one_cycle": _one_cycle,
    "one_cycle_drop": _one_cycle_drop,
}
