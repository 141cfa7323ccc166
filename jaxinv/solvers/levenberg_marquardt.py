"""Levenberg-Marquardt with conjugate gradients: no matrix is ever formed, and no lane waits.

The system (H + damping) p = -gradient is solved by conjugate gradients, ONE product with H per
tick; then the trial x + p is evaluated, which is one tick too. A refused trial raises the damping
and is shortened along p, as in a line search: every further trial costs one tick, not a new system.

H depends on the objective. With `fn.residuals` it is that of Gauss and Newton, 2 J'J, which is
never negative: a tick is one linearisation with one tangent and one cotangent, whether it makes a
product or a gradient. Without, it is the Hessian itself, a tangent of the gradient, and a direction
of negative curvature ends the system (Steihaug 1983); if it is the first one, the damping is raised
until it is none.

Where the key changes, the function does: the point is evaluated and accepted, and a new system is
begun. The step length of a `SolverSpec` is not used: the damping does its work.
"""

# jax annotates its arguments only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.solvers.base import Evaluation, Solver, key_fingerprint, tree_where

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree

SHORTEST = 1e-4  # shortest part of a step that is tried before a new system is solved
TINY = 1e-30


class Options(NamedTuple):
    """What the solver takes.

    products: most products with H per system; damping: at the beginning, in units of the curvature
    along the first gradient; forcing: part of the gradient at which a system counts as solved.
    """

    products: int = 10
    damping: float = 1e-2
    forcing: float = 0.1


DEFAULTS = Options()


class CGState(NamedTuple):
    """Conjugate gradients after `made` products: step p, remainder and direction, all [n]."""

    step: Array
    residual: Array
    direction: Array
    made: Array


class State(NamedTuple):
    """One lane. `solving`: the next tick makes a product at x, otherwise it evaluates x + p.

    The damping is `damping` x `scale`, and `growth` its next factor after a refusal. `slope` and
    `curvature` make up the model of the loss along p: slope t + bend t^2 / 2, at the length t.
    """

    tick: Array
    x: Array
    loss: Array
    gradient: Array
    system: CGState
    solving: Array
    length: Array
    slope: Array
    curvature: Array
    damping: Array
    growth: Array
    scale: Array
    point: Tree
    key_fingerprint: Array


class Linearization(NamedTuple):
    """One evaluation: loss, what was reported, gradient [n], and H times the tangent [n]."""

    loss: Array
    aux: Tree
    gradient: Array
    product: Array


def begin(gradient: Array) -> CGState:
    """The system before its first product."""
    return CGState(jnp.zeros_like(gradient), -gradient, -gradient, jnp.zeros((), jnp.int32))


def measure(
    fn: Callable[..., Any], point: Tree, key: Key, tangent: Array, product: Array
) -> Linearization:
    """What one tick learns at `point`: its gradient, or where `product` holds H @ tangent.

    Both fields have the same value where only one of them can be had.
    """
    tree = ravel_pytree(point)[1](tangent)
    residuals: Callable[..., Any] | None = getattr(fn, "residuals", None)
    if residuals is None:

        def slope(u: Tree) -> tuple[Tree, Any]:
            seen, gradient = jax.value_and_grad(fn, has_aux=True)(u, key)
            return gradient, seen

        gradient, bent, (loss, aux) = jax.jvp(slope, (point,), (tree,), has_aux=True)
        return Linearization(loss, aux, ravel_pytree(gradient)[0], ravel_pytree(bent)[0])

    def at(u: Tree) -> tuple[Array, Tree]:
        return residuals(u, key)

    linear: Any = jax.linearize(at, point, has_aux=True)
    vector, push, aux = linear
    along = push(tree)
    back: Array = ravel_pytree(
        jax.linear_transpose(push, point)(jnp.where(product, along, vector))
    )[0]
    return Linearization(jnp.vdot(vector, vector), aux, 2 * back, 2 * back)


def usable(found: Linearization) -> Array:
    """Whether an evaluation gave finite numbers throughout."""
    return jnp.isfinite(found.loss) & jnp.all(jnp.isfinite(found.gradient))


def multiply(state: State, options: Options, product: Array) -> State:
    """One step of conjugate gradients; at the last one set out for the trial."""
    step, residual, direction, made = state.system
    first, length = made == 0, jnp.vdot(direction, direction)
    curvature = jnp.vdot(direction, product) / jnp.maximum(length, TINY)
    fresh = jnp.where(jnp.abs(curvature) > 0, jnp.abs(curvature), 1.0)
    scale = jnp.where(state.scale > 0, state.scale, fresh)
    # A first direction of negative curvature becomes one of positive curvature.
    least = jnp.where(first & (curvature < 0), 2 * jnp.abs(curvature) / scale, 0.0)
    damping = jnp.maximum(state.damping, least)
    bent = curvature + damping * scale
    ahead = bent > 0
    stride = jnp.where(ahead, jnp.vdot(residual, residual) / jnp.maximum(bent * length, TINY), 0.0)
    after = residual - stride * (product + damping * scale * direction)
    share = jnp.vdot(after, after) / jnp.maximum(jnp.vdot(residual, residual), TINY)
    system = CGState(step + stride * direction, after, after + share * direction, made + 1)
    small = jnp.vdot(after, after) <= options.forcing**2 * jnp.vdot(state.gradient, state.gradient)
    state = state._replace(system=system, damping=damping, scale=scale)
    over = small | ~ahead | (system.made >= options.products)
    return tree_where(over, start_line_search(state), state)


