"""Targets of an encoder from a short search that starts where it looked.

Guan et al. 2020, Collaborative Learning for Faster StyleGAN Embedding (arXiv:2007.01758), section
3.2: the search goes on from the code, and the encoder learns what the search found.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.encoders.objective import compare, looked_at
from jaxinv.encoders.rollouts import Weights, encode
from jaxinv.solvers.registry import build as build_solver

if TYPE_CHECKING:
    from jaxinv.encoders.examples import Examples
    from jaxinv.encoders.objective import Given, Lesson
    from jaxinv.specs import TargetSearch
    from jaxinv.types import Array, Key, Params, Tree

    State = Any  # of the solver


class Search:
    """The search of a preset as programs of its own; one step is one of them."""

    def __init__(self, lesson: Lesson, search: TargetSearch) -> None:
        self.lesson, self.steps = lesson, search.steps
        self.looking = lesson._replace(preset=lesson.preset.searching(search))
        self.solver = build_solver(search.solver)
        self.begin = jax.jit(self._begin)
        self.step = jax.jit(self._step)
        self.end = jax.jit(self._end)

    def __call__(self, given: Given, params: Params, shown: Examples, key: Key) -> Examples:
        """The examples with what was found as known codes, and its pictures as targets.

        `params` are those of the encoder as it is.
        """
        state, seen = self.begin(given, params, shown)
        for number in range(self.steps):
            progress = jnp.asarray(number / self.steps, jnp.float32)
            own = jax.random.fold_in(key, number)
            state = self.step(given, state, shown, seen, (own, progress))
        return self.end(given, state, shown)

    def _begin(self, given: Given, params: Params, shown: Examples) -> tuple[State, Tree]:
        gen, encoder = self.lesson.gen, self.lesson.encoder
        weights = Weights(params, given.generator)
        latents = jax.vmap(lambda sample: encode(encoder, gen, weights, sample))(shown.samples)
        seen = jax.vmap(partial(looked_at, self.looking, given))(shown.target)
        return self.solver.init(latents[encoder.spec.output]), seen

    def _step(
        self, given: Given, state: State, shown: Examples, seen: Tree, moment: tuple[Key, Array]
    ) -> State:
        def lower(code: Tree, key: Key) -> tuple[Array, tuple[()]]:
            del key
            latents = {self.lesson.encoder.spec.output: code}
            loss, _, _ = compare(
                self.looking, given, latents, shown, seen, progress=moment[1]
            )  # a mean
            return loss * len(shown.target), ()

        state, _ = self.solver.step(moment[0], lower, state, moment[1])
        return state

    def _end(self, given: Given, state: State, shown: Examples) -> Examples:
        lesson, space = self.lesson, self.lesson.encoder.spec.output

        def picture(code: Tree, beside: Tree) -> Array:
            return lesson.gen.synthesize(given.generator, {space: code, **beside}, lesson.size)

        target = jax.vmap(picture)(state.u, shown.given)
        return shown._replace(target=target, known={**shown.known, space: state.u})
