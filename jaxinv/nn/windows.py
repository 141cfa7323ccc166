"""Attention inside windows with a bias per offset (Liu et al. 2021, Swin, 3.2); [h, w, c]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array

FAR = -100.0  # added to the products of pixels that are not neighbours, as published


class WindowAttention(Module):
    """Scaled dot-product attention of several heads inside windows of `side` px.

    With `shift` the windows are moved by half their side, around the edge of the map.
    """

    side: int
    heads: int
    shift: bool

    @nn.compact
    def __call__(self, query: Array, key: Array, value: Array) -> Array:
        """[h, w, c] each -> [h, w, c]."""
        side, (height, width, channels) = self.side, query.shape
        shape = ((2 * side - 1) ** 2, self.heads)
        table = self.param("table", nn.initializers.zeros, shape)
        by = -(side // 2) if self.shift else 0
        q, k, v = (
            _windows(jnp.roll(x, (by, by), (0, 1)), side).reshape(-1, side**2, self.heads, channels
                                                                 // self.heads)
            for x in (query, key, value)
        )  # fmt: skip
        products = jnp.einsum("wnhc,wmhc->whnm", q, k) * (channels // self.heads) ** -0.5
        products = products + table[offsets(side)].transpose(2, 0, 1)
        if self.shift:
            products = products + far_apart((height, width), side)[:, None]
        seen = jnp.einsum("whnm,wmhc->wnhc", jax.nn.softmax(products, axis=-1), v)
        whole = _whole(seen.reshape(-1, side**2, channels), (height, width), side)
        return jnp.roll(whole, (-by, -by), (0, 1))


def _windows(x: Any, side: int) -> Any:
    """[h, w, c] -> [windows, side^2, c]."""
    height, width, channels = x.shape
    cells = x.reshape(height // side, side, width // side, side, channels)
    return cells.transpose(0, 2, 1, 3, 4).reshape(-1, side**2, channels)


def _whole(x: Array, sides: tuple[int, int], side: int) -> Array:
    """The inverse of `_windows` for a map of `sides`."""
    height, width = sides
    cells = x.reshape(height // side, width // side, side, side, x.shape[-1])
    return cells.transpose(0, 2, 1, 3, 4).reshape(height, width, x.shape[-1])


def offsets(side: int) -> np.ndarray:
    """The row of the table of biases for each pair of pixels of a window, [side^2, side^2]."""
    rows, columns = (one.ravel() for one in np.mgrid[:side, :side])
    down, across = (one[:, None] - one[None] + side - 1 for one in (rows, columns))
    return down * (2 * side - 1) + across


def far_apart(sides: tuple[int, int], side: int) -> np.ndarray:
    """`FAR` for the pairs of pixels that only a shift has brought together, [windows, n, n]."""
    half = side // 2
    labels = [np.digitize(np.arange(length), [length - side, length - half]) for length in sides]
    regions = (3 * labels[0][:, None] + labels[1][None])[..., None]
    cells = np.asarray(_windows(regions, side))[..., 0]
    return np.where(cells[:, :, None] != cells[:, None], np.float32(FAR), np.float32(0))
