"""Training an encoder on a frozen generator: a job for `jaxinv.training.loop`.

The state of a job is a tree of arrays: the solver's, the statistics of normalisations, the average
of the weights where one is kept, and the critics. What does not change is an argument of every
program.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.encoders.adversaries import Adversaries
from jaxinv.encoders.base import AVERAGE, BEFORE, WEIGHTS
from jaxinv.encoders.collaboration import Search
from jaxinv.encoders.layers import STATISTICS
from jaxinv.encoders.loading import RUN_FILE, expected_params, save_encoder
from jaxinv.encoders.objective import Given, Lesson, Seen, rollout, show
from jaxinv.encoders.pretrained import with_pretrained
from jaxinv.encoders.validation import Validation
from jaxinv.io.checkpoints import check_shapes
from jaxinv.latents.sampling import average
from jaxinv.latents.spaces import SPACES
from jaxinv.models.generators.base import convert
from jaxinv.solvers.registry import build as build_solver
from jaxinv.training.averages import moved
from jaxinv.training.logs import read_log
from jaxinv.training.loop import Job

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Array, Key, Metrics, Params, State, Tree

SOLVER, MEAN_WEIGHTS, CRITICS = "solver", "average", "critics"
BEST = "validation"  # the number that is to be low


def encoder_job(
    lesson: Lesson,
    given: Given,
    steps: int,
    held: list[Tree],
    *,
    generator: str = "",
    start: Params | None = None,
) -> Job:
    """The job of training `lesson.encoder` for `steps` steps.

    Batches are those that `examples` takes; `held` are batches that validation looks at. The best
    encoder by validation is written into the run's folder, where `load_encoder` finds it;
    `generator` is what `-g` knows the generator by. `start` are parameters of an encoder to go on
    from; `ValueError` for those of another network.
    """
    if start is not None:
        check_start(lesson, start)
    training = _Training(lesson, given, steps, held, _About(generator, start))
    best = BEST if held else ""
    return Job(training.init, training.step, training.validate, training.export, best=best)


def unchanging(
    gen: Generator, params: Params, spec: EncoderSpec, before: Params | None = None
) -> Params:
    """What training leaves as it is: the mean code, and the encoder before with its parameters."""
    found: Params = {} if before is None else {BEFORE: before}
    if spec.base == "mean":
        found[AVERAGE] = mean_code(gen, params, spec.output)
    return found


def mean_code(gen: Generator, params: Params, space: str) -> Tree:
    """The mean of a space; of W that which the checkpoint keeps, if it does."""
    if space in ("w", "w+", "s"):
        return convert(gen, params, {"w": average(params)}, space)
    return SPACES[space].mean(gen, params)


def check_start(lesson: Lesson, start: Params) -> None:
    """Raise `ValueError` unless an encoder's weights fit the one that goes on from them."""
    own = expected_params(lesson.encoder)
    check_shapes(f"start of {lesson.preset.name!r}", start, {WEIGHTS: own[WEIGHTS]})


class _About(NamedTuple):
    """What the generator is known by, and the parameters to go on from, if any."""

    generator: str
    start: Params | None


class _Training:
    """Pure functions that share the networks and the preset."""

    def __init__(
        self, lesson: Lesson, given: Given, steps: int, held: list[Tree], about: _About
    ) -> None:
        self.lesson, self.given, self.steps, self.about = lesson, given, steps, about
        self.preset = lesson.preset
        self.solver = build_solver(self.preset.solver)
        self.adversaries = Adversaries(lesson, steps)
        self.validation = Validation(lesson, given, held)
        search = self.preset.search
        self.search = None if search is None else Search(lesson, search)
        self.teach = jax.jit(self._teach)
        self.show = jax.jit(partial(show, lesson))

    def init(self, key: Key) -> State:
        """An encoder with fresh weights or those of its start, its solver and its critics."""
        own, others = jax.random.split(key)
        made = self.lesson.encoder.init(own)
        begun = with_pretrained(made[WEIGHTS], self.preset.pretrained, self.given.nets)
        made = {**made, WEIGHTS: begun}
        if self.about.start is not None:
            start = self.about.start
            made = {name: start.get(name, made[name]) for name in (WEIGHTS, STATISTICS)}
        state: State = {SOLVER: self.solver.init(made[WEIGHTS]), STATISTICS: made[STATISTICS]}
        if self.preset.average:
            state[MEAN_WEIGHTS] = made[WEIGHTS]
        state[CRITICS] = self.adversaries.init(others, self.given.generator)
        return state

    def step(self, state: State, batch: Tree, key: Key, number: int) -> tuple[State, Metrics]:
        """A step of the encoder, then one of every critic on what that made."""
        first, second, third = jax.random.split(key, 3)
        progress = jnp.asarray(number / self.steps, jnp.float32)
        shown = self.show(self.given, batch, first)
        if self.search is not None:
            own = jax.random.fold_in(first, 5)
            shown = self.search(self.given, self.params(state), shown, own)
        state, seen, metrics = self.teach(self.given, state, shown, second, progress)
        critics, told = self.adversaries.step(
            state[CRITICS], self.given, (shown, seen), third, number
        )
        return {**state, CRITICS: critics}, {**metrics, **told}

    def _teach(
        self, given: Given, state: State, shown: Any, key: Key, progress: Array
    ) -> tuple[State, Seen, Metrics]:
        judged = self.adversaries.nets(state[CRITICS], given)

        def lower(weights: Params, key: Key) -> tuple[Array, Seen]:
            del key
            both = {WEIGHTS: weights, STATISTICS: state[STATISTICS]}
            return rollout(self.lesson, judged, both, shown, progress)

        solver, found = self.solver.step(key, lower, state[SOLVER], progress)
        seen: Any = found.aux
        state = {**state, SOLVER: solver, STATISTICS: seen.statistics}
        if self.preset.average:
            state[MEAN_WEIGHTS] = moved(state[MEAN_WEIGHTS], solver.u, self.preset.average)
        return state, seen, {"loss": found.loss, **seen.terms}

    def params(self, state: State) -> Params:
        """The parameters of the encoder that a state holds: of the average, where one is kept."""
        weights = state.get(MEAN_WEIGHTS, state[SOLVER].u)
        return {**self.given.encoder, WEIGHTS: weights, STATISTICS: state[STATISTICS]}

    def validate(self, state: State) -> tuple[dict[str, float], dict[str, Any]]:
        """Numbers of the held pictures, and a grid of some of them."""
        return self.validation(self.params(state))

    def export(self, state: State, folder: Path) -> None:
        """Write the encoder, if no earlier one was better."""
        found = [line[BEST] for line in read_log(folder) if BEST in line]
        if found and found[-1] > min(found):
            return
        save_encoder(
            folder / RUN_FILE,
            self.lesson.encoder,
            jax.device_get(self.params(state)),
            generator=self.about.generator,
            metadata={"source": f"jaxinv train-encoder {self.preset.name}"},
        )
