"""Blurs and colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxinv.nn.banded_matmul import correlate
from jaxinv.operators.base import Given, Maker, Operator, Shape, bordered, linear, needs_colour

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array

GRAY = (0.2989, 0.587, 0.114)  # of Pan et al. 2020, DGP; their sum is 0.9999
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


def gray(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """[h, w, 3] -> [h, w, 3] with three equal channels."""
    del given
    needs_colour(spec.name, shape)
    return linear(lambda x: jnp.repeat(_weighed(x, GRAY), 3, axis=-1), shape)


def luma(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """[h, w, 3] -> [h, w, 1]."""
    del given
    needs_colour(spec.name, shape)
    return linear(lambda x: _weighed(x, LUMA), shape, lambda y: jnp.repeat(y, 3, axis=-1))


def _weighed(x: Array, weights: tuple[float, float, float]) -> Array:
    return sum((w * x[..., i : i + 1] for i, w in enumerate(weights)), jnp.zeros((), x.dtype))


def gaussian(sigma: float) -> np.ndarray:
    """Samples of a Gaussian up to 4 sigma on both sides, sum 1 [2 r + 1]."""
    offsets = np.arange(-(r := math.floor(4 * sigma + 0.5)), r + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def line(length: int, angle: float) -> np.ndarray:
    """`length` points, 1 px apart, on a line through the centre, each spread over its 4 pixels.

    Square [2 r + 1, 2 r + 1], sum 1; `angle` in degrees, counter-clockwise from the right.
    """
    steps = np.arange(length) - (length - 1) / 2
    turn = math.radians(angle)
    radius = math.ceil((length - 1) / 2)
    grid = np.arange(-radius, radius + 1)
    near = [
        np.maximum(1 - np.abs(grid[:, None] - np.round(way * steps, 9)), 0)
        for way in (-math.sin(turn), math.cos(turn))
    ]
    return near[0] @ near[1].T / length


def filtered(x: Array, kernel: np.ndarray, edge: str) -> Array:
    """Correlate x [h, w, c] with kernel [2 a + 1, 2 b + 1], by FFT; same size."""
    wide = bordered(x, 0, kernel.shape[0] // 2, edge)
    wide = bordered(wide, 1, kernel.shape[1] // 2, edge)
    sides = wide.shape[:2]
    small = lax.optimization_barrier(jnp.asarray(kernel, x.dtype))  # not while compiling
    turned = jnp.conj(jnp.fft.rfft2(small, sides))[..., None]
    product = jnp.fft.rfft2(wide, axes=(0, 1)) * turned
    return jnp.fft.irfft2(product, sides, axes=(0, 1))[: x.shape[0], : x.shape[1]].astype(x.dtype)


def _separable(x: Array, weights: np.ndarray, edge: str) -> Array:
    for axis in (0, 1):
        x = correlate(bordered(x, axis, len(weights) // 2, edge), axis, weights)
    return x


def _normalised(apply: Callable[[Array], Array], spec: OperatorSpec, shape: Shape) -> Operator:
    """The filter, divided by what it makes of an image of ones where edge is "renormalise"."""
    if spec.edge != "renormalise":
        return linear(apply, shape)
    return linear(lambda x: apply(x) / apply(jnp.ones((*x.shape[:2], 1), x.dtype)), shape)


def blur(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """Gaussian blur."""
    del given
    return _normalised(lambda x: _separable(x, gaussian(spec.sigma), spec.edge), spec, shape)


def motion(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """Blur along a straight line."""
    del given
    return _normalised(lambda x: filtered(x, line(spec.length, spec.angle), spec.edge), spec, shape)


MAKERS: dict[str, Maker] = {"gray": gray, "luma": luma, "blur": blur, "motion": motion}
