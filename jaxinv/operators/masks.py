"""Parts of an image that are hidden: set to 0, which is mid-grey."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.operators.base import Given, Operator, Shape, fresh, linear

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array

Span = tuple[int, int]


def window(box: tuple[float, float, float, float], shape: Shape) -> tuple[Span, Span]:
    """First and last pixel of a box (top, left, height, width as fractions) along both axes.

    Raises `ValueError` if no pixel lies in it.
    """
    pairs = zip(box[:2], box[2:], shape, strict=False)
    spans = [(round(start * side), round((start + span) * side)) for start, span, side in pairs]
    if any(first >= last for first, last in spans):
        raise ValueError(f"box {box} of {shape[0]}x{shape[1]} px holds no pixel")
    return spans[0], spans[1]


def keeps(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    """Which pixels of images [h, w, c] a mask keeps, float [h, w, 1]: 1 kept, 0 hidden."""
    kept = KEPT[spec.name](spec, shape, given)[..., None]
    return 1 - kept if spec.invert else kept


def hide(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    """x times the mask; the adjoint is the same."""
    return linear(lambda x: x * keeps(spec, shape, given).astype(x.dtype), shape)


def _outside(rows: Span, columns: Span, shape: Shape) -> Array:
    """1 outside of a rectangle, 0 inside, [h, w]."""
    i, j = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])
    inside = (i >= rows[0]) & (i < rows[1]) & (j >= columns[0]) & (j < columns[1])
    return 1.0 - inside


def _box(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    del given
    return _outside(*window(spec.box, shape), shape)


def _array(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    return given.array(spec.array, shape[:2])


def _pixels(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    """Every pixel with probability `share` (an exact share would need a sort at each use)."""
    return jnp.where(jax.random.uniform(fresh(given.key), shape[:2]) < spec.share, 1.0, 0.0)


def _half(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    del given
    axis = 0 if spec.side in ("top", "bottom") else 1
    middle = shape[axis] // 2
    hidden = (0, middle) if spec.side in ("top", "left") else (middle, shape[axis])
    spans = [(0, shape[0]), (0, shape[1])]
    spans[axis] = hidden
    return _outside(spans[0], spans[1], shape)


def _hole(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    """A centred square whose side is the floor of `share` of the shorter side."""
    del given
    side = math.floor(spec.share * min(shape[:2]) + 1e-9)
    first = [(n - side) // 2 for n in shape[:2]]
    return _outside((first[0], first[0] + side), (first[1], first[1] + side), shape)


def _ring(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    del given
    half = min(shape[:2]) / 2
    y = (jnp.arange(shape[0]) + 0.5 - shape[0] / 2)[:, None] / half
    x = (jnp.arange(shape[1]) + 0.5 - shape[1] / 2) / half
    radius = jnp.sqrt(y * y + x * x)
    return 1.0 - ((radius >= spec.inner) & (radius < spec.outer))


def _blobs(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    """Coarse uniform noise, enlarged bilinearly, below `level` (Chai et al. 2021)."""
    coarse = jax.random.uniform(given.key, (spec.cells, spec.cells))
    return jnp.where(jax.image.resize(coarse, shape[:2], "linear") < spec.level, 1.0, 0.0)


def _border(spec: OperatorSpec, shape: Shape, given: Given) -> Array:
    del given
    spans = [(round(spec.share * n), n - round(spec.share * n)) for n in shape[:2]]
    return 1.0 - _outside(spans[0], spans[1], shape)


KEPT: dict[str, Callable[[OperatorSpec, Shape, Given], Array]] = {
    "box": _box,
    "mask": _array,
    "pixels": _pixels,
    "half": _half,
    "hole": _hole,
    "ring": _ring,
    "blobs": _blobs,
    "border": _border,
}
