"""L-BFGS whose line search never makes another lane wait: one evaluation per tick, accepted or not.

Each tick evaluates the trial point of ONE lane; a refused trial is shortened and retried at the
next tick, so a batch of lanes spends exactly one evaluation per tick (Nocedal & Wright 2006,
algorithms 3.1 and 7.4). With `warmup` > 0 the first ticks are Adam steps, and their second moment
becomes the diagonal metric of the quasi-Newton phase, which starts at the best point seen.

A trial whose loss or gradient is not finite is refused like any other that is too long. Before the
line search there is nothing to shorten: the lane is lost.

Where the key changes, the function does: its losses cannot be compared with those before, nor can
its gradients. The evaluated point is accepted as it is and no pair is stored; the history stays.
"""

# jax and optax annotate their arguments only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jaxinv.solvers.base import Evaluation, Solver, key_fingerprint, tree_where

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree

ADAM = optax.scale_by_adam()
ADAM_DECAY = 0.999
ARMIJO = 1e-4
CURVATURE = 1e-10
SHORTEST = 1e-6


class Options(NamedTuple):
    """What the solver takes.

    history: pairs kept; warmup: Adam ticks before; rate: their step; first: step length of the
    first quasi-Newton trial in units of the scaled gradient; longest: bound of any step, in units
    of the first; stretch: factor of the steps in directions that the history says nothing of;
    adapt: without a warm-up, the metric follows the gradients as Adam's does, as if `adapt`
    gradients alike in all coordinates had been seen before (0: the identity).
    """

    history: int = 10
    warmup: int = 0
    rate: float = 0.1
    first: float = 0.05
    max_step: float = 10.0
    initial_scale: float = 1.0
    adapt: int = 0


DEFAULTS = Options()


class State(NamedTuple):
    """Everything of one lane; vectors [n], history [m, n]. `tick` counts evaluations.

    `power` is the sum of squared gradients, each divided by its mean square.
    """

    tick: Array
    x: Array
    loss: Array
    gradient: Array
    direction: Array
    length: Array
    metric: Array
    power: Array
    bound: Array
    steps: Array
    changes: Array
    rho: Array
    trial: Array
    adam: Any


class LbfgsState(NamedTuple):
    """The vectors, the next trial as the caller's own tree, and the mark of the function."""

    inner: State
    point: Tree
    key_fingerprint: Array


def two_loop(state: State, initial_scale: float = 1.0) -> Array:
    """-H g from the history (algorithm 7.4) with H0 = scale x metric; empty slots have rho = 0.

    The scale is `initial_scale` times that of equation 7.20, which suits the stiffest directions.
    """

    def back(q: Array, pair: Any) -> tuple[Array, Array]:
        step, change, rho = pair
        alpha = rho * jnp.vdot(step, q)
        return q - alpha * change, alpha

    def forth(r: Array, pair: Any) -> tuple[Array, None]:
        (step, change, rho), alpha = pair
        return r + step * (alpha - rho * jnp.vdot(change, r)), None

    pairs = (state.steps, state.changes, state.rho)
    q, alphas = jax.lax.scan(back, state.gradient, pairs, reverse=True)
    newest = state.changes[-1]
    curvature = jnp.vdot(state.steps[-1], newest) / jnp.vdot(newest, state.metric * newest)
    r = jnp.where(state.rho[-1] > 0, initial_scale * curvature, 1.0) * state.metric * q
    return -jax.lax.scan(forth, r, (pairs, alphas))[0]


def limited(direction: Array, state: State) -> Array:
    """`direction` shortened to the longest allowed length, measured in the metric."""
    length = jnp.sqrt(jnp.vdot(direction, direction / state.metric))
    return direction * jnp.minimum(1.0, state.bound / jnp.maximum(length, 1e-30))


def append(ring: Array, row: Array, keep: Array) -> Array:
    """The ring [m, ...] with `row` as its newest entry, or unchanged where `keep` is false."""
    return jnp.where(keep, jnp.concatenate([ring[1:], row[None]]), ring)


def blank(x: Array, history: int) -> State:
    """State before the first evaluation, at x [n]."""
    ring = jnp.zeros((history, x.size))
    return State(
        tick=jnp.zeros((), jnp.int32),
        x=x,
        loss=jnp.full((), jnp.inf),
        gradient=jnp.zeros_like(x),
        direction=jnp.zeros_like(x),
        length=jnp.ones(()),
        metric=jnp.ones_like(x),
        power=jnp.zeros_like(x),
        bound=jnp.full((), jnp.inf),
        steps=ring,
        changes=ring,
        rho=jnp.zeros(history),
        trial=x,
        adam=ADAM.init(x),
    )


def set_direction(state: State, direction: Array) -> State:
    """Set out from x along `direction` with a full step."""
    direction = limited(direction, state)
    return state._replace(direction=direction, length=jnp.ones(()), trial=state.x + direction)


def adapted(state: State, options: Options) -> State:
    """The metric one over the root of the mean square of gradients so far, `adapt` of them flat."""
    if not options.adapt:
        return state
    squares = jnp.square(state.gradient)
    power = state.power + squares / jnp.maximum(jnp.mean(squares), 1e-30)
    metric = jnp.sqrt((options.adapt + jnp.mean(power)) / (options.adapt + power))
    return state._replace(power=power, metric=metric)


