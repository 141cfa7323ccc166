"""Training StyleGAN2 against its discriminator (Karras et al. 2020, arXiv:1912.04958)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxinv.io.image_ops import grid, to_uint8
from jaxinv.metrics.sliced import SMALLEST, texture_distance
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.loading import build
from jaxinv.nn.mixed_precision import cast_params
from jaxinv.specs.checks import check_above, check_at_least, check_choice, check_whole
from jaxinv.specs.vocabulary import PRECISIONS
from jaxinv.training.augmentation import adapted, augmented
from jaxinv.training.averages import decay_by_half_life, moved
from jaxinv.training.critics import critic_loss, generator_loss, gradient_penalty
from jaxinv.training.devices import shared_rows
from jaxinv.training.equalised import discriminator_gain, equalised, generator_gain, scaled
from jaxinv.training.gradients import mean_gradients
from jaxinv.training.loop import Job
from jaxinv.training.stylegan2 import FILE, codes, draws, grown, pictures, save_generator

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Key, Metrics, Params, State, Tree

GENERATOR = "generator"
SHOWN = 64  # samples of a grid
B1, B2, EPSILON = 0.0, 0.99, 1e-8
PATH_DECAY = 0.01  # of the mean path length; Karras et al. 2020, appendix B


@dataclass(frozen=True)
class GanSettings:
    """How a generator is trained.

    Attributes:
        batch: pictures of a step.
        parts: how many parts of it are made one after the other, where memory is short.
        rate: learning rate of both networks, before the factors of `equalised`.
        gamma: weight of R1.
        lazy: steps between two penalties R1.
        path: weight of the path length regularisation; 0: none.
        path_lazy: steps between two of those.
        half_life: of the average of the generator's weights, in pictures.
        mixing: probability that two codes share a picture.
        augment: whether the discriminator sees adaptive flips and shifts.
        dtype: type of the convolutions, "float32" or "bfloat16".
    """

    batch: int = 16
    parts: int = 1
    rate: float = 2e-3
    gamma: float = 1.0
    lazy: int = 16
    path: float = 0.0
    path_lazy: int = 4
    half_life: float = 5000.0
    mixing: float = 0.9
    augment: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("batch", "parts", "lazy", "path_lazy"):
            check_whole(name, getattr(self, name), 1)
        for name in ("rate", "half_life"):
            check_above(name, getattr(self, name), 0)
        for name in ("gamma", "mixing", "path"):
            check_at_least(name, getattr(self, name), 0)
        if self.mixing > 1:
            raise ValueError(f"mixing must be at most 1, got {self.mixing}")
        if self.batch % self.parts:
            raise ValueError(f"batch {self.batch} in {self.parts} parts; allowed: divisors of it")
        check_choice("dtype", self.dtype, PRECISIONS)


def gan_job(
    spec: GeneratorSpec, settings: GanSettings, held: np.ndarray, start: Params | None = None
) -> Job:
    """The job of training `spec` on batches {"image": uint8 [b, s, s, 3], "label": [b, classes]}.

    `held` uint8 [n, s, s, 3] are pictures that validation compares samples with. `start` are the
    parameters of a smaller generator to grow from (see `grown`).
    """
    gan = _Gan(build(spec), settings, held, start)
    return Job(gan.init, gan.step, gan.validate, gan.export, best="texture")


class _Gan:
    """Pure functions that share the networks and the settings."""

    def __init__(
        self, gen: Generator, settings: GanSettings, held: np.ndarray, start: Params | None
    ) -> None:
        if gen.discriminator is None:
            raise ValueError(f"generator {gen.spec.name!r} has no discriminator to train against")
        self.gen, self.judge, self.settings = gen, gen.discriminator, settings
        self.held, self.start = held, start
        self.rates = self._started(jax.random.key(0))[1]
        self.discriminate = jax.jit(self._discriminator_step)
        self.penalise = jax.jit(self._penalty_step)
        self.generate = jax.jit(self._generator_step)
        self.shorten = jax.jit(self._path_step)
        self.sample = jax.jit(self._fakes)

    def _started(self, key: Key) -> tuple[dict[str, Params], dict[str, Params]]:
        first, second = jax.random.split(key)
        own = equalised(self.gen.init, first, generator_gain)
        other = equalised(self.judge.init, second, discriminator_gain)
        params = {GENERATOR: own.params, DISCRIMINATOR: other.params}
        return params, {GENERATOR: own.rates, DISCRIMINATOR: other.rates}

    def init(self, key: Key) -> State:
        """Fresh networks, or grown ones, and fresh optimisers."""
        params = self._started(key)[0]
        if self.start is not None:
            params = grown(params, self.start)
        return {
            **params,
            "average": params[GENERATOR],
            "optimisers": {name: _adam(1.0).init(part) for name, part in params.items()},
            "seen": jnp.zeros(()),
            "p": jnp.zeros(()),
            "path": jnp.zeros(()),
        }

    def step(self, state: State, batch: Tree, key: Key, number: int) -> tuple[State, Metrics]:
        """A step of the discriminator, one of the generator, and now and then their penalties."""
        own = jax.random.split(key, 4)
        metrics: Metrics = {}
        programs = [(self.discriminate, True), (self.penalise, self._now("gamma", number))]
        programs += [(self.generate, True), (self.shorten, self._now("path", number))]
        for (program, runs), one in zip(programs, own, strict=True):
            if runs:
                state, found = program(state, batch, one)
                metrics |= found
        return state, metrics

    def _now(self, weight: str, number: int) -> bool:
        every = self.settings.lazy if weight == "gamma" else self.settings.path_lazy
        return getattr(self.settings, weight) > 0 and number % every == 0

    def _ratio(self, name: str) -> float:
        """Rate and decays of a network make up for its additional lazy steps."""
        settings = self.settings
        weight, lazy = {
            GENERATOR: (settings.path, settings.path_lazy),
            DISCRIMINATOR: (settings.gamma, settings.lazy),
        }[name]
        return lazy / (lazy + 1) if weight else 1.0

    def _draws(self, key: Key, labels: Array | None) -> State:
        count, mixing = self.settings.batch, self.settings.mixing
        return shared_rows(draws(self.gen.spec, key, count, mixing=mixing, labels=labels))

    def _fakes(self, params: Params, drawn: State) -> Array:
        params = cast_params(params, self.settings.dtype)
        return pictures(self.gen, params, codes(self.gen, params, drawn), drawn["noise"])

    def _scores(self, params: Params, images: Array, labels: Array | None) -> Array:
        params = {DISCRIMINATOR: cast_params(params, self.settings.dtype)}
        return self.judge.scores(params, images, labels).astype(jnp.float32)

    def _shown(self, state: State, images: Array, key: Key) -> Array:
        """What the discriminator is shown."""
        return augmented(key, images, state["p"]) if self.settings.augment else images

    def _moved(
        self, state: State, name: str, loss: Any, given: tuple[Tree, Key]
    ) -> tuple[State, Any]:
        """The state after a step of Adam down `loss` of one network, and what it told."""
        (_, told), slopes = mean_gradients(loss, state[name], *given, self.settings.parts)
        ratio = self._ratio(name)
        updates, held = _adam(ratio).update(slopes, state["optimisers"][name])
        steps = scaled(updates, self.rates[name], self.settings.rate * ratio)
        params = optax.apply_updates(state[name], steps)
        optimisers = {**state["optimisers"], name: held}
        return {**state, name: params, "optimisers": optimisers}, told

    def _discriminator_step(self, state: State, batch: Tree, key: Key) -> tuple[State, Metrics]:
        """One step down its logistic loss."""
        first, second = jax.random.split(key)
        drawn = self._draws(first, batch.get("label"))

        def loss(params: Params, part: tuple[Tree, State], key: Key) -> tuple[Array, Metrics]:
            (batch, drawn), (one, two) = part, jax.random.split(key)
            fake = self._shown(state, self._fakes(state[GENERATOR], drawn), one)
            real = self._shown(state, _pixels(batch["image"]), two)
            own, other = (self._scores(params, x, batch.get("label")) for x in (real, fake))
            value = critic_loss(own, other)
            told = {"loss_d": value, "score_real": own.mean(), "score_fake": other.mean()}
            return value, {**told, "signs": jnp.sign(own).mean()}

        state, told = self._moved(state, DISCRIMINATOR, loss, ((batch, drawn), second))
        signs = told.pop("signs")
        if self.settings.augment:
            p = adapted(state["p"], signs, self.settings.batch)
            state, told = {**state, "p": p}, {**told, "p": p}
        return state, told

    def _penalty_step(self, state: State, batch: Tree, key: Key) -> tuple[State, Metrics]:
        """One step down R1, with the weight of all the steps that it stands for."""
        weight = 0.5 * self.settings.gamma * self.settings.lazy

        def loss(params: Params, batch: Tree, key: Key) -> tuple[Array, Metrics]:
            real = self._shown(state, _pixels(batch["image"]), key)
            labels = batch.get("label")
            penalty = gradient_penalty(lambda x: self._scores(params, x, labels), real)
            return weight * penalty, {"r1": penalty}

        return self._moved(state, DISCRIMINATOR, loss, (batch, key))

    def _generator_step(self, state: State, batch: Tree, key: Key) -> tuple[State, Metrics]:
        """One step down the non-saturating loss, and one of the average of the weights."""
        first, second = jax.random.split(key)
        drawn = self._draws(first, batch.get("label"))

        def loss(params: Params, drawn: State, key: Key) -> tuple[Array, Metrics]:
            fake = self._shown(state, self._fakes(params, drawn), key)
            value = generator_loss(self._scores(state[DISCRIMINATOR], fake, drawn.get("label")))
            return value, {"loss_g": value}

        state, told = self._moved(state, GENERATOR, loss, (drawn, second))
        seen = state["seen"] + self.settings.batch
        decay = decay_by_half_life(seen, self.settings.batch, self.settings.half_life)
        average = moved(state["average"], state[GENERATOR], decay)
        return {**state, "seen": seen, "average": average}, told

    def _path_step(self, state: State, batch: Tree, key: Key) -> tuple[State, Metrics]:
        """One step down the path length penalty (Karras et al. 2020, equation 4)."""
        first, second = jax.random.split(key)
        drawn = self._draws(first, batch.get("label"))
        weight = self.settings.path * self.settings.path_lazy

        def loss(params: Params, drawn: State, key: Key) -> tuple[Array, Array]:
            own = cast_params(params, self.settings.dtype)
            w, noise = codes(self.gen, own, drawn), drawn["noise"]
            lengths = path_lengths(lambda w: pictures(self.gen, own, w, noise), w, key)
            mean = state["path"] + PATH_DECAY * (lengths.mean() - state["path"])
            mean = jax.lax.stop_gradient(mean)
            return weight * jnp.mean(jnp.square(lengths - mean)), mean

        state, mean = self._moved(state, GENERATOR, loss, (drawn, second))
        return {**state, "path": mean}, {"path": mean}

    def validate(self, state: State) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Texture distance (SWD x 1000) to the held-out pictures, and a grid of samples."""
        rounds = max(-(-len(self.held) // SHOWN), 1)
        drawn = (self.sample(state["average"], self._seen(number)) for number in range(rounds))
        found = [to_uint8(np.asarray(images)) for images in drawn]
        fakes = np.concatenate(found)
        numbers = {}
        if len(self.held) and self.gen.spec.resolution >= SMALLEST:
            distances = texture_distance(self.held, fakes[: len(self.held)])
            numbers["texture"] = float(np.mean(list(distances.values())))
        return numbers, {"samples": grid(found[0], 8)}

    def _seen(self, number: int) -> State:
        """The draws of the samples that validation looks at: the same every time, not mixed."""
        count = self.gen.spec.labels
        labels = jax.nn.one_hot(jnp.arange(SHOWN) % count, count) if count else None
        return draws(self.gen.spec, jax.random.key(number), SHOWN, mixing=0.0, labels=labels)

    def export(self, state: State, folder: Path) -> None:
        """The averaged generator and its discriminator as an ordinary checkpoint of jaxinv."""
        params = jax.device_get({**state["average"], DISCRIMINATOR: state[DISCRIMINATOR]})
        save_generator(folder / FILE, self.gen.spec, params)


def path_lengths(draw: Any, w: Array, key: Key) -> Array:
    """Lengths [n] of J^T y for the pictures draw(w) of codes w [n, rows, d], of random y.

    y is normal, over the root of the number of pixels; the length is the root of the mean over
    rows.
    """
    shape = jax.eval_shape(draw, w).shape
    y = jax.random.normal(key, shape) / (shape[1] * shape[2]) ** 0.5
    slopes = jax.grad(lambda w: jnp.sum(draw(w) * y))(w)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(slopes), axis=2), axis=1))


def _adam(ratio: float) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=B1**ratio if B1 else 0.0, b2=B2**ratio, eps=EPSILON)


def _pixels(images: Array) -> Array:
    return images.astype(jnp.float32) / 127.5 - 1
