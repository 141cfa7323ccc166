"""Perceptual path length: how far pictures move where a latent moves a little.

What draws and what compares are functions of ONE sample and of their parameters:
`draw(params, code, key) -> image [h, w, 3]` in [-1, 1] (the key is for noise, one per path), and
`features(params, image) -> [k]`, whose squared distance is the perceptual one (`lpips_features`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.losses.image_terms import normalize_channels
from jaxinv.metrics.feature_sets import check_equal_shapes
from jaxinv.models.features.backbones import NETS
from jaxinv.specs.checks import (
    check_above,
    check_array,
    check_choice,
    check_seed,
    check_whole,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Params, Tree

    Draw = Callable[[Any, Array, Key], Array]
    Features = Callable[[Any, Array], Array]

EPSILON = 1e-4
SIZE = 256
WAYS = ("lerp", "slerp")
SPACES = ("z", "w")
SAMPLINGS = ("full", "end")
LOW, HIGH = 1.0, 99.0  # percentiles


class PathLength(NamedTuple):
    """Mean of the lengths [n] that lie between two percentiles, and all of them."""

    mean: float
    lengths: np.ndarray


def lerp(start: Array, end: Array, t: Array) -> Array:
    """The point at t of the straight line from `start` (0) to `end` (1)."""
    return start + t * (end - start)


def slerp(start: Array, end: Array, t: Array) -> Array:
    """The unit vector at t of the great circle from `start` to `end` [d], both of any length.

    Shoemake 1985; opposite ends have no shortest circle, equal ones stay where they are.
    """
    a, b = (x / jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (start, end))
    cosine = jnp.sum(a * b, axis=-1, keepdims=True)
    across = b - cosine * a
    length = jnp.linalg.norm(across, axis=-1, keepdims=True)
    angle = t * jnp.arctan2(length, cosine)  # exact near 0 and pi, where arccos is not
    across = jnp.where(length > 0, across / jnp.where(length > 0, length, 1.0), 0.0)
    point = a * jnp.cos(angle) + across * jnp.sin(angle)
    return point / jnp.linalg.norm(point, axis=-1, keepdims=True)


def perceptual_path_length(
    draw: Draw,
    features: Features,
    params: tuple[Tree, Tree],
    starts: np.ndarray,
    ends: np.ndarray,
    *,
    way: str = "lerp",
    sampling: str = "full",
    epsilon: float | None = EPSILON,
    crop: bool = False,
    size: int | None = SIZE,
    batch: int = 8,
    seed: int = 0,
) -> PathLength:
    """The Perceptual Path Length of a generator, and the length of every path.

    Each is the squared distance of the pictures at t and t + epsilon, over epsilon^2; the mean
    leaves out what lies below the 1st and above the 99th percentile. Karras et al. 2019
    (StyleGAN), section 4.1: slerp in Z, lerp in W. Tables use 50,000.

    Args:
        draw: of parameters, a code and a key to an image [h, w, 3] in [-1, 1].
        features: of parameters and an image to [k].
        params: those of `draw` and those of `features`.
        starts: codes [n, ...] in which paths begin.
        ends: codes, same shape, in which they end.
        way: "lerp" or "slerp".
        sampling: "full": t is drawn from 0 to 1; "end": t is 0.
        epsilon: the step in t; None: its limit 0, from the derivative along the path. Steps of
            1e-4 lose about two digits in float32, the limit none.
        crop: look at rows 3/8 to 7/8 and columns 2/8 to 6/8, where a face is.
        size: images of at least twice as many px are reduced by area to about it; None: none are.
        batch: paths at a time.
        seed: of t and of the keys.

    Raises:
        ValueError: other shapes, names, ranges, or codes that are not finite.
    """
    check_choice("way", way, WAYS)
    check_choice("sampling", sampling, SAMPLINGS)
    if epsilon is not None:
        check_above("epsilon", epsilon, 0)
    if size is not None:
        check_whole("size", size, 1)
    check_whole("batch", batch, 1)
    check_seed(seed)
    codes = [check_array(name, x) for name, x in (("starts", starts), ("ends", ends))]
    if codes[0].shape != codes[1].shape or codes[0].ndim < 2 or not codes[0].size:
        raise ValueError(
            f"starts are {told(codes[0])}, ends {told(codes[1])}; allowed: one shape [n, ...]"
        )
    if way == "slerp" and not all(np.linalg.norm(x, axis=-1).all() for x in codes):
        raise ValueError("starts or ends hold a code of length 0; allowed with slerp: others")
    key = jax.random.key(seed)
    count, kind = len(codes[0]), codes[0].dtype
    where = (
        np.zeros(count) if sampling == "end" else np.random.default_rng(seed).uniform(size=count)
    )
    line = lerp if way == "lerp" else slerp

    def look(held: tuple[Tree, Tree], path: tuple[Array, Array, Key], t: Array) -> Array:
        start, end, noise = path
        image = draw(held[0], line(start, end, t), noise)
        return features(held[1], _view(image, crop, size))

    measure = jax.jit(partial(_lengths, look, epsilon, batch))
    found = measure(params, *codes, where.astype(kind), jax.random.split(key, count))
    lengths = np.asarray(found, np.float64)
    return PathLength(trimmed_mean(lengths), lengths)


def _lengths(
    look: Any, epsilon: float | None, batch: int, params: tuple[Tree, Tree], *paths: Array
) -> Array:
    def length(path: tuple[Array, Array, Array, Key]) -> Array:
        start, end, t, noise = path
        moved = partial(look, params, (start, end, noise))
        if epsilon is None:
            return jnp.sum(jnp.square(jax.jvp(moved, (t,), (jnp.ones_like(t),))[1]))
        return jnp.sum(jnp.square(moved(t + epsilon) - moved(t))) / epsilon**2

    return jax.lax.map(length, paths, batch_size=batch)


def _view(image: Array, crop: bool, size: int | None) -> Array:
    """The image [h, w, 3] as paths are measured on it; the factor is that of the whole side."""
    side, width = image.shape[:2]
    if crop:
        image = image[side * 3 // 8 : side * 7 // 8, width * 2 // 8 : width * 6 // 8]
    factor = 1 if size is None else max(side // size, 1)
    rows, columns = (length // factor for length in image.shape[:2])
    cut = image[: rows * factor, : columns * factor]
    return cut.reshape(rows, factor, columns, factor, -1).mean(axis=(1, 3))


def drawing(gen: Generator, space: str = "w") -> Draw:
    """The `draw` of a generator: from its Z or its W, with noise drawn anew for every path.

    Its parameters are the generator's. Raises `ValueError` for a space that it does not have, and
    for a generator of classes in Z.
    """
    check_choice("space", space, SPACES)
    spec = gen.spec
    if (space == "w" and not spec.w_dim) or (space == "z" and spec.labels):
        raise ValueError(
            f"space {space!r} of generator {spec.name!r}; allowed: w of one with a W, z of one "
            "without classes"
        )

    def draw(params: Params, code: Array, key: Key) -> Array:
        code = gen.map(params, code) if space == "z" and spec.w_dim else code
        keys = jax.random.split(key, max(len(spec.noise), 1))
        noise = tuple(
            jax.random.normal(k, (side, side)) for k, side in zip(keys, spec.noise, strict=False)
        )
        code_space = "w" if spec.w_dim else "z"
        return gen.synthesize(params, {code_space: code} | ({"noise": noise} if noise else {}))

    return draw


def lpips_features(net: str) -> Features:
    """The function of parameters and an image to numbers whose squared distance is LPIPS.

    `net` is "alexnet" or "vgg16", its parameters are `load_features((net,))[net]`, the image is
    [h, w, 3] in [-1, 1]. Zhang et al. 2018, equation 1; tables of path lengths use VGG-16.
    """
    check_choice("net", net, tuple(NETS))
    used = NETS[net]

    def features(params: Params, image: Array) -> Array:
        taps = used.taps(params, image)
        parts = [
            normalize_channels(taps[layer])
            * jnp.sqrt(params[f"lin{i}"] / math.prod(taps[layer].shape[:2]))
            for i, layer in enumerate(used.lpips)
        ]
        return jnp.concatenate([part.ravel() for part in parts])

    return features


def trimmed_mean(values: np.ndarray, low: float = LOW, high: float = HIGH) -> float:
    """The mean of those of `values` [n] that lie between two percentiles, both included.

    The lower percentile is a value at or below it, the upper one a value at or above it.
    Raises `ValueError` for an empty or other array, or percentiles outside 0 <= low < high <= 100.
    """
    found = check_array("values", values, "iuf").astype(np.float64)
    if found.ndim != 1 or not found.size:
        raise ValueError(f"values are {told(found)}; allowed: [n] with n >= 1")
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles {low} and {high}; allowed: 0 <= low < high <= 100")
    least = np.percentile(found, low, method="lower")
    most = np.percentile(found, high, method="higher")
    return float(found[(found >= least) & (found <= most)].mean())


def check_codes(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two stacks of codes as float64 [n, d], their rows behind each other."""
    x, y = (np.reshape(one, (len(one), -1)) if np.ndim(one) > 1 else one for one in (a, b))
    return check_equal_shapes(x, y, (None,))
