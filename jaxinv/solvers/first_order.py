"""Any optax gradient transformation as a solver."""

# jax and optax annotate their arguments only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxinv.solvers.base import Evaluation, Solver
from jaxinv.solvers.schedules import schedule_value

if TYPE_CHECKING:
    from jaxinv.specs import Schedule
    from jaxinv.types import Array, Key, Tree


def adamw(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 1e-4
) -> optax.GradientTransformation:
    """Adam with weight decay beside it (Loshchilov & Hutter 2019, arXiv:1711.05101)."""
    return optax.chain(optax.scale_by_adam(b1, b2, eps), optax.add_decayed_weights(weight_decay))


def momentum(decay: float = 0.9) -> optax.GradientTransformation:
    """Heavy ball (Polyak 1964)."""
    return optax.trace(decay)


TRANSFORMS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": optax.scale_by_adam,
    "adamax": optax.scale_by_adamax,
    "adamw": adamw,
    "momentum": momentum,
    "radam": optax.scale_by_radam,
    "ranger": optax.scale_by_radam,
    "rmsprop": optax.scale_by_rms,
    "sgd": optax.identity,
}


class Extras(NamedTuple):
    """What goes with any transformation.

    `lookahead` > 0: after as many steps the point goes back to the share `pull` of the way that
    they made (Zhang et al. 2019, Lookahead, algorithm 1). `centralize` 1: gradients of arrays with
    two or more axes have mean 0 over all but the last, on which the outputs of a layer lie (Yong et
    al. 2020, Gradient Centralization, equation 1).
    """

    lookahead: int = 0
    pull: float = 0.5
    centralize: int = 0


# Ranger is RAdam with lookahead; its later form centralises gradients too, which suits weights but
# keeps a code from moving its mean.
EXTRAS = {"ranger": Extras(6, 0.5)}


def _centralized(gradient: Array) -> Array:
    if gradient.ndim < 2:
        return gradient
    return gradient - jnp.mean(gradient, tuple(range(gradient.ndim - 1)), keepdims=True)


CENTRALIZE = optax.stateless(lambda updates, params: jax.tree.map(_centralized, updates))


class State(NamedTuple):
    """The current point, the transformation's own state, lookahead's slow point and its count."""

    u: Tree
    inner: Any
    slow: Tree = None
    tick: Any = None


class UpdateOptions(NamedTuple):
    """What shapes the steps beside the transformation.

    `rates`: factors of the learning rate for some of the variables, by name; `hook(before,
    after, key)` gives the point after every step.
    """

    extras: Extras = Extras()
    rates: tuple[tuple[str, float], ...] = ()
    hook: Callable[[Tree, Tree, Key], Tree] | None = None


PLAIN = UpdateOptions()


def first_order(
    transform: optax.GradientTransformation,
    learning_rate: float,
    schedule: Schedule,
    moves: UpdateOptions = PLAIN,
) -> Solver:
    """u <- u - learning_rate x schedule x transform(gradient), hooked; one evaluation per step."""
    extras, rates, hook = moves
    transform = optax.chain(CENTRALIZE, transform) if extras.centralize else transform

    def init(u: Tree) -> State:
        slow = (u, jnp.zeros((), jnp.int32)) if extras.lookahead else ()
        return State(u, transform.init(u), *slow)

    def step(
        key: Key, fn: Callable[..., Any], state: State, progress: Array
    ) -> tuple[State, Evaluation]:
        (loss, aux), gradient = jax.value_and_grad(fn, has_aux=True)(state.u, key)
        update, inner = transform.update(gradient, state.inner, state.u)
        rate = learning_rate * schedule_value(schedule, progress)
        update = _scaled(update, dict(rates))

        def move(at: Array, by: Array) -> Array:
            return at - rate * by

        moved = State(jax.tree.map(move, state.u, update), inner, state.slow, state.tick)
        moved = _looked_ahead(moved, extras) if extras.lookahead else moved
        if hook is not None:
            moved = moved._replace(u=hook(state.u, moved.u, jax.random.fold_in(key, 1)))
        return moved, Evaluation(state.u, loss, aux, ~jnp.isfinite(loss))

    return Solver(init, step)


def _scaled(update: Tree, rates: dict[str, float]) -> Tree:
    """Every named part of an update times its rate."""
    if not rates:
        return update
    return {name: _times(part, rates.get(name, 1.0)) for name, part in update.items()}


def _times(part: Tree, schedule_value: float) -> Tree:
    def scale(a: Array) -> Array:
        return schedule_value * a

    return jax.tree.map(scale, part)


def _looked_ahead(state: State, extras: Extras) -> State:
    tick = state.tick + 1
    due = tick % extras.lookahead == 0

    def slow(at: Array, to: Array) -> Array:
        return jnp.where(due, at + extras.pull * (to - at), at)

    def back(held: Array, at: Array) -> Array:
        return jnp.where(due, held, at)

    held = jax.tree.map(slow, state.slow, state.u)
    return State(jax.tree.map(back, held, state.u), state.inner, held, tick)
