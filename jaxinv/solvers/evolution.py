"""Population solvers of evosax, one candidate per step: the loss alone is used, never a gradient.

A generation is evaluated over as many steps as it has candidates; then the strategy is told their
losses and asked for the next ones. The start is evaluated first and belongs to the first
generation, whose other candidates are scattered around it with the initial standard deviation.

A candidate whose loss is not finite counts as the worst of its generation.
"""

# jax annotates its arguments only in part, evosax hardly.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.solvers.base import Evaluation, Solver, strip_weak_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree

# The class of evosax, and whether it moves a distribution (the others keep their candidates).
STRATEGIES = {
    "cma": ("CMA_ES", True),
    "sep-cma": ("Sep_CMA_ES", True),
    "de": ("DifferentialEvolution", False),
    "pso": ("PSO", False),
}
MOST = 1024  # unknowns of "cma": its covariance is [n, n], decomposed once per generation
WAIT, SCATTER, BREED = 0, 1, 2


class Strategy(NamedTuple):
    """One of evosax for a number of unknowns: its functions, its numbers, its kind."""

    algorithm: Any
    params: Any
    moves: bool


class State(NamedTuple):
    """One lane: candidates [p, n] and their losses [p]; `tick` counts evaluations.

    `point` is the candidate that is evaluated next, as the caller's own tree.
    """

    tick: Array
    point: Tree
    inner: Any
    candidates: Array
    losses: Array


def size_for(unknowns: int) -> int:
    """Candidates per generation, 4 + 3 ln n (Hansen 2016, "The CMA evolution strategy", eq. 48)."""
    return 4 + int(3 * math.log(unknowns))


@lru_cache(maxsize=64)
def find(name: str, unknowns: int, size: int) -> Strategy:
    """The strategy; `ValueError` where evosax is absent, or the unknowns are too many for it."""
    if name == "cma" and unknowns > MOST:
        raise ValueError(
            f"solver 'cma' of {unknowns} unknowns; allowed: up to {MOST}, or solver 'sep-cma'"
        )
    algorithms = load(name)
    kind, moves = STRATEGIES[name]
    with jax.ensure_compile_time_eval():
        algorithm: Any = getattr(algorithms, kind)(size, jnp.zeros(unknowns))
        return Strategy(algorithm, algorithm.default_params, moves)


def shape(name: str, x: Array, size: int | None) -> tuple[Strategy, int]:
    """The strategy for x [n], and its candidates per generation."""
    count = size_for(x.size) if size is None else size
    return find(name, x.size, count), count


def load(name: str) -> Any:
    """The strategies of evosax; `ValueError` where it is not installed."""
    try:
        from evosax import algorithms
    except ImportError as error:
        raise ValueError(f"solver {name!r} needs evosax: pip install 'jaxinv[solvers]'") from error
    return algorithms


def begin(strategy: Strategy, x: Array, size: int, sigma: float) -> State:
    """State before the first evaluation, at x [n]; every candidate is the start."""
    algorithm, params, moves = strategy
    key = jax.random.key(0)  # no strategy draws before it is asked
    candidates = jnp.tile(x, (size, 1))
    if moves:
        inner = algorithm.init(key, x, params.replace(std_init=jnp.asarray(sigma)))
    else:
        inner = algorithm.init(key, candidates, jnp.full(size, jnp.inf), params)
    inner = strip_weak_types(inner)
    return State(jnp.zeros((), jnp.int32), x, inner, candidates, jnp.full(size, jnp.inf))


def wait(key: Key, state: State) -> State:
    """Nothing to do: the generation has further candidates."""
    del key
    return state


def scatter(sigma: float, key: Key, state: State) -> State:
    """The first generation around the start, which stays its first candidate."""
    offsets = sigma * jax.random.normal(key, state.candidates.shape)
    return state._replace(candidates=state.candidates + offsets.at[0].set(0.0))


def breed(strategy: Strategy, key: Key, state: State) -> State:
    """Tell the strategy about the generation and ask it for the next."""
    algorithm, params, _ = strategy
    told, asked = jax.random.split(key)
    inner = algorithm.tell(told, state.candidates, state.losses, state.inner, params)[0]
    candidates, inner = algorithm.ask(asked, inner, params)
    return state._replace(inner=inner, candidates=candidates)


def population(name: str, sigma: float, size: int | None = None) -> Solver:
    """Solver with one loss per step and `size` candidates per generation; see the module's text.

    `sigma` is the initial standard deviation. "cma": Hansen 2016, "The CMA evolution strategy: a
    tutorial"; "sep-cma": its diagonal form (Ros & Hansen 2008); "de": differential evolution (Storn
    & Price 1997); "pso": particle swarms (Kennedy & Eberhart 1995).
    """
    load(name)

    def init(u: Tree) -> State:
        x = ravel_pytree(u)[0]
        strategy, count = shape(name, x, size)
        return begin(strategy, x, count, sigma)._replace(point=u)

    def step(
        key: Key, fn: Callable[..., Any], state: State, progress: Array
    ) -> tuple[State, Evaluation]:
        del progress
        x, unravel = ravel_pytree(state.point)
        strategy, count = shape(name, x, size)
        loss, aux = fn(state.point, key)
        seen = Evaluation(state.point, loss, aux, (state.tick == 0) & ~jnp.isfinite(loss))
        place = state.tick % count
        worth = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        state = state._replace(losses=state.losses.at[place].set(worth))
        # Under a map over lanes only the branch that is taken costs time.
        act = jnp.where(place == count - 1, BREED, jnp.where(state.tick == 0, SCATTER, WAIT))
        branches = [wait, partial(scatter, sigma), partial(breed, strategy)]
        moved: State = jax.lax.switch(act, branches, jax.random.fold_in(key, 1), state)
        following: Array = moved.candidates[(state.tick + 1) % count]
        return moved._replace(tick=state.tick + 1, point=unravel(following)), seen

    return Solver(init, step)
