"""The one interface of every solver, and the schedules that scale its steps."""

# jax annotates its arguments only in part (here: jnp.ones).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree

State: TypeAlias = Any
T = TypeVar("T")


class Evaluation(NamedTuple):
    """The point that WAS evaluated, its loss, what the objective reported, and whether it is over.

    Because it is the evaluated point, best-so-far costs nothing. `failed` is true when the solver
    cannot go on: its state must not be used again. A loss that is not finite is not the end of a
    line search, which answers with a shorter step. `accepted` is false where the solver looked at
    the point but does not stand on it, so that keep "last" passes it over.
    """

    u: Tree
    loss: Array
    aux: Tree
    failed: Array
    accepted: Array | bool = True


class Solver(NamedTuple):
    """init(u) -> state; step(key, fn, state, progress) -> (state, Evaluation).

    A step evaluates `fn(u, key) -> (loss, aux)` exactly once, with its gradient (or a product with
    its derivatives) or without; `progress` in [0, 1) is the fraction of the stage already done.

    A loss that is a sum of squares may say so: `fn.residuals(u, key) -> (vector, aux)`, whose
    squared norm is the loss (see `LeastSquares`). Solvers that can use it call it instead of `fn`.

    `fixed_objective`: the solver compares losses of several steps, so that the function must not
    change from step to step. It is given keys that stay the same for many steps; equal keys promise
    the same function, and where the key changes the solver starts afresh with what it knows.
    """

    init: Callable[[Tree], State]
    step: Callable[[Key, Callable[..., Any], State, Array], tuple[State, Evaluation]]
    fixed_objective: bool = False


class LeastSquares:
    """The objective whose loss is the squared norm of `residuals(u, key) -> (vector [m], aux)`."""

    def __init__(self, residuals: Callable[[Tree, Key], tuple[Array, Tree]]) -> None:
        self.residuals = residuals

    def __call__(self, u: Tree, key: Key) -> tuple[Array, Tree]:
        """(loss, aux)."""
        vector, aux = self.residuals(u, key)
        return jnp.vdot(vector, vector), aux


def key_fingerprint(key: Key) -> Array:
    """Two words [2] that tell keys apart, for the state of a `fixed_objective` solver."""
    return jax.random.bits(jax.random.fold_in(key, 2), (2,), jnp.uint32)


def tree_where(condition: Array, yes: T, no: T) -> T:
    """The tree `yes` where the scalar `condition` holds, otherwise `no`."""
    return jax.tree.map(partial(jnp.where, condition), yes, no)


def strip_weak_types(tree: T) -> T:
    """The tree as arrays whose types are not weak, as those that a compiled loop gives back."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), tree)


def side_by_side(fn: Callable[[Any], T], width: int, lanes: Tree) -> T:
    """`fn` of every lane of a tree with leading axis L, `width` lanes at once on one device."""
    count = jax.tree.leaves(lanes)[0].shape[0]
    if count == 1:  # as in the loop below, without the time to trace a vmap
        return jax.tree.map(lambda a: a[None], fn(jax.tree.map(lambda a: a[0], lanes)))
    if width >= count:
        return jax.vmap(fn)(lanes)
    return jax.lax.map(fn, lanes, batch_size=width if width > 1 else None)
