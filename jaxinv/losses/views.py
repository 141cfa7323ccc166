"""What part of an image a term sees, at what size, and how a mask weighs it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxinv.nn.resample import area_reduce, resize
from jaxinv.types import Array

if TYPE_CHECKING:
    from jaxinv.specs import View


def apply_view(image: Array, view: View) -> Array:
    """The part of image [h, w, c] that a view shows, at the view's size."""
    (top, bottom), (left, right) = crop_bounds(view, image.shape[:2])
    seen = area_reduce(image[top:bottom, left:right], downsampled_shape(view, image.shape[:2]))
    return resize(seen, view_shape(view, image.shape[:2]))


def downsampled_shape(view: View, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns that the view keeps of an image [h, w], before it enlarges them."""
    (top, bottom), (left, right) = crop_bounds(view, shape)
    sides = (bottom - top, right - left)
    return sides if view.size is None else _scaled(sides, min(view.size, *sides))


def view_shape(view: View, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of what the view shows of an image [h, w]."""
    sides = downsampled_shape(view, shape)
    return sides if view.min_size is None else _scaled(sides, max(view.min_size, min(sides)))


def _scaled(sides: tuple[int, int], shorter: int) -> tuple[int, int]:
    return (round(sides[0] * shorter / min(sides)), round(sides[1] * shorter / min(sides)))


def crop_bounds(view: View, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last pixel, along both axes, of the view's crop of an image [h, w]."""
    crop = view.crop or (0.0, 0.0, 1.0, 1.0)
    pairs = zip(crop[:2], crop[2:], shape, strict=True)
    return [(round(start * side), round((start + span) * side)) for start, span, side in pairs]


def position_weights(mask: Array, view: View, shape: tuple[int, ...]) -> Array:
    """Weights [h, w] of the positions of features by the mask [h', w', 1] seen through the view."""
    found = resize(apply_view(mask, replace(view, min_size=None)), (shape[0], shape[1]))[..., 0]
    return jnp.maximum(found, 0.0)  # bicubic enlarging overshoots


def masked_mean(values: Array, mask: Array | None, view: View, reduction: str) -> Array:
    """Mean (or sum) over [h, w], weighted by the mask [h', w', 1] as seen through the same view."""
    if mask is None:
        return jnp.sum(values) if reduction == "sum" else jnp.mean(values)
    weights = position_weights(mask, view, values.shape)
    total = jnp.sum(values * weights)
    return total if reduction == "sum" else total / jnp.maximum(jnp.sum(weights), 1e-6)
