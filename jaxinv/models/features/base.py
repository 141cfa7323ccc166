"""The interface of every feature net."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Params

# Mean and scale of ImageNet for images in [-1, 1] (Zhang et al. 2018, LPIPS v0.1 scaling layer).
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class FeatureNet(NamedTuple):
    """One feature net.

    `taps(params, image [h, w, 3] in [-1, 1])` gives {layer name: [h', w', c]}; `layers` lists all
    names, `lpips` the five that LPIPS compares. Images below `smallest` px leave deep layers empty.
    """

    name: str
    lpips: tuple[str, ...]
    layers: tuple[str, ...]
    smallest: int
    init: Callable[[Key], Params]
    taps: Callable[[Params, Array], dict[str, Array]]


def normalise(image: Array) -> Array:
    """Image [h, w, 3] in [-1, 1] -> the trunk's input units."""
    return (image - jnp.asarray(SHIFT)) / jnp.asarray(SCALE)
