"""Closed-form walks through a first dense layer (Spingarn et al. 2021, arXiv:2012.05328).

A transformation P of the first features [h, w, c] (a shift, a zoom, a turn) is asked of z itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from jaxinv.specs.checks import check_array, check_choice, check_number

if TYPE_CHECKING:
    from jaxinv.edits.discovery.affines import FirstLayer
    from jaxinv.types import Array

Transformation: TypeAlias = Callable[["Array"], "Array"]


def _shift_x(place: Array, amount: Array) -> Array:
    return place - jnp.stack([jnp.zeros_like(amount), amount])


def _shift_y(place: Array, amount: Array) -> Array:
    return place - jnp.stack([amount, jnp.zeros_like(amount)])


def _zoom(place: Array, amount: Array) -> Array:
    return place / amount


def _rotate(place: Array, amount: Array) -> Array:
    turn = jnp.deg2rad(amount)
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    return place @ jnp.stack([jnp.stack([cos, sin]), jnp.stack([-sin, cos])])


# Where a cell, measured from the centre, takes its value from.
SOURCES: dict[str, Callable[[Array, Array], Array]] = {
    "shift-x": _shift_x,
    "shift-y": _shift_y,
    "zoom": _zoom,
    "rotate": _rotate,
}


def transform(kind: str, amount: float, shape: tuple[int, int]) -> tuple[Transformation, Array]:
    """A transformation of arrays [h, w, c] by linear interpolation, and where it is defined [h, w].

    "shift-x" and "shift-y" move by `amount` cells to the right and down, "zoom" enlarges by the
    factor `amount`, "rotate" turns by `amount` degrees. Outside of the source the result is 0.
    Raises `ValueError` for other kinds, and for a zoom that is not above 0.
    """
    check_choice("transformation", kind, tuple(SOURCES))
    check_number("amount", amount)
    if kind == "zoom" and amount <= 0:
        raise ValueError(f"zoom {amount}; allowed: above 0")
    return warped(kind, jnp.asarray(amount, float), shape)


def warped(kind: str, amount: Array, shape: tuple[int, int]) -> tuple[Transformation, Array]:
    """`transform` of an amount that jax may trace, without its checks."""
    height, width = shape
    centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
    place = jnp.stack(jnp.meshgrid(*map(jnp.arange, shape), indexing="ij"), -1) - centre
    source = SOURCES[kind](place, amount) + centre
    edge = jnp.array([height - 1, width - 1])
    defined = ((source > -1e-4) & (source < edge + 1e-4)).all(-1)
    at = jnp.clip(source, 0, edge)

    def plane(values: Array) -> Array:
        return map_coordinates(values, [at[..., 0], at[..., 1]], order=1) * defined

    return jax.vmap(plane, in_axes=2, out_axes=2), defined.astype(float)


def moved(layer: FirstLayer, change: Transformation) -> tuple[np.ndarray, np.ndarray]:
    """P of the layer's weights [m, d] and of its bias [m]."""
    grid = layer.grid

    def flat(values: Array) -> Array:
        return change(values.reshape(grid)).ravel()

    columns = jax.vmap(flat, in_axes=1, out_axes=1)(jnp.asarray(layer.weight))
    bias = flat(jnp.asarray(layer.bias))
    return np.asarray(columns, np.float64), np.asarray(bias, np.float64)


def linear_walk(layer: FirstLayer, change: Transformation, mask: Any = None) -> np.ndarray:
    """The step q [d] such that z + q draws what `change` makes of z's features, in the mean over z.

    Least squares where `mask` [h, w] weighs every cell; equation 5 of the paper (23 of the survey).
    Raises `ValueError` for a mask that does not fit or leaves less cells than z has numbers.
    """
    weight, bias = layer.weight, layer.bias
    scale = _weights(layer, mask)[:, None]
    goal = moved(layer, change)[1] - bias
    return np.linalg.lstsq(scale * weight, scale[:, 0] * goal, rcond=None)[0]


def affine_walk(
    layer: FirstLayer, change: Transformation, mask: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal m [d] and the step q [d] of the recursion z <- m z + q that does `change`.

    Each number of z is scaled so that its own features come closest to their transformation; the
    paths have fixed points. Section 4.2 of the paper. Errors as of `linear_walk`.
    """
    scale = _weights(layer, mask)[:, None] ** 2
    own = np.sum(layer.weight * scale * layer.weight, 0)
    if not own.all():
        dead = int(np.flatnonzero(own == 0)[0])
        raise ValueError(f"number {dead} of z moves no cell of the mask; allowed: a mask of more")
    crossed = np.sum(layer.weight * scale * moved(layer, change)[0], 0)
    return crossed / own, linear_walk(layer, change, mask)


def _weights(layer: FirstLayer, mask: Any) -> np.ndarray:
    """The mask for every number of the flat features [m]."""
    shape = layer.grid[:2]
    given = np.ones(shape) if mask is None else check_array("mask", mask, "biuf")
    if given.shape != shape or (given < 0).any() or not given.any():
        raise ValueError(
            f"mask {list(given.shape)}; allowed: {list(shape)}, of weights of at least 0, not all 0"
        )
    return np.repeat(given.astype(np.float64).ravel(), layer.grid[2])
