"""What storage does to pixels: noise, few levels, JPEG. Rounding passes gradients straight on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxinv.nn.banded_matmul import bands
from jaxinv.operators.base import (
    Given,
    Maker,
    Operator,
    Shape,
    fresh,
    keep,
    linear,
    needs_colour,
    straight_through,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array

# Quantisation tables of ITU-T T.81 (JPEG), annex K.1: brightness and colour.
BRIGHTNESS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)
# RGB -> Y, Cb, Cr of JFIF 1.02, before 128 is added to Cb and Cr.
YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)


def noise(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """Gaussian noise belongs to a measurement: `simulate` adds it, `apply` and its adjoint do not.

    y = A x + e is compared with A x, so that whatever noise comes last leaves A linear.
    """

    def simulate(x: Array) -> Array:
        return x + spec.sigma * jax.random.normal(fresh(given.key), x.shape, x.dtype)

    return linear(keep, shape)._replace(simulate=simulate)


def _curved(apply: Callable[[Array], Array], shape: Shape) -> Operator:
    """An operator that keeps the shape and is not linear."""
    return Operator(apply, apply, keep, None, shape)


def quantise(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """The nearest of `levels` values, evenly spaced from -1 to 1."""
    del given

    def apply(x: Array) -> Array:
        inside, steps = jnp.clip(x, -1, 1), (spec.levels - 1) / 2
        return straight_through(inside, jnp.round((inside + 1) * steps) / steps - 1)

    return _curved(apply, shape)


def jpeg(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """Baseline JPEG written and read again, 8 bits in between; [h, w, 3]."""
    del given
    needs_colour(spec.name, shape)
    side = 16 if spec.subsample else 8
    more = [(0, -n % side) for n in shape[:2]] + [(0, 0)]
    matrix, offsets = np.array(YCC, np.float32), np.array((0, 128, 128), np.float32)

    def apply(x: Array) -> Array:
        bytes_ = _rounded(127.5 * (x + 1))
        ycc = _rounded(_mixed(jnp.pad(bytes_, more, mode="edge"), matrix) + offsets)
        planes = [_plane(ycc[..., i], spec, colour=i > 0) for i in range(3)]
        rgb = _mixed(jnp.stack(planes, -1) - offsets, np.linalg.inv(matrix).astype(np.float32))
        return _rounded(rgb[: shape[0], : shape[1]]) / 127.5 - 1

    return _curved(apply, shape)


def _mixed(x: Array, matrix: np.ndarray) -> Array:
    return jnp.matmul(x, matrix.T, precision=lax.Precision.HIGHEST)


def _rounded(x: Array, up: float | np.ndarray = 0.5) -> Array:
    """To the whole numbers 0 to 255; fractions of 1 - up and more go up."""
    inside = jnp.clip(x, 0, 255)
    return straight_through(inside, jnp.floor(inside + up))


def _alternating(even: float, odd: float, count: int) -> np.ndarray:
    return np.where(np.arange(count) % 2 == 0, even, odd).astype(np.float32)


def _plane(plane: Array, spec: OperatorSpec, *, colour: bool) -> Array:
    """One channel [h, w], coded; colours at half resolution, then enlarged by a triangle filter.

    Columns are rounded up and down in turn, as libjpeg does to keep the mean.
    """
    table = scaled(COLOUR if colour else BRIGHTNESS, spec.quality)
    if not (colour and spec.subsample):
        return _coded(plane, table)
    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    small = plane.reshape(rows, 2, columns, 2).mean((1, 3))
    coded = _coded(_rounded(small, _alternating(1 / 4, 1 / 2, columns)), table)
    large = jax.image.resize(coded, plane.shape, "linear")
    return _rounded(large, _alternating(1 / 2, 7 / 16, 2 * columns))


def scaled(table: tuple[tuple[int, ...], ...], quality: int) -> np.ndarray:
    """The table at a quality of 1 to 100, as the Independent JPEG Group scales it; float [8, 8]."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((np.array(table) * percent + 50) // 100, 1, 255).astype(np.float32)


def cosines() -> np.ndarray:
    """The orthonormal DCT-II of 8 values, [8 frequencies, 8 positions] (T.81, A.3.3)."""
    k, n = np.arange(8)[:, None], np.arange(8)
    basis = 0.5 * np.cos((2 * n + 1) * k * np.pi / 16)
    return np.where(k == 0, np.sqrt(0.125), basis).astype(np.float32)


def _coded(plane: Array, table: np.ndarray) -> Array:
    """[h, w] in 0..255, multiples of 8: blocks to frequencies, rounded in units of the table."""
    dct, cells = cosines(), (plane.shape[0] // 8, 8, plane.shape[1] // 8, 8)
    found = bands(bands(plane - 128, 0, dct.T[None]), 1, dct.T[None]).reshape(cells)
    units = found / table[:, None]
    kept = (straight_through(units, jnp.round(units)) * table[:, None]).reshape(plane.shape)
    return _rounded(bands(bands(kept, 0, dct[None]), 1, dct[None]) + 128)


MAKERS: dict[str, Maker] = {"noise": noise, "quantize": quantise, "jpeg": jpeg}
