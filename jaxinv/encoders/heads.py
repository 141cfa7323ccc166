"""Heads: feature maps, the coarsest first -> codes, in the shape that the encoder's spec says.

The fact "groups" says how many rows of the code come from the first maps; the rest come from the
map after these.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import jax.numpy as jnp

from jaxinv.nn.linear import leaky_relu
from jaxinv.nn.pool import adaptive_average

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.encoders.backbones import Maps
    from jaxinv.encoders.base import Beside, Outputs
    from jaxinv.encoders.layers import Network
    from jaxinv.types import Array

    Head = Callable[[Network, Maps, Beside | None], Outputs]

SLOPE = 0.01
GRID = 7  # pixels along a side that a dense layer sees


def map2style(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A small network of its own for every row (Richardson et al. 2021, pSp, section 3)."""
    del beside
    rows = [_style(net, f"styles.{row}", one) for row, one in enumerate(_sources(net, maps))]
    return {"code": jnp.stack(rows).reshape(net.spec.shape)}


def deltas(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """The first row, and for every other one what is added to it (Tov et al. 2021, e4e, eq. 2).

    Rows beyond number `beside.stage` have nothing added; None: all have.
    """
    rows = [_style(net, f"styles.{row}", one) for row, one in enumerate(_sources(net, maps))]
    added = jnp.stack([jnp.zeros_like(rows[0]), *rows[1:]])
    if beside is not None and beside.stage is not None:
        added = jnp.where(jnp.arange(len(rows))[:, None] <= beside.stage, added, 0.0)
    return {"code": (rows[0] + added).reshape(net.spec.shape)}


def _sources(net: Network, maps: Maps) -> Maps:
    """The map that each row comes from."""
    edges = list(accumulate(net.fact("groups", ())))
    places = [sum(row >= edge for edge in edges) for row in range(max(net.spec.rows, 1))]
    return [maps[min(place, len(maps) - 1)] for place in places]


def _style(net: Network, name: str, x: Array) -> Array:
    """Convolutions that halve a map until one pixel is left, and a linear layer: [width]."""
    number = 0
    while max(x.shape[:2]) > 1:
        x = leaky_relu(net.conv(f"{name}.convs.{number}", x, net.spec.width, 3, 2), SLOPE)
        number += 2
    return net.equalised(f"{name}.linear", x[0, 0], net.spec.width)


def pooled(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A linear layer over the means of the coarsest map."""
    del beside
    mean = jnp.mean(maps[0], (0, 1))
    return {"code": _code(net, net.equalised("linear", mean, _numbers(net)))}


def pooled_row(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """The same row everywhere, a linear layer over the means of the coarsest map."""
    del beside
    row = net.equalised("linear", jnp.mean(maps[0], (0, 1)), net.spec.width)
    return {"code": jnp.broadcast_to(row, net.spec.shape)}


def pooled_grid(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A dense layer over the coarsest map, pooled to a grid, then a linear one."""
    del beside
    hidden = _grid_dense(net, "output_layer_2", maps[0], net.spec.width)
    return {"code": _code(net, net.equalised("linear", hidden, _numbers(net)))}


def pooled_levels(net: Network, maps: Maps, beside: Beside | None) -> Outputs:
    """A dense layer over each of the finest maps, pooled to a grid (Wei et al. 2022, E2Style)."""
    del beside
    groups = net.fact("groups", ())
    counts = [*groups, net.spec.rows - sum(groups)]
    parts = [
        _grid_dense(net, f"output_layer_{level + 3}", one, rows * net.spec.width)
        for level, (one, rows) in enumerate(zip(maps[-len(counts) :], counts, strict=True))
    ]
    return {"code": _code(net, jnp.concatenate(parts))}


def _grid_dense(net: Network, name: str, x: Array, features: int) -> Array:
    x = adaptive_average(net.norm(f"{name}.0", x), (GRID, GRID))
    return net.dense(f"{name}.3", jnp.moveaxis(x, -1, 0).ravel(), features)


def _numbers(net: Network) -> int:
    return max(net.spec.rows, 1) * net.spec.width


def _code(net: Network, numbers: Array) -> Array:
    return numbers.reshape(net.spec.shape)


HEADS: dict[str, Head] = {
    "map2style": map2style,
    "deltas": deltas,
    "pooled": pooled,
    "pooled-row": pooled_row,
    "pooled-grid": pooled_grid,
    "pooled-levels": pooled_levels,
}
