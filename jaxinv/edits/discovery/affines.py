"""The first affine map from a code into a generator, whatever its family.

What closed-form methods look at: SeFa (Shen & Zhou 2021), Spingarn et al. 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.arguments import check_generator
from jaxinv.models.generators.base import StepRange
from jaxinv.nn.layer_chain import Layer, Step
from jaxinv.specs.checks import check_choice, told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Params


class FirstLayer(NamedTuple):
    """weight @ z + bias is the first feature map [h, w, c] before anything nonlinear, laid flat."""

    weight: np.ndarray
    bias: np.ndarray
    grid: tuple[int, int, int]


def style_weights(gen: Generator, params: Params) -> tuple[np.ndarray, ...]:
    """For every row of W+ the matrix [channels, w_dim] of the style that reads it.

    Where several do (the image layers of StyleGAN2 share a row with the next convolution), it is
    the last of them, as in Shen & Zhou's code. Raises `ValueError` without a W space.
    """
    check_generator(gen, params)
    spec = gen.spec
    zero = jnp.zeros((spec.rows, spec.w_dim))
    readers = _readers(gen, params)

    def columns(axis: Array) -> tuple[Array, ...]:
        every_row = jnp.broadcast_to(axis, zero.shape)
        return jax.jvp(lambda w: gen.affine(params, w), (zero,), (every_row,))[1]

    found = jax.jit(jax.vmap(columns))(jnp.eye(spec.w_dim))
    return tuple(np.asarray(found[style], np.float64).T for style in readers)


def _readers(gen: Generator, params: Params) -> list[int]:
    """The last style that reads each row of W+."""
    rows, width = gen.spec.rows, gen.spec.w_dim
    # A direction that no style's weights are orthogonal to, but by chance.
    probe = jnp.asarray(np.random.default_rng(0).standard_normal(width), jnp.float32)

    def moved(row: Array) -> tuple[Array, ...]:
        zero = jnp.zeros((rows, width))
        change = zero.at[row].set(probe)
        tangents = jax.jvp(lambda w: gen.affine(params, w), (zero,), (change,))[1]
        return tuple(jnp.abs(one).max() for one in tangents)

    effect = np.stack(jax.jit(jax.vmap(moved))(jnp.arange(rows)), -1)  # [rows, styles]
    unread = [row for row in range(rows) if not effect[row].any()]
    if unread:
        raise ValueError(f"no style of generator {gen.spec.name!r} reads rows {unread} of W+")
    return [int(np.flatnonzero(row)[-1]) for row in effect]


def latent_weights(gen: Generator, params: Params, rows: Sequence[int] | None = None) -> np.ndarray:
    """The matrix [outputs, d] of the first affine map: of w through the styles of `rows`, or of z.

    `rows` are of W+, all if left out; without a W space there is one layer. Raises `ValueError` for
    rows that there are not.
    """
    spec = gen.spec
    if not spec.w_dim:
        if rows is not None:
            raise ValueError(f"rows {list(rows)}; allowed: none (generator {spec.name!r} has no W)")
        return first_layer(gen, params).weight
    chosen = list(range(spec.rows) if rows is None else rows)
    wrong = [row for row in chosen if not isinstance(row, int) or not 0 <= row < spec.rows]
    if wrong or not chosen:
        raise ValueError(f"rows {told(tuple(chosen))}; allowed: some of 0 to {spec.rows - 1}")
    weights = style_weights(gen, params)
    return np.concatenate([weights[row] for row in chosen])


def first_layer(gen: Generator, params: Params, label: Array | None = None) -> FirstLayer:
    """The first dense layer of a generator without W: from z to a grid of features.

    `label` [classes] is part of the bias where classes enter there (default: their mean). Raises
    `ValueError` for architectures that have no such layer.
    """
    check_choice(f"architecture of {gen.spec.name!r}", gen.spec.architecture, tuple(FIRST_LAYERS))
    check_generator(gen, params)
    affine = FIRST_LAYERS[gen.spec.architecture](gen, params, label)
    zero = jnp.zeros(gen.spec.z_dim)
    bias = np.asarray(affine(zero), np.float64)
    weight = np.asarray(jax.jit(jax.jacfwd(affine))(zero), np.float64)
    return FirstLayer(weight.reshape(bias.size, -1), bias.ravel(), bias.shape)


def _of_biggan(gen: Generator, params: Params, label: Array | None) -> Callable[[Array], Array]:
    classes = gen.spec.labels
    given = jnp.full(classes, 1 / max(classes, 1)) if label is None else label
    embedding = gen.embed(params, given)
    return lambda z: gen.run(params, (z, embedding), None, {}, StepRange(0, 1))["x"]


def _of_pggan(gen: Generator, params: Params, label: Array | None) -> Callable[[Array], Array]:
    del gen, label
    dense = params["synthesis"]["dense"]  # of the normalised z
    return lambda z: (z @ dense["kernel"] + dense["bias"]).reshape(4, 4, -1)


def _of_chain(gen: Generator, params: Params, label: Array | None) -> Callable[[Array], Array]:
    classes = gen.spec.labels
    beside = jnp.full(classes, 1 / max(classes, 1)) if label is None else label
    layer = Layer(*dict(gen.spec.facts)["layers"][0])._replace(activation="none")
    own = {"params": params["synthesis"]["layer0"]}

    def affine(z: Array) -> Array:
        made: Any = Step(layer).apply(own, jnp.concatenate([z, beside]) if classes else z)
        x = made["x"]
        return x if x.ndim == 3 else x[None, None]

    return affine


FIRST_LAYERS: dict[str, Callable[[Generator, Params, Array | None], Callable[[Array], Array]]] = {
    "biggan": _of_biggan,
    "dcgan": _of_chain,
    "pggan": _of_pggan,
}