def start_quasi_newton(state: State, options: Options) -> State:
    """Begin the quasi-Newton phase at the best point, in the metric of Adam's second moment."""
    if not options.warmup:
        state = adapted(state, options)
        step = state.metric * state.gradient
        length = jnp.sqrt(jnp.vdot(step, step))
        return set_direction(state, -step / jnp.maximum(length, 1e-30))
    moments: Array = state.adam.nu
    root = jnp.sqrt(moments / (1 - ADAM_DECAY**options.warmup))
    metric = 1.0 / (root + 1e-3 * jnp.sqrt(jnp.mean(root * root)) + 1e-30)
    step = -options.first * metric * state.gradient
    bound = options.max_step * jnp.sqrt(jnp.vdot(step, step / metric))
    return set_direction(state._replace(metric=metric, bound=bound), step)


def adam_step(
    state: State, options: Options, loss: Array, gradient: Array, changed: Array | bool = False
) -> State:
    """One Adam tick; remembers the best point, and at the last tick sets out from it."""
    moved: Any = ADAM.update(gradient, state.adam)
    update, moments = moved
    better = (loss < state.loss) | changed
    state = state._replace(
        x=jnp.where(better, state.trial, state.x),
        loss=jnp.where(better, loss, state.loss),
        gradient=jnp.where(better, gradient, state.gradient),
        trial=state.trial - options.rate * update,
        adam=moments,
    )
    return tree_where(
        state.tick == max(options.warmup, 1) - 1, start_quasi_newton(state, options), state
    )


def advance(state: State, options: Options, loss: Array, gradient: Array, changed: Any) -> State:
    """Accept the trial: store the pair where its curvature is positive, and aim anew.

    Where the function has `changed` there is no pair: the two gradients are not of one function.
    """
    step, change = state.trial - state.x, gradient - state.gradient
    product = jnp.vdot(step, change)
    keep = (product > CURVATURE * jnp.vdot(change, change)) & ~jnp.asarray(changed)
    inverse = 1 / jnp.where(keep, product, 1.0)
    state = state._replace(
        x=state.trial,
        loss=loss,
        gradient=gradient,
        steps=append(state.steps, step, keep),
        changes=append(state.changes, change, keep),
        rho=append(state.rho, inverse, keep),
    )
    state = adapted(state, options) if not options.warmup else state
    return set_direction(state, two_loop(state, options.initial_scale))


def shorten(state: State, options: Options, loss: Array, slope: Array) -> State:
    """Quadratic interpolation within [0.1, 0.5]; a hopeless direction clears the history."""
    t = state.length
    best = -slope * t * t / (2 * (loss - state.loss - slope * t))
    length = jnp.clip(jnp.where(jnp.isfinite(best), best, 0.1 * t), 0.1 * t, 0.5 * t)
    shorter = state._replace(length=length, trial=state.x + length * state.direction)
    fresh = state._replace(rho=jnp.zeros_like(state.rho))
    fresh = set_direction(fresh, -0.1 * options.first * state.metric * state.gradient)
    return tree_where((length < SHORTEST) | (slope >= 0), fresh, shorter)


def usable(loss: Array, gradient: Array) -> Array:
    """Whether an evaluation gave finite numbers throughout."""
    return jnp.isfinite(loss) & jnp.all(jnp.isfinite(gradient))


def line_search(
    state: State, options: Options, loss: Array, gradient: Array, changed: Array | bool = False
) -> State:
    """One line-search tick: Armijo's condition decides between a new and a shorter step.

    The loss never rises from one accepted point to the next: a direction that is not one of descent
    gets no allowance. Where the function has `changed`, any finite trial is accepted.
    """
    slope = jnp.vdot(state.direction, state.gradient)
    enough = loss <= state.loss + ARMIJO * state.length * jnp.minimum(slope, 0.0)
    accepted = (enough | changed) & usable(loss, gradient)
    moved = advance(state, options, loss, gradient, changed)
    return tree_where(accepted, moved, shorten(state, options, loss, slope))


def lbfgs(options: Options = DEFAULTS) -> Solver:
    """Solver with one evaluation per tick; see the module's text."""

    def init(u: Tree) -> LbfgsState:
        return LbfgsState(blank(ravel_pytree(u)[0], options.history), u, jnp.zeros(2, jnp.uint32))

    def step(
        key: Key, fn: Callable[..., Any], lane: LbfgsState, progress: Array
    ) -> tuple[LbfgsState, Evaluation]:
        del progress
        unravel = ravel_pytree(lane.point)[1]
        (loss, aux), tree = jax.value_and_grad(fn, has_aux=True)(lane.point, key)
        gradient, state = ravel_pytree(tree)[0], lane.inner
        warming, finite = state.tick < max(options.warmup, 1), usable(loss, gradient)
        now = key_fingerprint(key)
        changed = jnp.any(now != lane.key_fingerprint)
        state = tree_where(
            warming,
            adam_step(state, options, loss, gradient, changed),
            line_search(state, options, loss, gradient, changed),
        )
        state = state._replace(tick=state.tick + 1)
        known = jnp.where(finite, now, lane.key_fingerprint)
        seen = Evaluation(lane.point, loss, aux, warming & ~finite)
        return LbfgsState(state, unravel(state.trial), known), seen

    return Solver(init, step, fixed_objective=True)
