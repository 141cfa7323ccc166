"""Fewer pixels, or more: kernels that shrink and enlarge, and crops."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.nn.banded_matmul import bands
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.operators.base import Given, Maker, Operator, Shape, bordered, linear
from jaxinv.operators.masks import window

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array


def _cubic(a: float, t: np.ndarray) -> np.ndarray:
    """Cubic convolution kernel (Keys 1981, with a free)."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def _lanczos(lobes: int, t: np.ndarray) -> np.ndarray:
    """Sinc windowed by the first lobe of a wider one (Duchon 1979)."""
    return np.where(np.abs(t) < lobes, np.sinc(t) * np.sinc(t / lobes), 0.0)


def _triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(t), 0.0)


# Half width in output pixels, and weight at a distance in output pixels.
SHAPES: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "area": (0.5, np.ones_like),
    "bicubic": (2.0, partial(_cubic, -0.5)),
    "bicubic-0.75": (2.0, partial(_cubic, -0.75)),
    "lanczos2": (2.0, partial(_lanczos, 2)),
    "lanczos3": (3.0, partial(_lanczos, 3)),
    "bilinear": (1.0, _triangle),
}
METHODS = {"bicubic": "cubic", "bilinear": "linear", "nearest": "nearest"}


def taps(kernel: str, factor: int) -> np.ndarray:
    """Weights [2 b + 1, factor] of the cells of `factor` pixels around an output pixel, sum 1.

    The kernel is stretched by the factor, so that the result does not alias.
    """
    if kernel == "nearest":
        return (np.arange(factor) == factor // 2).astype(np.float32)[None]
    radius, weight = SHAPES[kernel]
    reach = math.ceil(radius - 0.5)
    pixels = np.arange(-reach * factor, (reach + 1) * factor)
    weights = weight((pixels - (factor - 1) / 2) / factor)
    return (weights / weights.sum()).astype(np.float32).reshape(2 * reach + 1, factor)


def _reduce(x: Array, axis: int, weights: np.ndarray, edge: str) -> Array:
    """Shrink x along one axis by what `taps` gives."""
    reach = len(weights) // 2
    return bands(bordered(x, axis, reach * weights.shape[1], edge), axis, weights[..., None])


def _divided(n: int, weights: np.ndarray) -> np.ndarray:
    """What the weights of every output pixel add up to, without those beyond the border."""
    reach, factor = len(weights) // 2, weights.shape[1]
    inside = np.pad(np.ones(n // factor, np.float32), reach)
    sums = weights.sum(1)
    return np.stack([inside[b : b + n // factor] * s for b, s in enumerate(sums)]).sum(0)


def down(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """[h, w, c] -> [h / factor, w / factor, c]; `ValueError` unless the factor divides both.

    Shown enlarged smoothly: searches may start from that picture, and blocks resemble no face.
    """
    del given
    if any(n % spec.factor for n in shape[:2]):
        common = math.gcd(*shape[:2])
        allowed = ", ".join(str(k) for k in range(1, common + 1) if common % k == 0)
        raise ValueError(
            f"factor {spec.factor} of {shape[0]}x{shape[1]} px; allowed: {allowed} (it must divide)"
        )
    weights = taps(spec.kernel, spec.factor)

    def apply(x: Array) -> Array:
        for axis in (0, 1):
            sums = _divided(x.shape[axis], weights) if spec.edge == "renormalise" else None
            x = _reduce(x, axis, weights, spec.edge)
            if sums is not None:
                x = x / jnp.expand_dims(sums, tuple(a for a in range(x.ndim) if a != axis))
        return x

    return linear(apply, shape, lambda y: resize(y, (shape[0], shape[1])))


def up(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """[h, w, c] -> [factor h, factor w, c]; pixel centres stay in place."""
    del given
    sides = (shape[0] * spec.factor, shape[1] * spec.factor, shape[2])
    return linear(
        lambda x: jax.image.resize(x, sides, METHODS[spec.kernel]),
        shape,
        lambda y: area_reduce(y, (shape[0], shape[1])),
    )


def crop(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """The pixels of a box; shown in their place."""
    del given
    (top, bottom), (left, right) = window(spec.box, shape)
    around = ((top, shape[0] - bottom), (left, shape[1] - right), (0, 0))
    return linear(lambda x: x[top:bottom, left:right], shape, lambda y: jnp.pad(y, around))


MAKERS: dict[str, Maker] = {"crop": crop, "down": down, "up": up}
