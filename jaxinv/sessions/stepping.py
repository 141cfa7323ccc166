"""Searches that are made one evaluation at a time, with terms that remember.

The engine of `inversion` runs whole stages of many images; here one picture is searched for while
someone looks on. What a term remembers from step to step (where points are now, say) is its memory.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxinv.solvers.base import strip_weak_types, tree_where

if TYPE_CHECKING:
    from jaxinv.solvers.base import Solver
    from jaxinv.types import Array, Key, Latents, Tree


class Task(Protocol):
    """What is searched for: hashable facts, for which the steps are compiled once."""

    @property
    def solver(self) -> Solver:
        """What makes the steps."""
        ...

    @property
    def keep_best(self) -> bool:
        """Whether the point with the lowest loss counts, or the last one."""
        ...

    def prepare(self, weights: Any, given: Any) -> Any:
        """What all steps share, computed once from what the caller gives."""
        ...

    def begin(self, weights: Any, given: Any) -> tuple[Tree, Tree]:
        """The codes and the memory before the first step."""
        ...

    def loss(
        self, weights: Any, given: Any, codes: Tree, memory: Tree, key: Key
    ) -> tuple[Array, Tree]:
        """The loss at some codes, and the memory after it was looked at."""
        ...

    def over(self, given: Any, memory: Tree) -> Array:
        """Whether there is nothing left to do."""
        ...

    def latents(self, weights: Any, given: Any, codes: Tree) -> Latents:
        """What is drawn at some codes."""
        ...


class Moment(NamedTuple):
    """Where a search is: the solver's state, the codes that count, and what was seen of them."""

    inner: Any
    codes: Tree
    memory: Tree
    loss: Array
    steps: Array
    over: Array


@partial(jax.jit, static_argnums=0)
def _prepare(task: Task, weights: Any, given: Any) -> Any:
    return task.prepare(weights, given)


@partial(jax.jit, static_argnums=0)
def _begin(task: Task, weights: Any, given: Any) -> Moment:
    codes, memory = task.begin(weights, given)
    infinite, none = jnp.full((), jnp.inf), jnp.zeros((), jnp.int32)
    begun = Moment(task.solver.init(codes), codes, memory, infinite, none, jnp.zeros((), bool))
    return strip_weak_types(begun)  # as `_step` gives them, which is then compiled once


@partial(jax.jit, static_argnums=0)
def _step(task: Task, weights: Any, given: Any, now: Moment) -> Moment:
    def fn(codes: Tree, key: Key) -> tuple[Array, Tree]:
        return task.loss(weights, given, codes, now.memory, key)

    key = jax.random.key(0) if task.solver.fixed_objective else jax.random.key(now.steps)
    inner, seen = task.solver.step(key, fn, now.inner, jnp.zeros(()))
    finite = jnp.isfinite(seen.loss)
    better = finite & (seen.loss < now.loss) if task.keep_best else finite & seen.accepted
    codes, loss = tree_where(better, (seen.u, seen.loss), (now.codes, now.loss))
    memory = tree_where(better, seen.aux, now.memory)
    over = task.over(given, memory) | seen.failed
    return strip_weak_types(Moment(inner, codes, memory, loss, now.steps + 1, over))


@partial(jax.jit, static_argnums=0)
def _latents(task: Task, weights: Any, given: Any, codes: Tree) -> Latents:
    return task.latents(weights, given, codes)


class Search:
    """One search, made step by step; every step is one evaluation of its loss.

    Searches of equal tasks, and of latents that hold the same, share their compiled programs.
    """

    def __init__(self, task: Task, weights: Any, given: Any) -> None:
        self.task, self.weights = task, weights
        self.given = _prepare(task, weights, given)
        self.now = _begin(task, weights, self.given)

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return int(self.now.steps)

    @property
    def over(self) -> bool:
        """Whether a further step would change nothing: what was wanted is reached, or it failed."""
        return bool(self.now.over)

    def step(self) -> Moment:
        """Make one step, unless the search is over."""
        if not self.over:
            self.now = _step(self.task, self.weights, self.given, self.now)
        return self.now

    def run(self, steps: int) -> None:
        """Make steps until there are as many as `steps`, or the search is over."""
        while self.steps < steps and not self.over:
            self.step()

    def latents(self) -> Latents:
        """The latents of ONE sample that the search has reached."""
        return _latents(self.task, self.weights, self.given, self.now.codes)
