"""Pooling and interpolation as published nets do them, on one sample [h, w, c]."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxinv.types import Array

    Places = Callable[[int, int], np.ndarray]


def max_pool(x: Array, side: int, stride: int = 2, padding: int = 0) -> Array:
    """Maximum over side x side windows; [h, w, c] -> [h', w', c].

    Written with slices: the window primitive's gradient is a slow scatter on CPU.
    """
    pads = ((padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(x, pads, constant_values=-jnp.inf) if padding else x
    return reduce(jnp.maximum, _windows(padded, side, stride))


def average_pool(x: Array, side: int, stride: int, padding: int = 0) -> Array:
    """Mean over side x side windows of the pixels that lie in the image; [h, w, c] -> [h', w', c].

    The padding is not counted (`count_include_pad=False` in torch).
    """
    pads = ((padding, padding), (padding, padding), (0, 0))
    total = reduce(jnp.add, _windows(jnp.pad(x, pads), side, stride))
    inside = np.pad(np.ones((*x.shape[:2], 1), np.float32), pads)
    return total / sum(_windows(inside, side, stride))


def _windows(x: Any, side: int, stride: int) -> Iterator[Any]:
    """The pixels at every place of a window, each [h', w', c]."""
    height, width = ((n - side) // stride for n in x.shape[:2])
    for row in range(side):
        for column in range(side):
            rows = slice(row, row + stride * height + 1, stride)
            yield x[rows, column : column + stride * width + 1 : stride]


def bilinear(x: Array, size: tuple[int, ...]) -> Array:
    """Linear in both directions, pixel centres at halves, not smoothed where it shrinks."""
    return _along_both(x, size, lambda n, out: (_index(out) + _HALF) * np.float32(n / out) - _HALF)


def bilinear_corners(x: Array, size: tuple[int, ...]) -> Array:
    """Linear in both directions, corners upon corners (`align_corners=True` in torch)."""
    return _along_both(x, size, lambda n, out: _index(out) * np.float32((n - 1) / max(out - 1, 1)))


def bilinear_tensorflow(x: Array, size: tuple[int, ...]) -> Array:
    """Linear in both directions, as in the first TensorFlow: pixel i of n lies at i * n / out."""
    return _along_both(x, size, lambda n, out: _index(out) * np.float32(n / out))


_HALF = np.float32(0.5)


def _index(count: int) -> np.ndarray:
    """0, 1, 2 ... in float32, in which the originals reckon places too."""
    return np.arange(count, dtype=np.float32)


def nearest(x: Array, size: tuple[int, ...]) -> Array:
    """The pixel at the whole part of i * n / out ("nearest" of torch)."""
    rows, columns = (np.arange(out) * n // out for n, out in zip(x.shape, size, strict=False))
    return x[rows][:, columns]


def adaptive_average(x: Array, size: tuple[int, ...]) -> Array:
    """Mean of whole pixels: output i covers floor(i n / out) up to ceil((i + 1) n / out)."""
    down, across = (_spans(n, out) for n, out in zip(x.shape, size, strict=False))
    return jnp.einsum("ah,hwc,bw->abc", down, x, across)


def _spans(n: int, out: int) -> np.ndarray:
    index, pixels = np.arange(out)[:, None], np.arange(n)
    inside = (pixels >= index * n // out) & (pixels < -(-(index + 1) * n // out))
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def _along_both(x: Array, size: tuple[int, ...], places: Places) -> Array:
    down, across = (_between(n, places(n, out)) for n, out in zip(x.shape, size, strict=False))
    return jnp.einsum("ah,hwc,bw->abc", down, x, across)


def _between(n: int, places: np.ndarray) -> np.ndarray:
    """Weights [out, n] of the two pixels around each place; the edges are repeated."""
    places = np.clip(places, 0, n - 1)
    low = places.astype(int)
    share = (places - low)[:, None]
    eye = np.eye(n, dtype=np.float32)
    return (1 - share) * eye[low] + share * eye[np.minimum(low + 1, n - 1)]
