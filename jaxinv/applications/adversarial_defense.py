"""Adversarial attacks on a classifier, and their defence: classify what a generator can draw.

Source: Samangouei et al. 2018, Defense-GAN, arXiv:1805.06605 (preset "defense-gan"); DGP of Pan et
al. 2020 defends likewise (preset "dgp-reconstruct").
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.arguments import read_pixels
from jaxinv.inversion.invert import invert
from jaxinv.models.rendering import render
from jaxinv.nn.resample import area_reduce
from jaxinv.specs.checks import check_above, check_callable, check_seed, check_whole

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Array, Params


class Purified(NamedTuple):
    """What a generator draws of pictures, and how far each is from it.

    images: [B, S, S, 3] in [-1, 1], of the side of the pictures.
    residuals: [B], mean squared differences of pixels: attacked pictures are farther away, so that
        a threshold tells them (Defense-GAN, section 4.3).
    """

    images: np.ndarray
    residuals: np.ndarray


def fgsm(classify: Any, images: np.ndarray, labels: Any, eps: float) -> np.ndarray:
    """Pictures a step of `eps` along the sign of the gradient of the cross-entropy, in [-1, 1].

    Args:
        classify: pictures [B, S, S, 3] in [-1, 1] -> logits [B, classes], differentiable.
        images: [B, S, S, 3] in [-1, 1].
        labels: the true class of each, whole numbers [B].
        eps: in the units of [-1, 1]: twice what papers say of [0, 1].

    Raises `ValueError` for what cannot be used. Source: Goodfellow et al. 2015, arXiv:1412.6572.
    """
    pictures, numbers = _checked(classify, images, labels, eps)
    return np.asarray(_step(classify, pictures, numbers, pictures, (eps, eps)))


def pgd(
    classify: Any,
    images: np.ndarray,
    labels: Any,
    eps: float,
    *,
    step: float | None = None,
    steps: int = 40,
    seed: int = 0,
) -> np.ndarray:
    """Pictures after `steps` of length `step` (eps / 4), none farther than `eps`, from a draw.

    Arguments and errors as of `fgsm`. Source: Madry et al. 2018, arXiv:1706.06083.
    """
    pictures, numbers = _checked(classify, images, labels, eps)
    check_whole("steps", steps, 1)
    check_seed(seed)
    length = eps / 4 if step is None else step
    check_above("step", length, 0.0)
    noise = jax.random.uniform(jax.random.key(seed), pictures.shape, minval=-eps, maxval=eps)
    moved = jnp.clip(pictures + noise, -1, 1)
    for _ in range(steps):
        moved = _step(classify, moved, numbers, pictures, (length, eps))
    return np.asarray(moved)


def purify(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    *,
    preset: Preset | str = "defense-gan",
    **options: Any,
) -> Purified:
    """What the generator draws nearest to pictures, to be classified in their place.

    Arguments, `options` and errors are those of `invert`.
    """
    found = invert(gen, params, images, preset=preset, **options)
    side = images.shape[1]
    drawn = render(gen, params, found.latents)
    seen = np.asarray(jax.vmap(partial(area_reduce, size=side))(jnp.asarray(drawn)))
    return Purified(seen, np.mean(np.square(seen - images), axis=(1, 2, 3)))


def _checked(classify: Any, images: np.ndarray, labels: Any, eps: float) -> tuple[Array, Array]:
    check_callable("classify", classify)
    pictures = read_pixels(images)
    if pictures.ndim != 4 or not len(pictures):
        raise ValueError(f"images have shape {pictures.shape}; allowed: [B, S, S, 3]")
    check_above("eps", eps, 0.0)
    numbers = np.asarray(labels)
    if numbers.shape != pictures.shape[:1] or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"labels have shape {numbers.shape} and type {numbers.dtype}; allowed: whole numbers "
            f"[{len(pictures)}]"
        )
    seen = jnp.asarray(pictures, jnp.float32)
    shape = jax.eval_shape(classify, seen).shape
    if len(shape) != 2 or shape[0] != len(seen):
        raise ValueError(f"classify gives {list(shape)}; allowed: logits [{len(seen)}, classes]")
    if numbers.min() < 0 or numbers.max() >= shape[1]:
        wrong = numbers[(numbers < 0) | (numbers >= shape[1])][0]
        raise ValueError(f"label {wrong}; allowed: 0 to {shape[1] - 1}, the classes of classify")
    return seen, jnp.asarray(numbers)


def _step(
    classify: Any, at: Array, labels: Array, around: Array, lengths: tuple[float, float]
) -> Array:
    """A step up the cross-entropy by its sign, within `lengths[1]` of the pictures `around`."""

    def loss(pictures: Array) -> Array:
        logs = jax.nn.log_softmax(classify(pictures))
        return -jnp.sum(jnp.take_along_axis(logs, labels[:, None], axis=1))

    length, eps = lengths
    moved = at + length * jnp.sign(jax.grad(loss)(at))
    return jnp.clip(jnp.clip(moved, around - eps, around + eps), -1, 1)
