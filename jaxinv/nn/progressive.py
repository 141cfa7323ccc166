"""Parts of PGGAN and the first StyleGAN (Karras et al. 2018, 2019), on one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from jaxinv.nn.linear import cast_like

if TYPE_CHECKING:
    from jaxinv.types import Array


EPSILON = 1e-8  # of instance norms


def nearest_double(x: Array) -> Array:
    """[h, w, c] -> [2h, 2w, c]: every pixel four times."""
    height, width, channels = x.shape
    wide = jnp.broadcast_to(x[:, None, :, None], (height, 2, width, 2, channels))
    return wide.reshape(2 * height, 2 * width, channels)


def smooth(x: Array, edge: str = "constant") -> Array:
    """[h, w, c] -> [h, w, c]: the filter [1, 2, 1] / 4 along both axes, zero beyond the edge.

    With `edge` "reflect" the image is mirrored there, at its last pixel.
    """
    for axis in (0, 1):
        count = x.shape[axis]
        wide = jnp.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode=edge)
        before, after = (lax.slice_in_dim(wide, k, k + count, axis=axis) for k in (0, 2))
        x = 0.25 * (before + after) + 0.5 * x
    return x


def instance_norm(x: Array, epsilon: float = EPSILON) -> Array:
    """x [h, w, c] with mean 0 and mean square 1 in every channel."""
    wide = x.astype(jnp.float32)
    wide = wide - jnp.mean(wide, (0, 1))
    return cast_like(wide * lax.rsqrt(jnp.mean(wide * wide, (0, 1)) + epsilon), x)
