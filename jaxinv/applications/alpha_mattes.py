"""Alpha mattes of a generator's pictures, learned without labels from a second generator.

Source: Abdal et al. 2021, Labels4Free, arXiv:2103.14968. A small net sees the features of the
generator of figures and says how opaque each pixel is; the figure is set before a picture of the
generator of backgrounds, and a discriminator must not notice. Weights and rates are those of the
released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.applications.segmentation import hypercolumns
from jaxinv.edits.discovery.training import Training, fit, mlp, mlp_init, mlp_widths
from jaxinv.edits.stated_facts import read_stated
from jaxinv.io import checkpoints
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.arguments import check_generator, check_latents, samples_of
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.nn.resample import resize
from jaxinv.specs.checks import check_at_least, check_kind, check_place, check_whole
from jaxinv.training.critics import critic_loss, generator_loss, gradient_penalty

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Latents, Params

KIND = "mattes"  # of files
WIDTHS = (64, 32)  # of the net, pixel by pixel
POOL = 512  # codes of each generator, of which batches are drawn
SEEN = 16  # pictures by which features are standardised
MOST = 128  # px, the largest side of the maps unless another is asked for
PLAIN = 1.2  # weight of all that is said of mattes alone
JUDGE_RATE = 0.1  # of the discriminator, times that of the net: its weights are folded
USUAL = Training(1000, 1e-3, label="learning mattes")


@dataclass(frozen=True)
class MatteSettings:
    """How mattes are learned.

    Attributes:
        batch: pictures of a step.
        figure: least mean share of a picture that figures cover.
        background: least mean share that backgrounds cover, of `background_weight`: without it
            all of the picture is a figure, which looks as real as it can.
        background_weight: times the rest.
        gamma: weight of R1.
    """

    batch: int = 8
    figure: float = 0.25
    background: float = 0.35
    background_weight: float = 2.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        check_whole("batch", self.batch, 1)
        for name in ("figure", "background", "background_weight", "gamma"):
            check_at_least(name, getattr(self, name), 0.0)
        if self.figure + self.background >= 1:
            shares = f"{self.figure} and {self.background}"
            raise ValueError(
                f"shares of figure and background {shares}; allowed: less than 1 together"
            )


class MatteNet(NamedTuple):
    """What tells how opaque the pixels of a generator's pictures are.

    net: parameters; mean, std: [c], of the features of all steps; size: side of the maps in px.
    """

    net: Params
    mean: np.ndarray
    std: np.ndarray
    size: int


def learn_mattes(
    gen: Generator,
    params: Params,
    background: tuple[Generator, Params],
    *,
    size: int | None = None,
    settings: MatteSettings = MatteSettings(),
    training: Training = USUAL,
) -> MatteNet:
    """The net of mattes of a generator's pictures; nothing else is learned that is kept.

    Args:
        gen: the generator of figures, with its `params` and its own discriminator.
        params: its parameters.
        background: a generator of what may lie behind figures, of at least the same resolution,
            with its parameters.
        size: side of the maps in px (that of the pictures, at most 128).
        settings: batch and weights of the objective.
        training: steps, rate and seed.

    Raises:
        ValueError: a generator without a discriminator or with classes, backgrounds that are
            smaller than the figures.
    """
    check_generator(gen, params)
    check_generator(*background)
    judge, side = gen.discriminator, gen.spec.resolution
    if judge is None or DISCRIMINATOR not in params:
        raise ValueError(
            f"generator {gen.spec.name!r} comes without its discriminator; allowed: one with it"
        )
    for one in (gen, background[0]):
        if one.spec.labels:
            raise ValueError(f"generator {one.spec.name!r} draws classes; allowed: one without")
    if background[0].spec.resolution < side:
        raise ValueError(
            f"backgrounds of {background[0].spec.resolution} px; allowed: at least {side}"
        )
    if judge.group and settings.batch > judge.group and settings.batch % judge.group:
        raise ValueError(f"batch {settings.batch}; allowed: up to {judge.group}, or a multiple")
    maps = min(side, MOST) if size is None else size
    check_whole("size", maps, 4)
    codes = sample_latents(gen, params, POOL, seed=training.seed)
    behind = sample_latents(*background, POOL, seed=training.seed + 1)
    few = samples_of(jax.tree.map(lambda a: a[:SEEN], codes))
    seen = np.stack([np.asarray(_look(gen, maps, params, one)) for one in few])
    mean, std = seen.mean((0, 1, 2)), seen.std((0, 1, 2)) + 1e-6
    own = mlp_init(jax.random.key(training.seed), (len(mean), *WIDTHS, 1))
    held = {"mean": jnp.asarray(mean), "std": jnp.asarray(std), "codes": codes, "behind": behind}
    held |= {"params": params, "background": background[1]}
    # The discriminator starts as the generator left it, and learns what it is shown since.
    start = {"net": own, "judge": jax.tree.map(jnp.zeros_like, params[DISCRIMINATOR])}
    loss = partial(_objective, (gen, background[0]), (maps, settings))
    found = fit(loss, start, held, training)
    return MatteNet(jax.tree.map(np.asarray, found.params["net"]), mean, std, maps)


def mattes(gen: Generator, params: Params, made: MatteNet, latents: Latents) -> np.ndarray:
    """How opaque figures are in pictures [B, ...], also of photographs that were inverted.

    [B, S, S] in [0, 1] at the generator's resolution. Raises `ValueError` for latents of another
    generator, and for a net of another one's features.
    """
    check_generator(gen, params)
    latents, _ = check_latents(gen, params, latents, "latents")
    own = jax.eval_shape(partial(_look, gen, made.size), params, next(samples_of(latents)))
    if own.shape[-1] != len(made.mean):
        raise ValueError(
            f"a net of {len(made.mean)} features; allowed: {own.shape[-1]}, those of generator "
            f"{gen.spec.name!r}"
        )
    held = made._replace(size=0)  # a number of the program, not one of its arguments
    each = (_told(gen, made.size, params, held, one) for one in samples_of(latents))
    return np.stack([np.asarray(one) for one in each])


def over(figure: Any, alpha: Any, background: Any) -> Any:
    """A figure [..., h, w, 3] before a background, by its matte [..., h, w]."""
    return alpha[..., None] * figure + (1 - alpha[..., None]) * background


def save_mattes(path: str | Path, made: MatteNet, generator: str) -> Path:
    """Write a net of mattes and the name of its generator as one .safetensors file."""
    check_place("path", path)
    check_kind("made", made, MatteNet)
    facts = {"format": "jaxinv", "kind": KIND, "generator": generator, "size": str(made.size)}
    tree = {"net": made.net, "mean": np.asarray(made.mean), "std": np.asarray(made.std)}
    return checkpoints.save(path, tree, facts)


def load_mattes(path: str | Path) -> tuple[MatteNet, str]:
    """The net that `save_mattes` has written, and the name of its generator.

    Raises `ValueError` for a file that holds none, `OSError` where there is no file.
    """
    tree, facts = read_stated(path, KIND)
    try:
        made = MatteNet(tree["net"], tree["mean"], tree["std"], int(facts["size"]))
        fits = mlp_widths(made.net) == (made.mean.size, 1) and made.mean.shape == made.std.shape
        if not fits or made.size < 4:
            raise ValueError("its arrays do not fit each other")
        return made, facts["generator"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no usable mattes: {error}") from error


@partial(jax.jit, static_argnums=(0, 1))
def _look(gen: Generator, size: int, params: Params, latents: Latents) -> Array:
    return hypercolumns(gen, params, latents, gen.steps, size)


@partial(jax.jit, static_argnums=(0, 1))
def _told(gen: Generator, size: int, params: Params, made: MatteNet, latents: Latents) -> Array:
    seen = hypercolumns(gen, params, latents, gen.steps, size)
    return alpha_of(made.net, (seen - made.mean) / made.std, gen.spec.resolution)


def alpha_of(net: Params, seen: Array, side: int) -> Array:
    """The matte [side, side] of standardised features [size, size, c]."""
    alpha = jax.nn.sigmoid(mlp(net, seen))
    return jnp.clip(resize(alpha, side)[..., 0], 0, 1) if len(seen) != side else alpha[..., 0]


def _objective(
    gens: tuple[Generator, Generator],
    how: tuple[int, MatteSettings],
    learned: Params,
    data: Params,
    key: Key,
) -> Array:
    """The losses of the net and of the discriminator together: neither moves the other."""
    size, settings = how
    (gen, behind), params, side = gens, data["params"], gens[0].spec.resolution
    first, second, third = jax.random.split(key, 3)

    def some(codes: Latents, key: Key) -> Latents:
        few = jax.random.randint(key, (settings.batch,), 0, POOL)
        return jax.tree.map(lambda a: a[few], codes)

    def one(latents: Latents, own: Latents) -> tuple[Array, Array, Array]:
        seen = (hypercolumns(gen, params, latents, gen.steps, size) - data["mean"]) / data["std"]
        alpha = alpha_of(learned["net"], seen, side)
        figure = gen.synthesize(params, latents)
        return figure, alpha, over(figure, alpha, behind.synthesize(data["background"], own, side))

    given = some(data["codes"], first), some(data["behind"], second)
    _, alpha, composed = jax.vmap(one)(*given)
    real = jax.vmap(lambda x: gen.synthesize(params, x))(some(data["codes"], third))
    judge: Any = gen.discriminator

    def score(change: Params, pictures: Array) -> Array:
        weights = jax.tree.map(lambda a, d: a + JUDGE_RATE * d, params[DISCRIMINATOR], change)
        return judge.scores({DISCRIMINATOR: weights}, pictures)

    stop = jax.lax.stop_gradient
    fooled = generator_loss(score(stop(learned["judge"]), composed))
    told = critic_loss(score(learned["judge"], real), score(learned["judge"], stop(composed)))
    penalty = gradient_penalty(partial(score, learned["judge"]), real)
    return fooled + PLAIN * plain_loss(alpha, settings) + told + settings.gamma / 2 * penalty


def plain_loss(alpha: Array, settings: MatteSettings) -> Array:
    """What is said of mattes [n, s, s] alone: near 0 or 1, and neither without a share."""
    undecided = jnp.mean(jnp.minimum(alpha, 1 - alpha))
    figure = jax.nn.relu(settings.figure - jnp.mean(alpha))
    behind = jax.nn.relu(settings.background - jnp.mean(1 - alpha))
    return undecided + figure + settings.background_weight * behind