def start_line_search(state: State) -> State:
    """Aim at the whole step of the system, and note the model of the loss along it."""
    step, residual = state.system.step, state.system.residual
    slope = jnp.vdot(state.gradient, step)
    damped = state.damping * state.scale * jnp.vdot(step, step)
    curvature = -slope - jnp.vdot(residual, step) - damped
    return state._replace(
        solving=jnp.zeros((), bool), length=jnp.ones(()), slope=slope, curvature=curvature
    )


def accept_or_refuse(state: State, found: Linearization, changed: Array) -> State:
    """Accept the trial if the loss has fallen as it should, or shorten it; adapt the damping.

    The damping follows Nielsen's rule (Madsen, Nielsen & Tingleff 2004, "Methods for non-linear
    least squares problems", algorithm 3.16).
    """
    t = state.length
    model = -(state.slope * t + 0.5 * state.curvature * t * t)
    ratio = (state.loss - found.loss) / jnp.maximum(model, TINY)
    fallen = (found.loss < state.loss) & (found.loss <= state.loss + 1e-4 * t * state.slope)
    accepted = (fallen | changed) & usable(found)
    easier = jnp.clip(1 - (2 * jnp.minimum(ratio, 2.0) - 1) ** 3, 1 / 3, 2.0)
    eased = jnp.maximum(state.damping * jnp.where(changed, 1.0, easier), 1e-9)
    moved = state._replace(
        x=state.x + t * state.system.step,
        loss=found.loss,
        gradient=found.gradient,
        system=begin(found.gradient),
        solving=jnp.ones((), bool),
        damping=eased,
        growth=jnp.full((), 2.0),
    )
    return tree_where(accepted, moved, shorten(state, found.loss))


def shorten(state: State, loss: Array) -> State:
    """Quadratic interpolation within [0.1, 0.5]; where that leads nowhere, a new system."""
    t = state.length
    best = -state.slope * t * t / (2 * (loss - state.loss - state.slope * t))
    length = jnp.clip(jnp.where(jnp.isfinite(best), best, 0.1 * t), 0.1 * t, 0.5 * t)
    harder = state._replace(
        length=length,
        damping=jnp.minimum(state.damping * state.growth, 1e9),
        growth=jnp.minimum(2 * state.growth, 1e3),
    )
    anew = harder._replace(system=begin(state.gradient), solving=jnp.ones((), bool))
    return tree_where((length < SHORTEST) | (state.slope >= 0), anew, harder)


def levenberg_marquardt(options: Options = DEFAULTS) -> Solver:
    """Solver with one product or one gradient per tick; see the module's text."""

    def init(u: Tree) -> State:
        x = ravel_pytree(u)[0]
        zero, one = jnp.zeros(()), jnp.ones(())
        return State(
            tick=jnp.zeros((), jnp.int32),
            x=x,
            loss=jnp.full((), jnp.inf),
            gradient=jnp.zeros_like(x),
            system=begin(jnp.zeros_like(x)),
            solving=jnp.zeros((), bool),
            length=one,
            slope=zero,
            curvature=zero,
            damping=jnp.full((), options.damping),
            growth=jnp.full((), 2.0),
            scale=zero,
            point=u,
            key_fingerprint=jnp.zeros(2, jnp.uint32),
        )

    def step(
        key: Key, fn: Callable[..., Any], state: State, progress: Array
    ) -> tuple[State, Evaluation]:
        del progress
        unravel, now = ravel_pytree(state.point)[1], key_fingerprint(key)
        changed = jnp.any(now != state.key_fingerprint)
        solving = state.solving & ~changed
        found = measure(fn, state.point, key, state.system.direction, solving)
        # A new function at x: nothing was set out for, so that the trial is x itself.
        still = state._replace(length=jnp.where(state.solving, 0.0, state.length))
        after = tree_where(
            solving,
            multiply(state, options, found.product),
            accept_or_refuse(still, found, changed),
        )
        ahead = after.x + jnp.where(after.solving, 0.0, after.length) * after.system.step
        finite = usable(found)
        after = after._replace(
            tick=state.tick + 1,
            point=unravel(ahead),
            key_fingerprint=jnp.where(finite, now, state.key_fingerprint),
        )
        seen = Evaluation(state.point, found.loss, found.aux, (state.tick == 0) & ~finite)
        return after, seen

    return Solver(init, step, fixed_objective=True)
