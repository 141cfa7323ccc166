"""The critics that learn beside an encoder: of its codes, and of the pictures of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.encoders.objective import rows_that_differ
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.generators.base import convert
from jaxinv.solvers.registry import build as build_solver
from jaxinv.specs.vocabulary import CRITIC
from jaxinv.training.critics import (
    critic_loss,
    gradient_penalty,
    latent_critic,
    latent_critic_init,
    pool_init,
    query,
)

if TYPE_CHECKING:
    from jaxinv.encoders.examples import Examples
    from jaxinv.encoders.objective import Given, Lesson, Seen
    from jaxinv.specs import AdversarySpec
    from jaxinv.types import Array, Key, Metrics, Params, State

CODES, IMAGES = "codes", "images"
SCORE = latent_critic


class Adversaries:
    """All critics of a preset, as pure functions of their states {kind: state}."""

    def __init__(self, lesson: Lesson, steps: int) -> None:
        self.lesson, self.steps = lesson, steps
        self.specs = {critic.judges: critic for critic in lesson.preset.critics}
        self.solvers = {kind: build_solver(spec.solver) for kind, spec in self.specs.items()}
        self.judge = jax.jit(self._judge, static_argnums=0)
        self.penalise = jax.jit(self._penalise, static_argnums=0)

    def init(self, key: Key, generator: Params) -> State:
        """Fresh critics of codes; of pictures, the generator's discriminator as it is.

        Raises `ValueError` where there is none.
        """
        state: State = {}
        for kind, spec in self.specs.items():
            width = self.lesson.encoder.spec.width
            if kind == CODES:
                params = latent_critic_init(jax.random.fold_in(key, 1), width, spec.layers)
                pool = pool_init((width,), spec.pool)
                state[kind] = {"solver": self.solvers[kind].init(params), "pool": pool}
                continue
            if DISCRIMINATOR not in generator or self.lesson.gen.discriminator is None:
                raise ValueError(
                    f"preset {self.lesson.preset.name!r} trains the discriminator of "
                    f"{self.lesson.gen.spec.name!r}, which has none"
                )
            state[kind] = {"solver": self.solvers[kind].init(generator[DISCRIMINATOR])}
        return state

    def nets(self, state: State, given: Given) -> Given:
        """What does not change, with the critics as they are now among the nets."""
        nets: dict[str, Any] = dict(given.nets)
        if CODES in state:
            nets[CRITIC] = jax.tree_util.Partial(SCORE, state[CODES]["solver"].u)
        if IMAGES in state:
            nets[DISCRIMINATOR] = {DISCRIMINATOR: state[IMAGES]["solver"].u}
        return given._replace(nets=nets)

    def step(
        self, state: State, given: Given, learned: tuple[Examples, Seen], key: Key, number: int
    ) -> tuple[State, Metrics]:
        """Every critic a step on, and now and then its penalty."""
        progress, told = jnp.asarray(number / self.steps, jnp.float32), dict[str, Any]()
        for kind, spec in self.specs.items():
            own = jax.random.split(jax.random.fold_in(key, len(told)), 2)
            moments = (own[0], progress), (own[1], progress)
            found, loss = self.judge(kind, state[kind], given, learned, moments[0])
            if spec.r1 and number % spec.every == 0:
                found = self.penalise(kind, found, given, learned, moments[1])
            state, told[f"critic_{kind}"] = {**state, kind: found}, loss
        return state, told

    def _judge(
        self,
        kind: str,
        state: State,
        given: Given,
        learned: tuple[Examples, Seen],
        moment: tuple[Key, Array],
    ) -> tuple[State, Array]:
        (real_key, fake_key, step_key), progress = jax.random.split(moment[0], 3), moment[1]
        real = self._real(kind, given, learned, real_key)
        fake = learned[1].pictures
        if kind == CODES:
            pool, fake = self._chosen(state, learned[1], fake_key, progress)
            state = {**state, "pool": pool}

        def loss(params: Params, key: Key) -> tuple[Array, tuple[()]]:
            del key
            score = self._score(kind, params)
            return critic_loss(score(real), score(fake)), ()

        solver, found = self.solvers[kind].step(step_key, loss, state["solver"], progress)
        return {**state, "solver": solver}, found.loss

    def _penalise(
        self,
        kind: str,
        state: State,
        given: Given,
        learned: tuple[Examples, Seen],
        moment: tuple[Key, Array],
    ) -> State:
        real_key, step_key = jax.random.split(moment[0])
        real = self._real(kind, given, learned, real_key)
        spec: AdversarySpec = self.specs[kind]

        def loss(params: Params, key: Key) -> tuple[Array, tuple[()]]:
            del key
            slopes = gradient_penalty(self._score(kind, params), real)
            return spec.r1 / 2 * spec.every * slopes, ()

        solver, _ = self.solvers[kind].step(step_key, loss, state["solver"], moment[1])
        return {**state, "solver": solver}

    def _score(self, kind: str, params: Params) -> Any:
        if kind == CODES:
            return partial(latent_critic, params)
        judge: Any = self.lesson.gen.discriminator
        return partial(judge.scores, {DISCRIMINATOR: params})

    def _real(self, kind: str, given: Given, learned: tuple[Examples, Seen], key: Key) -> Array:
        """Codes [b, width] of the mapping network, or the pictures of the batch."""
        target = learned[0].target
        if kind == IMAGES:
            return target
        gen, params, space = self.lesson.gen, given.generator, self._row_space
        keys = jax.random.split(key, len(target))
        return jax.vmap(lambda k: convert(gen, params, draw_prior(gen.spec, k), space))(keys)

    @property
    def _row_space(self) -> str:
        return self.lesson.encoder.spec.output.removesuffix("+")

    def _chosen(self, state: State, seen: Seen, key: Key, progress: Array) -> tuple[Any, Array]:
        """The pool, and what the critic is shown: one row of every code, of those that differ."""
        draw, exchange = jax.random.split(key)
        codes = seen.codes[self.lesson.encoder.spec.output]
        if codes.ndim == 3:
            last = rows_that_differ(self.lesson.preset.rows, codes.shape[1], progress)
            most = codes.shape[1] if last is None else last + 1
            rows = jax.random.randint(draw, (len(codes),), 0, most)
            codes = codes[jnp.arange(len(codes)), rows]
        return query(state["pool"], codes, exchange)
