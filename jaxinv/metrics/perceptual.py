"""LPIPS of finished 8-bit pictures as tables report it: both enlarged or area-reduced to 256 px."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import extract_features, term_value
from jaxinv.metrics.reconstruction import check_pair
from jaxinv.models.arguments import check_net
from jaxinv.models.features.backbones import NETS
from jaxinv.nn.resample import resize
from jaxinv.specs import Term
from jaxinv.specs.checks import check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Params

SIZE = 256
TOGETHER = 16  # pairs, on accelerators


@partial(jax.jit, static_argnums=(0, 4))
def _distance(net: str, params: Params, a: Array, b: Array, size: int | None) -> Array:
    term, nets = Term("lpips", net=net), {net: params}
    images = (x.astype(jnp.float32) / 127.5 - 1.0 for x in (a, b))
    sized = [x if size is None else resize(x, size) for x in images]
    ours, theirs = (extract_features((term,), nets, x) for x in sized)
    return term_value(term, TermInputs({}, {}, sized[0], ours, target=theirs, nets=nets))


@partial(jax.jit, static_argnums=(0, 4))
def _distances(net: str, params: Params, a: Array, b: Array, size: int | None) -> Array:
    return jax.vmap(lambda p, q: _distance(net, params, p, q, size))(a, b)


def lpips(
    net: str, params: Params, a: np.ndarray, b: np.ndarray, *, size: int | None = SIZE
) -> np.ndarray:
    """LPIPS v0.1 of each pair of images, float [B]; 0 is identical, lower is closer.

    Args:
        net: "alexnet" or "vgg16".
        params: its parameters, `load_features((net,))[net]`.
        a: uint8 [B, h, w, 3].
        b: uint8, same shape.
        size: side in px at which they are compared; None: as they are.

    Raises:
        ValueError: other arrays, or images too small for the network.

    Source: Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features, equation 1.
    """
    check_choice("net", net, tuple(NETS))
    if size is not None:
        check_whole("size", size, 1)
    x, y = check_pair(a, b)
    least, found = NETS[net].smallest, min(x.shape[1:3]) if size is None else size
    if found < least:
        raise ValueError(f"lpips of {net!r} on images of {found} px; allowed: at least {least}")
    check_net(net, params)
    if jax.default_backend() == "cpu":  # where several at once gain nothing
        pairs = zip(x, y, strict=True)
        return np.array([float(_distance(net, params, p, q, size)) for p, q in pairs])
    return _by_groups(lambda p, q: _distances(net, params, p, q, size), x, y)


def _by_groups(distances: Callable[..., Array], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances [B] of pairs, up to TOGETHER at once; copies fill a program of a power of two."""
    found: list[np.ndarray] = []
    for first in range(0, len(x), TOGETHER):
        p, q = x[first : first + TOGETHER], y[first : first + TOGETHER]
        rows = np.resize(np.arange(len(p)), 1 << (len(p) - 1).bit_length())
        found.append(np.asarray(distances(p[rows], q[rows]), float)[: len(p)])
    return np.concatenate(found) if found else np.zeros(0)
