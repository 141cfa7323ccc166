"""Training StyleGAN2 against its discriminator (Karras et al. 2020, arXiv:1912.04958)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxinv.io import checkpoints
from jaxinv.io.image_ops import grid, to_uint8
from jaxinv.metrics.sliced import texture_distance
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.loading import build
from jaxinv.specs import GeneratorSpec
from jaxinv.specs.checks import check_above, check_at_least, check_whole
from jaxinv.training.augmentation import adapted, augmented
from jaxinv.training.averages import decay_by_half_life, moved
from jaxinv.training.critics import critic_loss, generator_loss, gradient_penalty
from jaxinv.training.equalised import (
    discriminator_gain,
    equalised,
    generator_gain,
    scaled,
)
from jaxinv.training.loop import Job

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Metrics, Params, State, Tree

FILE = "generator.safetensors"
SHOWN = 64  # samples of a grid
B1, B2, EPSILON = 0.0, 0.99, 1e-8


@dataclass(frozen=True)
class GanSettings:
    """How a generator is trained.

    Attributes:
        batch: pictures of a step.
        rate: learning rate of both networks, before the factors of `equalised`.
        gamma: weight of R1.
        lazy: steps between two R1 penalties.
        half_life: of the average of the generator's weights, in pictures.
        mixing: probability that two codes share a picture (Karras et al. 2019, section 3.1).
        augment: whether the discriminator sees adaptive flips and shifts.
    """

    batch: int = 16
    rate: float = 2e-3
    gamma: float = 1.0
    lazy: int = 16
    half_life: float = 5000.0
    mixing: float = 0.9
    augment: bool = False

    def __post_init__(self) -> None:
        for name in ("batch", "lazy"):
            check_whole(name, getattr(self, name), 1)
        for name in ("rate", "half_life"):
            check_above(name, getattr(self, name), 0)
        for name in ("gamma", "mixing"):
            check_at_least(name, getattr(self, name), 0)
        if self.mixing > 1:
            raise ValueError(f"mixing must be at most 1, got {self.mixing}")


def small_stylegan2(
    name: str, size: int, widths: tuple[int, ...], *, latent: int = 128, mapping: int = 4,
    labels: int = 0, group: int = 4,
) -> GeneratorSpec:  # fmt: skip
    """The spec of a StyleGAN2 and a residual discriminator, both of `widths` at 4, 8, ... px.

    Raises `ValueError` for widths that do not end at `size`.
    """
    if not widths or size != 4 << (len(widths) - 1):
        raise ValueError(
            f"{len(widths)} widths end at {4 << max(len(widths) - 1, 0)} px, size is {size}; "
            f"allowed: one width for each of 4, 8, ... {size} px"
        )
    styles = [widths[0], widths[0]]
    for before, own in zip(widths, widths[1:], strict=False):
        styles += [before, own, own]
    noise = [4] + [4 << block for block in range(1, len(widths)) for _ in (0, 1)]
    label = "embed" if labels else "none"
    plan = ("residual", widths, group, None, latent if labels else 1, label, mapping, latent)
    return GeneratorSpec(
        name,
        "stylegan2",
        size,
        z_dim=latent,
        w_dim=latent,
        rows=2 * len(widths),
        styles=tuple(styles),
        noise=tuple(noise),
        layout18=tuple(range(2 * len(widths))) if len(widths) <= 9 else (),
        labels=labels,
        facts=(
            ("mapping_layers", mapping),
            ("label", label),
            ("label_width", latent),
            ("clamp", None),
            ("discriminator", ("progressive", *plan)),
        ),
    )


def gan_job(
    spec: GeneratorSpec, settings: GanSettings, held: np.ndarray, start: Params | None = None
) -> Job:
    """The job of training `spec` on batches {"image": uint8 [b, s, s, 3], "label"}.

    `held` [n, s, s, 3] are pictures that validation compares samples with. `start` are parameters
    of a smaller generator to grow from: arrays that both have keep their values.
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
        self.rates = self.started(jax.random.key(0))[1]
        self.discriminate = jax.jit(self.discriminator_step)
        self.penalise = jax.jit(self.penalty_step)
        self.generate = jax.jit(self.generator_step)
        self.drawn = jax.jit(lambda g, key: self.fakes(g, key, SHOWN, None))

    def started(self, key: Key) -> tuple[dict[str, Params], dict[str, Params]]:
        first, second = jax.random.split(key)
        own = equalised(self.gen.init, first, generator_gain)
        other = equalised(self.judge.init, second, discriminator_gain)
        params = {"generator": own.params, DISCRIMINATOR: other.params}
        return params, {"generator": own.rates, DISCRIMINATOR: other.rates}

    def init(self, key: Key) -> State:
        """Fresh networks and optimisers."""
        params = self.started(key)[0]
        if self.start is not None:
            params = grown(params, self.start)
        optimisers = {name: _adam(1.0).init(part) for name, part in params.items()}
        return {
            **params,
            "average": params["generator"],
            "optimisers": optimisers,
            "seen": jnp.zeros(()),
            "p": jnp.zeros(()),
        }

    def step(self, state: State, batch: Tree, key: Key, number: int) -> tuple[State, Metrics]:
        """The discriminator's step, now and then its penalty's, and the generator's."""
        first, second, third = jax.random.split(key, 3)
        state, metrics = self.discriminate(state, batch, first)
        if self.settings.gamma and number % self.settings.lazy == 0:
            state, more = self.penalise(state, batch, second)
            metrics = {**metrics, **more}
        state, more = self.generate(state, batch.get("label"), third)
        return state, {**metrics, **more}

    def fakes(self, params: Params, key: Key, count: int, labels: Array | None) -> Array:
        """Random pictures [count, s, s, 3], some of two codes."""
        spec, mixing = self.gen.spec, self.settings.mixing
        own, other, place, *rest = jax.random.split(key, 3 + len(spec.noise))
        draw = partial(jax.random.normal, shape=(count, spec.z_dim))
        given = () if labels is None else (labels,)
        to_w = jax.vmap(partial(self.gen.map, params))
        w = jnp.broadcast_to(to_w(draw(own), *given)[:, None], (count, spec.rows, spec.w_dim))
        if mixing:
            chosen, cut = jax.random.split(place)
            start = jax.random.randint(cut, (count, 1, 1), 1, spec.rows)
            start = jnp.where(jax.random.bernoulli(chosen, mixing, (count, 1, 1)), start, spec.rows)
            later = jnp.arange(spec.rows)[None, :, None] >= start
            w = jnp.where(later, to_w(draw(other), *given)[:, None], w)
        noise = tuple(
            jax.random.normal(k, (count, side, side))
            for k, side in zip(rest, spec.noise, strict=True)
        )
        latents = {"w+": w, "noise": noise}
        return jax.vmap(partial(self.gen.synthesize, params))(latents)

    def scores(self, params: Params, images: Array, labels: Array | None) -> Array:
        """Scores [n]."""
        return self.judge.scores({DISCRIMINATOR: params}, images, labels)

    def seen(self, state: State, images: Array, key: Key) -> Array:
        """What the discriminator is shown."""
        return augmented(key, images, state["p"]) if self.settings.augment else images

    def moved(self, state: State, name: str, slopes: Params, ratio: float = 1.0) -> State:
        """The state after a step of Adam of one of the networks."""
        updates, held = _adam(ratio).update(slopes, state["optimisers"][name])
        steps = scaled(updates, self.rates[name], self.settings.rate * ratio)
        params = optax.apply_updates(state[name], steps)
        return {**state, name: params, "optimisers": {**state["optimisers"], name: held}}

    @property
    def ratio(self) -> float:
        """The discriminator's rate and decays make up for its additional lazy steps."""
        lazy = self.settings.lazy
        return lazy / (lazy + 1) if self.settings.gamma else 1.0

    def discriminator_step(self, state: State, batch: Tree, key: Key) -> tuple[State, Metrics]:
        """One step down its logistic loss."""
        labels, real = batch.get("label"), _pixels(batch["image"])
        first, second, third = jax.random.split(key, 3)
        fake = self.seen(state, self.fakes(state["generator"], first, len(real), labels), second)
        real = self.seen(state, real, third)

        def loss(params: Params) -> tuple[Array, tuple[Array, Array]]:
            own, other = (self.scores(params, x, labels) for x in (real, fake))
            return critic_loss(own, other), (own, other)

        (value, (own, other)), slopes = jax.value_and_grad(loss, has_aux=True)(state[DISCRIMINATOR])
        state = self.moved(state, DISCRIMINATOR, slopes, self.ratio)
        told = {"loss_d": value, "score_real": own.mean(), "score_fake": other.mean()}
        if self.settings.augment:
            p = adapted(state["p"], jnp.sign(own).mean(), len(real))
            state, told = {**state, "p": p}, {**told, "p": p}
        return state, told

    def penalty_step(self, state: State, batch: Tree, key: Key) -> tuple[State, Metrics]:
        """One step down R1, with the weight of all the steps that it stands for."""
        labels = batch.get("label")
        real = self.seen(state, _pixels(batch["image"]), key)

        def loss(params: Params) -> tuple[Array, Array]:
            penalty = gradient_penalty(lambda x: self.scores(params, x, labels), real)
            return 0.5 * self.settings.gamma * self.settings.lazy * penalty, penalty

        (_, penalty), slopes = jax.value_and_grad(loss, has_aux=True)(state[DISCRIMINATOR])
        return self.moved(state, DISCRIMINATOR, slopes, self.ratio), {"r1": penalty}

    def generator_step(self, state: State, labels: Array | None, key: Key) -> tuple[State, Metrics]:
        """One step down the non-saturating loss, and the average of the weights."""
        batch = self.settings.batch
        first, second = jax.random.split(key)

        def loss(params: Params) -> Array:
            fake = self.seen(state, self.fakes(params, first, batch, labels), second)
            return generator_loss(self.scores(state[DISCRIMINATOR], fake, labels))

        value, slopes = jax.value_and_grad(loss)(state["generator"])
        state = self.moved(state, "generator", slopes)
        seen = state["seen"] + batch
        decay = decay_by_half_life(seen, batch, self.settings.half_life)
        average = moved(state["average"], state["generator"], decay)
        return {**state, "seen": seen, "average": average}, {"loss_g": value}

    def validate(self, state: State) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Texture distance (SWD x 1000) to the held-out pictures, and a grid of samples."""
        found = []
        while len(found) * SHOWN < max(len(self.held), SHOWN):
            key = jax.random.key(len(found))
            labels = self._labels(len(found))
            draws = (
                self.drawn if labels is None else partial(self.fakes, count=SHOWN, labels=labels)
            )
            found.append(to_uint8(np.asarray(draws(state["average"], key))))
        fakes = np.concatenate(found)
        count = min(len(fakes), len(self.held))
        numbers = {}
        if count and self.gen.spec.resolution >= 16:
            distances = texture_distance(self.held[:count], fakes[:count])
            numbers["texture"] = float(np.mean(list(distances.values())))
        return numbers, {"samples": grid(fakes[:SHOWN], 8)}

    def _labels(self, number: int) -> Array | None:
        count = self.gen.spec.labels
        return jax.nn.one_hot(jnp.arange(SHOWN) % count, count) if count else None

    def export(self, state: State, folder: Path) -> None:
        """The averaged generator and its discriminator as an ordinary checkpoint of jaxinv."""
        params = {**jax.device_get(state["average"]), DISCRIMINATOR: state[DISCRIMINATOR]}
        save_generator(folder / FILE, self.gen.spec, jax.device_get(params))


def save_generator(path: Path, spec: GeneratorSpec, params: Params) -> None:
    """Write a trained generator for `load_generator`."""
    facts = asdict(spec)
    facts = {**facts, "facts": [list(fact) for fact in spec.facts]}
    metadata = {
        "format": "jaxinv",
        "schema": "1",
        "kind": "generator",
        "architecture": spec.architecture,
        "spec": json.dumps(facts),
        "source": "jaxinv train-generator",
        "licence": "that of the pictures it was trained on",
        "content_sha256": checkpoints.content_sha256(params),
    }
    checkpoints.save(path, params, metadata)


def grown(params: dict[str, Params], start: Params) -> dict[str, Params]:
    """Parameters of both networks, with those of a smaller pair where it has the same array.

    Images of the new blocks start as nothing, so that at first the old picture is drawn larger.
    """
    small = {"generator": {k: v for k, v in start.items() if k != DISCRIMINATOR}}
    small[DISCRIMINATOR] = start.get(DISCRIMINATOR, {})

    def take(path: Any, fresh: Array) -> Array:
        held: Any = small
        for part in path:
            held = held.get(part.key) if isinstance(held, dict) else None
        if held is not None and held.shape == fresh.shape:
            return jnp.asarray(held)
        image = path[-1].key == "weight" and path[-2].key.endswith("_torgb")
        return jnp.zeros_like(fresh) if image else fresh

    return jax.tree_util.tree_map_with_path(take, params)


def _adam(ratio: float) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=B1**ratio, b2=B2**ratio, eps=EPSILON)


def _pixels(images: Array) -> Array:
    return images.astype(jnp.float32) / 127.5 - 1
