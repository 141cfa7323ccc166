"""LPIPS of finished 8-bit pictures as tables report it: both enlarged or area-reduced to 256 px."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.losses import image_term, observe
from jaxinv.nn.resample import resize
from jaxinv.specs import Term

if TYPE_CHECKING:
    from jaxinv.types import Array, Params

SIZE = 256


@partial(jax.jit, static_argnums=(0, 4))
def _distance(net: str, params: Params, a: Array, b: Array, size: int) -> Array:
    term, nets = Term("lpips", net=net), {net: params}
    seen = [observe((term,), nets, resize(x / 127.5 - 1.0, size)) for x in (a, b)]
    return image_term(term, nets, (seen[0], seen[1]), None)


def lpips(
    net: str, params: Params, a: np.ndarray, b: np.ndarray, *, size: int | None = SIZE
) -> np.ndarray:
    """LPIPS v0.1 of each pair of uint8 images [B, h, w, 3], float [B]; 0 is identical.

    net: "alexnet" or "vgg16", with its parameters. Images are compared at `size` px (None: as they
    are). Source: Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features, equation 1.
    """
    pairs = zip(a, b, strict=True)
    return np.array(
        [
            float(_distance(net, params, jnp.float32(x), jnp.float32(y), size or x.shape[0]))
            for x, y in pairs
        ]
    )
