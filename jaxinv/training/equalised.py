"""Initial values and learning rates of StyleGAN2 with equalised rates, for folded weights.

The original keeps weights of unit variance, multiplies them by a gain in every pass, and divides
those of the mapping by 100 for a rate of 1/100 (Karras et al. 2018, PGGAN, section 4.1; 2019,
StyleGAN, appendix C). Here gains are folded into the weights: they start with the gain as their
deviation, and their rate is the gain times the rate. Under Adam, whose steps do not depend on the
size of gradients, that is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.nn.linear import SQRT2

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Key, Params, Tree

MAPPING_RATE = 0.01


class Gain(NamedTuple):
    """Of one array: deviation and middle of its initial values, and the factor of its rate."""

    deviation: float
    middle: float
    rate: float


class Equalised(NamedTuple):
    """Parameters as they start, and the factors of their learning rates."""

    params: Params
    rates: Params


def equalised(init: Callable[[Key], Params], key: Key, rule: Callable[..., Gain]) -> Equalised:
    """Values and rates for what `init` would make, of which only the shapes are used.

    `rule(path, shape)` gives the `Gain` of the array at a path of names.
    """
    shapes = jax.eval_shape(init, key)
    leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
    gains = [rule(tuple(str(part.key) for part in path), one.shape) for path, one in leaves]
    draws = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    values = [
        jnp.asarray(gain.middle + gain.deviation * draws.standard_normal(one.shape), jnp.float32)
        for gain, (_, one) in zip(gains, leaves, strict=True)
    ]
    rates = [gain.rate for gain in gains]
    return Equalised(jax.tree.unflatten(tree, values), jax.tree.unflatten(tree, rates))


def _weight(shape: tuple[int, ...], factor: float = 1.0) -> Gain:
    gain = factor * float(np.prod(shape[:-1])) ** -0.5
    return Gain(gain, 0.0, gain)


def generator_gain(path: tuple[str, ...], shape: tuple[int, ...]) -> Gain:
    """Of the arrays of `jaxinv.models.generators.stylegan2`, mapping included."""
    if path[0] == "mapping":
        return _of_mapping(path, shape)
    if path[-1] in ("const", "noise"):
        return Gain(1.0, 0.0, float(path[-1] == "const"))
    if path[-1] in ("kernel", "weight"):
        return _weight(shape)
    return Gain(0.0, float(path[-2:] == ("style", "bias")), 1.0)  # biases, strengths of noise


def _of_mapping(path: tuple[str, ...], shape: tuple[int, ...]) -> Gain:
    rate = 1.0 if path[1] == "embed" else MAPPING_RATE
    if path[-1] == "bias":
        return Gain(0.0, 0.0, rate)
    deviation = float(np.prod(shape[:-1])) ** -0.5
    return Gain(deviation, 0.0, rate * deviation)


def discriminator_gain(path: tuple[str, ...], shape: tuple[int, ...]) -> Gain:
    """Of the arrays of `jaxinv.models.discriminators.progressive`, StyleGAN2's kind.

    Its layers have the gain sqrt(2) of the activation, and its filters the sum 4.
    """
    if path[0] == "mapping":
        return _of_mapping(path, shape)
    halves, skips = "conv1" in path, "skip" in path
    if path[-1] == "bias":
        return Gain(0.0, 0.0, 1.0 if halves or path[0] in ("out", "mapping") else SQRT2)
    if skips or halves:
        return _weight(shape, 0.25 * (0.5**0.5 if skips else 1.0))
    return _weight(shape, 1.0 if path[0] == "out" else SQRT2)


def scaled(updates: Tree, rates: Any, rate: float) -> Tree:
    """Steps of an optimiser, each times its factor, downhill: -rate * factor * step."""
    return jax.tree.map(lambda step, factor: -rate * factor * step, updates, rates)
