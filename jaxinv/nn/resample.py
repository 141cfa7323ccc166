"""Change of resolution: inverse Haar wavelet, area reduction, enlargement. One sample [h, w, c]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from jaxinv.types import Array

BACK_PROJECTIONS = 6


def inverse_haar(x: Array) -> Array:
    """[h, w, 4c] with channels [LL | H0 | H1 | H2] -> [2h, 2w, c].

    Source: Belousov 2021, MobileStyleGAN, 3.1. H0 is high along rows, H1 along columns, H2
    along both; every output is half a signed sum.
    """
    height, width, channels = x.shape
    low, vertical, horizontal, both = jnp.split(0.5 * x, 4, axis=-1)
    rows = [
        jnp.stack([low + a * vertical + b * (horizontal + a * both) for b in (1.0, -1.0)], axis=2)
        for a in (1.0, -1.0)
    ]
    return jnp.stack(rows, axis=1).reshape(2 * height, 2 * width, channels // 4)


def blur(x: Array, padding: int = 1) -> Array:
    """[h, w, c] -> [h + 2 padding - 3, ...]: the filter [1, 3, 3, 1] / 4 along both axes.

    Its sum is 2 per axis, which makes up for the zeros that an upsampling has put in (Karras et al.
    2020, StyleGAN2; gain 4 in two dimensions).
    """
    # The barrier keeps the padded copy whole; without it every shift pads anew.
    x = jax.lax.optimization_barrier(jnp.pad(x, ((padding, padding), (padding, padding), (0, 0))))
    for axis in (0, 1):
        length = x.shape[axis] - 3
        a, b, c, d = (jax.lax.slice_in_dim(x, k, k + length, axis=axis) for k in range(4))
        x = 0.25 * (a + d) + 0.75 * (b + c)
    return x


def blur_phases(corner: Array, right: Array, below: Array, centre: Array) -> Array:
    """`blur` with padding 1 of an image [2h + 1, 2w + 1, c] that is given in four parts.

    Even rows and columns [h + 1, w + 1, c], even rows with odd columns [h + 1, w, c], odd rows with
    even columns [h, w + 1, c], odd ones [h, w, c]. The result [2h, 2w, c] is put together last.
    """
    rows = zip(_blurred(corner, below, 0), _blurred(right, centre, 0), strict=True)
    lines = [jnp.stack(_blurred(even, odd, 1), axis=2) for even, odd in rows]
    height, width, channels = centre.shape
    whole = jnp.stack(lines, axis=1).reshape(2 * height, 2 * width, channels)
    # Put together once: otherwise everything that uses it would do so anew.
    return jax.lax.optimization_barrier(whole)


def _blurred(even: Array, odd: Array, axis: int) -> tuple[Array, Array]:
    """Even and odd pixels along one axis of the blurred image, from its n + 1 even and n odd."""
    wide = jnp.pad(odd, [(1, 1) if a == axis else (0, 0) for a in range(3)])
    count = odd.shape[axis]
    first, last = (jax.lax.slice_in_dim(even, k, k + count, axis=axis) for k in (0, 1))
    before, after = (jax.lax.slice_in_dim(wide, k, k + count, axis=axis) for k in (0, 2))
    return 0.25 * (before + last) + 0.75 * (first + odd), 0.25 * (first + after) + 0.75 * (
        odd + last
    )


def blur_double(x: Array, edge: str = "constant") -> Array:
    """[h, w, c] -> [2h, 2w, c]: zeros between the pixels, then the filter of `blur`.

    Every output pixel is 3/4 of the nearer and 1/4 of the farther neighbour along each axis, zero
    beyond the edge; with `edge` "edge" the last pixel goes on there, which is bilinear enlargement.
    """
    for axis in (0, 1):
        pads = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        wide, count = jnp.pad(x, pads, mode=edge), x.shape[axis]
        before, after = (jax.lax.slice_in_dim(wide, k, k + count, axis=axis) for k in (0, 2))
        pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=axis + 1)
        x = pair.reshape(tuple(2 * n if a == axis else n for a, n in enumerate(x.shape)))
    return x


def area_matrix(size: int, out: int) -> np.ndarray:
    """[out, size] weights that average, along one axis, the span that every output covers."""
    edges = np.linspace(0.0, size, out + 1)
    cells = np.arange(size)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.clip(overlap, 0.0, None) * out / size).astype(np.float32)


def area_reduce(x: Array, size: int | tuple[int, int]) -> Array:
    """Area-average x [h, w, c] down to `size`, a side or (rows, columns).

    Raises `ValueError` if that would enlarge it.
    """
    height, width, channels = x.shape
    rows, columns = (size, size) if isinstance(size, int) else size
    if rows > height or columns > width:
        raise ValueError(
            f"cannot area-reduce {height}x{width} to {rows}x{columns}; "
            f"allowed: at most {height}x{width}"
        )
    if (height, width) == (rows, columns):
        return x
    if height % rows == 0 and width % columns == 0:
        cells = x.reshape(rows, height // rows, columns, width // columns, channels)
        return cells.mean((1, 3))
    down, across = area_matrix(height, rows), area_matrix(width, columns)
    return jnp.einsum("ah,hwc,bw->abc", down, x, across)


def resize(x: Array, size: int | tuple[int, int]) -> Array:
    """Resize x [h, w, c] to `size`, a side or (rows, columns).

    Area average where neither side grows, otherwise bicubic (a = -0.5, smoothed where it shrinks).
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    if rows <= x.shape[0] and columns <= x.shape[1]:
        return area_reduce(x, (rows, columns))
    return jax.image.resize(x, (rows, columns, x.shape[-1]), "cubic")


def enlarge(x: Array, size: int) -> Array:
    """Enlarge x [h, w, c] smoothly to [size, size, c], so that its area means are x again.

    What bicubic enlarging lacks of that is enlarged and added, a few times (iterative
    back-projection, Irani & Peleg 1991). x is returned where it is as large.
    """
    rows, columns = x.shape[0], x.shape[1]
    if min(rows, columns) >= size:
        return x
    found = resize(x, size)
    for _ in range(BACK_PROJECTIONS):
        found = found + resize(x - area_reduce(found, (rows, columns)), size)
    return found


def fill_masked(x: Array, mask: Array) -> Array:
    """Image x [h, w, c] whose pixels without weight in mask [h, w, 1] have the colours around them.

    Means over ever larger areas of what is known, smoothly enlarged; each pixel takes the smallest
    area that knows something (the pull-push of Gortler et al. 1996, The Lumigraph).
    """
    rows, columns = x.shape[0], x.shape[1]
    known, sums = jnp.where(mask > 0, 1.0, 0.0), jnp.where(mask > 0, x, 0.0)
    found, empty = sums, known == 0
    for level in range(1, max(rows, columns).bit_length()):
        sides = (max(rows >> level, 1), max(columns >> level, 1))
        amount, colours = (
            jax.image.resize(area_reduce(part, sides), (rows, columns, part.shape[-1]), "linear")
            for part in (known, sums)
        )
        fresh = empty & (amount > 0)
        found = jnp.where(fresh, colours / jnp.maximum(amount, 1e-12), found)
        empty = empty & ~fresh
    return found
