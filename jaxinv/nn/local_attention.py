"""Sparse attention that keeps to the neighbourhood (Daras et al. 2020, YLG, arXiv:1911.12287).

Pixels are enumerated by their Manhattan distance from the top left, and the patterns of one
dimension are applied to that enumeration instead of over the rows (section 4.2, "ESA"). Where the
paper leaves it open, masks are those that its published weights were trained with.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.nn.attention import REDUCTION, SelfAttention, largest
from jaxinv.nn.linear import Linear, cast_like
from jaxinv.nn.module import Module

if TYPE_CHECKING:
    from jaxinv.types import Array

KINDS = ("left floor", "left repetitive", "right floor", "right repetitive")
HEADS = ("right floor", "right repetitive") * 2 + ("left floor", "left repetitive") * 2
UNSEEN = -1000.0  # is added to the products of what a head does not see


def enumeration(height: int, width: int) -> np.ndarray:
    """Ranks [height width] of the pixels, which come row by row, by distance from the top left.

    The distance is that of Manhattan; of two pixels as far away, the upper one comes first.
    """
    rows, columns = np.indices((height, width)).reshape(2, -1)
    return np.argsort(np.lexsort((rows, rows + columns)))


@lru_cache
def mask(kind: str, queries: tuple[int, int], keys: tuple[int, int]) -> np.ndarray:
    """Which keys every query attends to: [pixels of queries, pixels of keys], by height and width.

    Ranks fall into blocks of about the square root of their number. "floor": the query's own block,
    up to itself ("left") or from itself on ("right"). "repetitive": itself, and of every block the
    one that saw the whole block in the step before, its last ("left") or first. Where there are k
    times as many queries as keys, the mask of the keys' own grid is repeated k times: queries come
    row by row, and number q is taken for pixel q modulo the number of keys. Raises `ValueError` for
    another kind or other numbers.
    """
    if kind not in KINDS:
        raise ValueError(f"mask {kind!r}; allowed: {', '.join(KINDS)}")
    many, few = queries[0] * queries[1], enumeration(*keys)
    if many % len(few):
        raise ValueError(f"{many} queries; allowed: a multiple of {len(few)}, that of keys")
    seen = np.tile(_line(kind, few[:, None], few[None]), (many // len(few), 1))
    seen.flags.writeable = False
    return seen


def _line(kind: str, query: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The pattern in one dimension: one of the two steps of "LTR" (left) or "RTL" (right)."""
    direction, pattern = kind.split()
    block = isqrt(key.size)
    if pattern == "floor":
        ahead = key <= query if direction == "left" else key >= query
        return (query // block == key // block) & ahead
    ends = (key + 1) % block == 0 if direction == "left" else key % block == 0
    if direction == "left":
        ends |= key == key.size - 1  # of a last block that is shorter
    return ends | (query == key)


class LocalAttention(Module):
    """x + gamma * (attention in eight heads, each of which sees what its mask allows).

    As in `SelfAttention(pooled=True)`, keys and values are the largest of every 2x2 pixels, and
    nothing has a bias. Of every layer's channels number 8 d + h is number d of head h.
    """

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """[h, w, c] -> the same, and the weights [heads, h w, keys]; c is a multiple of 64."""
        height, width, channels = x.shape
        if channels % (REDUCTION * len(HEADS)):
            raise ValueError(f"{channels} channels; allowed: {REDUCTION * len(HEADS)} or multiples")
        narrow = channels // REDUCTION
        query = _heads(Linear(narrow, bias=False, name="query")(x))
        key = _heads(largest(Linear(narrow, bias=False, name="key")(x)))
        value = _heads(largest(Linear(channels // 2, bias=False, name="value")(x)))
        grids = (height, width), (height // 2, width // 2)
        seen = np.stack([mask(kind, *grids) for kind in HEADS])
        products = jnp.einsum("qdh,kdh->hqk", query, key)
        weights = jax.nn.softmax(jnp.where(seen, products, products + UNSEEN), axis=-1)
        mixed = jnp.einsum("hqk,kdh->qdh", weights, value).reshape(height, width, -1)
        gamma = self.param("gamma", nn.initializers.zeros, ())
        seen = Linear(channels, bias=False, name="out")(mixed)
        return x + cast_like(gamma * seen, x), weights


def attention(local: bool, name: str) -> nn.Module:
    """The layer of the BigGAN family: sparse in eight heads if `local`, otherwise dense in one."""
    return LocalAttention(name=name) if local else SelfAttention(pooled=True, name=name)


def _heads(x: Array) -> Array:
    return x.reshape(x.shape[0] * x.shape[1], -1, len(HEADS))
