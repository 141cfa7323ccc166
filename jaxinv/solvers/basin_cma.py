"""A population over basins: every candidate is refined by Adam, and told as if it were not.

BasinCMA and its kin (Huh et al. 2020, pix2latent, section 3). A strategy proposes; `inner` steps of
Adam refine the proposal; the loss AFTER them is told to the strategy for the proposal BEFORE them,
so that it searches among the places to start from, not among the places that were reached.

One gradient per step: a proposal takes `inner` + 1 of them, the last of which is the loss that is
told. The best point of all is among the refined ones. A refinement that ends in a loss that is not
finite counts as the worst of its generation.
"""

# jax and optax annotate their arguments only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jaxinv.solvers.base import Evaluation, Solver, tree_where
from jaxinv.solvers.evolution import (
    BREED,
    SCATTER,
    STRATEGIES,
    WAIT,
    begin,
    breed,
    load,
    scatter,
    shape,
    wait,
)
from jaxinv.solvers.evolution import State as Outer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree

ADAM = optax.scale_by_adam()
PREFIX = "basin-"
BASINS = tuple(PREFIX + name for name in STRATEGIES)


class Options(NamedTuple):
    """What the solvers take.

    population: candidates per generation, by default as many as the strategy alone takes; inner:
    steps of Adam per candidate; inner_rate: their learning rate.
    """

    population: int | None = None
    inner: int = 30
    inner_rate: float = 0.05


DEFAULTS = Options()


class State(NamedTuple):
    """One lane: the population (its `tick` counts candidates that are done) and the refinement.

    `point` is evaluated next, as the caller's own tree, after `steps` steps of Adam.
    """

    outer: Outer
    adam: Any
    steps: Array
    point: Tree


def basin(name: str, sigma: float, options: Options = DEFAULTS) -> Solver:
    """Solver "basin-cma", "basin-sep-cma", "basin-de" or "basin-pso"; see the module's text.

    `sigma` is the initial standard deviation of the candidates.
    """
    strategy_name = name.removeprefix(PREFIX)
    load(strategy_name)

    def init(u: Tree) -> State:
        x = ravel_pytree(u)[0]
        strategy, count = shape(strategy_name, x, options.population)
        outer = begin(strategy, x, count, sigma)
        return State(outer, ADAM.init(x), jnp.zeros((), jnp.int32), u)

    def step(
        key: Key, fn: Callable[..., Any], state: State, progress: Array
    ) -> tuple[State, Evaluation]:
        del progress
        x, unravel = ravel_pytree(state.point)
        strategy, count = shape(strategy_name, x, options.population)
        (loss, aux), tree = jax.value_and_grad(fn, has_aux=True)(state.point, key)
        outer, done = state.outer, state.steps == options.inner
        start = (outer.tick == 0) & (state.steps == 0)
        place = outer.tick % count
        worth = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        told = outer.losses.at[place].set(jnp.where(done, worth, outer.losses[place]))
        outer = outer._replace(losses=told, tick=outer.tick + done)
        act = jnp.where(done & (place == count - 1), BREED, jnp.where(start, SCATTER, WAIT))
        branches = [wait, partial(scatter, sigma), partial(breed, strategy)]
        outer = jax.lax.switch(act, branches, jax.random.fold_in(key, 1), outer)
        adapted: Any = ADAM.update(ravel_pytree(tree)[0], state.adam)
        update, adam = adapted
        following: Array = outer.candidates[outer.tick % count]
        refined = State(outer, adam, state.steps + 1, x - options.inner_rate * update)
        fresh = State(outer, ADAM.init(x), jnp.zeros((), jnp.int32), following)
        moved = tree_where(done, fresh, refined)
        seen = Evaluation(state.point, loss, aux, start & ~jnp.isfinite(loss))
        return moved._replace(point=unravel(moved.point)), seen

    return Solver(init, step)
