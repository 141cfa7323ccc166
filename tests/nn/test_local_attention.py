"""Sparse attention of YLG: its masks and its layer against their definitions in plain loops."""

from __future__ import annotations

from math import exp, isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models.loading import build
from jaxinv.nn.attention import SelfAttention
from jaxinv.nn.local_attention import HEADS, KINDS, LocalAttention, enumeration, mask
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Latents
from tests.tiny import mobile

GRIDS = [((4, 4), (4, 4)), ((8, 8), (4, 4)), ((6, 6), (3, 3)), ((3, 5), (3, 5)), ((4, 6), (2, 3))]
SQUARES = [(2, 2), (3, 3), (4, 4), (5, 5), (16, 16), (3, 5), (7, 2)]

Grid = tuple[int, int]


# --- masks ----------------------------------------------------------------------------------------


def by_distance(height: int, width: int) -> list[tuple[int, int]]:
    """Pixels along one diagonal after the other, each from the top to the bottom."""
    found = []
    for distance in range(height + width - 1):
        for row in range(height):
            if 0 <= distance - row < width:
                found.append((row, distance - row))
    return found


def sees(kind: str, query: int, key: int, count: int) -> bool:
    """Of two places among `count` in one dimension."""
    block = isqrt(count)
    own = range(block * (query // block), min(block * (query // block) + block, count))
    if kind == "left floor":
        return key in own and key <= query
    if kind == "right floor":
        return key in own and key >= query
    blocks = [range(start, min(start + block, count)) for start in range(0, count, block)]
    ends = [one[-1] if kind.startswith("left") else one[0] for one in blocks]
    return key in (query, *ends)


def slow_mask(kind: str, queries: Grid, keys: Grid) -> np.ndarray:
    """That of the keys' grid, under itself as often as it takes for all queries."""
    places = by_distance(*keys)
    found = np.zeros((len(places), len(places)), bool)
    for i, (row, column) in enumerate(places):
        for j, (key_row, key_column) in enumerate(places):
            place = row * keys[1] + column, key_row * keys[1] + key_column
            found[place] = sees(kind, i, j, len(places))
    return np.concatenate([found] * (queries[0] * queries[1] // len(places)))


def test_pixels_are_counted_along_diagonals() -> None:
    ranks = [[0, 1, 3, 6], [2, 4, 7, 10], [5, 8, 11, 13], [9, 12, 14, 15]]
    assert enumeration(4, 4).reshape(4, 4).tolist() == ranks
    assert enumeration(2, 3).reshape(2, 3).tolist() == [[0, 1, 3], [2, 4, 5]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("queries", "keys"), GRIDS)
def test_masks_are_their_definition(kind: str, queries: Grid, keys: Grid) -> None:
    found = mask(kind, queries, keys)
    np.testing.assert_array_equal(found, slow_mask(kind, queries, keys))
    assert found.any(1).all(), "every query sees something"
    assert not found.all()


@pytest.mark.parametrize("direction", ["left", "right"])
@pytest.mark.parametrize("grid", SQUARES)
def test_two_steps_bring_every_pixel_to_every_other(direction: str, grid: Grid) -> None:
    """Full information: every pixel sees, in step two, one that saw any other in step one."""
    first, second = (mask(f"{direction} {step}", grid, grid) for step in ("floor", "repetitive"))
    assert (second @ first).all()
    # Neither step does so by itself, and the other order does not either.
    assert not first.all()
    assert not second.all()
    assert not (first @ second).all()


@pytest.mark.parametrize("grid", [(4, 4), (16, 16)])
def test_the_directions_mirror_each_other(grid: Grid) -> None:
    # Turned by half, the first pixel is the last; diagonals keep their order but not their ranks.
    order = np.argsort(enumeration(*grid))
    for step in ("floor", "repetitive"):
        left, right = (mask(f"{side} {step}", grid, grid) for side in ("left", "right"))
        in_line = left[np.ix_(order, order)]
        np.testing.assert_array_equal(in_line[::-1, ::-1], right[np.ix_(order, order)])


def test_a_head_sees_few_of_the_keys() -> None:
    seen = {kind: mask(kind, (32, 32), (16, 16)).sum() / 1024 for kind in KINDS}
    assert seen == {"left floor": 8.5, "right floor": 8.5} | {
        "left repetitive": 16.9375,  # 16 ends of blocks, and itself unless it is one
        "right repetitive": 16.9375,
    }


def test_other_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="mask 'up'; allowed: left floor, left repetitive, right"):
        mask("up", (4, 4), (4, 4))
    with pytest.raises(ValueError, match="16 queries; allowed: a multiple of 9"):
        mask("left floor", (4, 4), (3, 3))


# --- the layer ------------------------------------------------------------------------------------


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def weights_of(channels: int) -> dict[str, np.ndarray]:
    narrow, wide = channels // 8, channels // 2
    shapes = {
        "query": (channels, narrow),
        "key": (channels, narrow),
        "value": (channels, wide),
        "out": (wide, channels),
    }
    found = {name: drawn(shape, 1 + len(name)) / 8 for name, shape in shapes.items()}
    return {**found, "gamma": np.asarray(0.7)}


def params_of(weights: dict[str, np.ndarray]) -> dict:
    kernels = {
        n: {"kernel": jnp.asarray(w, jnp.float32)} for n, w in weights.items() if n != "gamma"
    }
    return {"params": {**kernels, "gamma": jnp.asarray(weights["gamma"], jnp.float32)}}


def pooled(x: np.ndarray) -> np.ndarray:
    """The largest of every 2x2 pixels, in rows."""
    height, width, channels = x.shape
    found = np.zeros((height // 2, width // 2, channels))
    for row in range(height // 2):
        for column in range(width // 2):
            square = x[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            found[row, column] = square.max((0, 1))
    return found.reshape(-1, channels)


def slow_layer(x: np.ndarray, weights: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Head by head, query by query, over the keys that it sees and no others."""
    height, width, channels = x.shape
    query = (x @ weights["query"]).reshape(-1, channels // 8)
    key, value = pooled(x @ weights["key"]), pooled(x @ weights["value"])
    looks = np.zeros((8, len(query), len(key)))
    mixed = np.zeros((len(query), channels // 2))
    for head, kind in enumerate(HEADS):
        own = slice(head, None, 8)  # channel 8 d + head
        seen = slow_mask(kind, (height, width), (height // 2, width // 2))
        for i in range(len(query)):
            keys = np.flatnonzero(seen[i])
            shares = [exp(float(query[i, own] @ key[j, own])) for j in keys]
            looks[head, i, keys] = np.asarray(shares) / sum(shares)
            mixed[i, own] = looks[head, i] @ value[:, own]
    return x + weights["gamma"] * (mixed @ weights["out"]).reshape(x.shape), looks


@pytest.mark.parametrize("shape", [(4, 4, 64), (8, 8, 128), (4, 6, 64)])
def test_the_layer_is_its_definition(shape: tuple[int, ...]) -> None:
    x, weights = drawn(shape), weights_of(shape[-1])
    ours: Any = LocalAttention().apply(params_of(weights), jnp.asarray(x, jnp.float32))
    expected = slow_layer(x, weights)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert np.abs(expected[0] - x).max() > 0.1
    assert expected[1].shape == (8, shape[0] * shape[1], shape[0] * shape[1] // 4)


def test_heads_are_in_the_order_of_the_paper() -> None:
    half = ("floor", "repetitive", "floor", "repetitive")
    assert [kind.split() for kind in HEADS] == [
        *(["right", step] for step in half),
        *(["left", step] for step in half),
    ]


def test_its_parameters_are_those_of_dense_attention() -> None:
    x = jnp.zeros((4, 4, 64))
    shapes = [
        jax.tree.map(jnp.shape, module.init(jax.random.key(0), x))
        for module in (LocalAttention(), SelfAttention(pooled=True))
    ]
    assert shapes[0] == shapes[1]


def test_channels_that_eight_heads_cannot_share_are_refused() -> None:
    with pytest.raises(ValueError, match="96 channels; allowed: 64 or multiples"):
        LocalAttention().init(jax.random.key(0), jnp.zeros((4, 4, 96)))


# --- a generator ----------------------------------------------------------------------------------


def spec(local: bool) -> GeneratorSpec:
    facts = {
        "attention": (0,),
        "blocks": ((64, 64, True), (64, 8, True)),
        "condition": "class",
        "deep": False,
        "epsilons": (1e-5, 1e-5),
        "table": False,
    }
    facts |= {"local": True} if local else {}
    return GeneratorSpec(
        name="local",
        architecture="biggan",
        resolution=16,
        z_dim=8,
        labels=3,
        embedding=3,
        facts=tuple(facts.items()),
    )


def test_a_generator_with_sparse_attention_gives_the_maps_of_all_heads() -> None:
    gen, params = mobile(spec(local=True))
    latents: Latents = {"z": jnp.ones(8), "label": jnp.eye(3)[1]}
    looks = gen.features(params, latents)["attention0"]["attention"]
    assert looks.shape == (8, 64, 16)
    np.testing.assert_allclose(looks.sum(-1), 1, atol=1e-5)
    for head, kind in enumerate(HEADS):
        seen = mask(kind, (8, 8), (4, 4))
        assert not looks[head][~seen].any()
        assert (looks[head][seen] > 0).mean() > 0.9  # the rest is below the smallest number
    dense = build(spec(local=False)).synthesize(params, latents)
    assert np.abs(gen.synthesize(params, latents) - dense).max() > 1e-3
