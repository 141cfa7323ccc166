"""Compressive sensing: few linear measurements of all pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxinv.operators.base import Given, Maker, Operator, Shape, fresh, linear

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array, Key

BLOCK = 2**22  # entries of the dense matrix that exist at one time


def _vector(apply: Callable[[Array], Array], shape: Shape) -> Operator:
    """A linear operator that gives a vector; shown as A'y, scaled to fill [-1, 1]."""
    plain = linear(apply, shape)

    def show(y: Array) -> Array:
        back = jax.linear_transpose(apply, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]
        return back / jnp.maximum(jnp.max(jnp.abs(back)), 1e-12)

    return plain._replace(show=show)


def _blocks(count: int, size: int) -> tuple[int, int]:
    """Number of blocks of rows that the dense matrix is drawn in, and rows of each."""
    rows = min(count, max(1, BLOCK // size))
    return -(-count // rows), rows


def _rows(key: Key, index: Array | int, rows: int, size: int) -> Array:
    """Block `index` of the dense matrix, N(0, 1)."""
    return jax.random.normal(jax.random.fold_in(key, index), (rows, size))


def gaussian_matrix(key: Key, count: int, size: int) -> Array:
    """The matrix [count, size] of the operator "dense": entries N(0, 1 / count).

    The operator draws it anew at every evaluation, block by block, and never stores it; where it
    fits in memory, give it as an array instead.
    """
    blocks, rows = _blocks(count, size)
    matrix = jnp.concatenate([_rows(key, i, rows, size) for i in range(blocks)])
    return matrix[:count] / math.sqrt(count)


def dense(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """y = A vec(x), [count], entries N(0, 1 / count) (Bora et al. 2017, scaled to keep norms).

    Drawing count x pixels numbers at every evaluation suits small images; for large ones there is
    "circulant".
    """
    size = math.prod(shape)
    if spec.array:
        matrix = given.array(spec.array, (spec.count, size))
        return _vector(lambda x: matrix @ x.reshape(-1), shape)
    blocks, rows = _blocks(spec.count, size)

    def apply(x: Array) -> Array:
        # Drawn again in the backward pass rather than kept for it.
        @jax.checkpoint
        def some(index: Array, flat: Array) -> Array:
            return _rows(fresh(given.key), index, rows, size).astype(x.dtype) @ flat

        flat = x.reshape(-1)
        _, parts = lax.scan(lambda _, i: ((), some(i, flat)), (), jnp.arange(blocks))
        return parts.reshape(-1)[: spec.count] / math.sqrt(spec.count)

    return _vector(apply, shape)


def circulant(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """`count` random samples of (random filter) * (random signs x vec(x)), [count].

    The filter is N(0, 1 / count), the convolution circular; of `count` equal stretches of its
    values, one is taken from each. Source: Romberg 2009, Compressive
    sensing by random convolution; used by Daras et al. 2021, ILO. Raises `ValueError` for more
    measurements than pixels.
    """
    size = math.prod(shape)
    if spec.count > size:
        raise ValueError(f"count {spec.count} of 'circulant'; allowed: at most {size} (pixels)")

    edges = np.arange(spec.count + 1) * size // spec.count
    first, width = edges[:-1], np.diff(edges)

    def apply(x: Array) -> Array:
        signs, taps, order = jax.random.split(fresh(given.key), 3)
        flipped = x.reshape(-1) * jax.random.rademacher(signs, (size,), x.dtype)
        kernel = jax.random.normal(taps, (size,), x.dtype) / math.sqrt(spec.count)
        mixed = jnp.fft.irfft(jnp.fft.rfft(flipped) * jnp.fft.rfft(kernel), size)
        return mixed[first + jnp.floor(jax.random.uniform(order, first.shape) * width).astype(int)]

    return _vector(apply, shape)


def frequencies(spec: OperatorSpec, shape: Shape, key: Key) -> Array:
    """Which frequencies of [h, w] are kept, in the order of the FFT: symmetric, 0 or 1.

    All low ones, and of the others so many, on average, that `share` of all are kept.
    """
    height, width = shape[:2]
    y, x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    low = 2 * np.sqrt(y * y + x * x) <= spec.low
    others = (spec.share * low.size - low.sum()) / max(low.size - low.sum(), 1)
    order = jnp.arange(height * width).reshape(height, width)
    twin = jnp.roll(order[::-1, ::-1], (1, 1), (0, 1))  # index of the negative frequency
    drawn = jax.random.uniform(fresh(key), (height * width,))[jnp.minimum(order, twin)]
    return jnp.where(jnp.where(low, -1.0, drawn) < max(others, 0.0), 1.0, 0.0)


def fourier(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """The image of the kept frequencies alone: an orthogonal projection, so A' = A and AA = A.

    By Parseval's theorem, squared differences are those of the kept coefficients.
    """

    def apply(x: Array) -> Array:
        kept = frequencies(spec, shape, given.key)[..., None]
        return jnp.fft.ifft2(kept * jnp.fft.fft2(x, axes=(0, 1)), axes=(0, 1)).real.astype(x.dtype)

    return linear(apply, shape)


MAKERS: dict[str, Maker] = {"dense": dense, "circulant": circulant, "fourier": fourier}
