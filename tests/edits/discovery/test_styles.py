"""StyleSpace's channels and StyleCLIP's directions, on the renderer: one channel is one factor."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.discovery import styleclip
from jaxinv.edits.discovery.stylespace import (
    attribute_channels,
    channel_direction,
    disentanglement,
    gradient_maps,
    importances,
    local_channels,
    overlaps,
)
from tests.edits.renderer import FACTORS, codes, factors, pictures, renderer, shown

PAIR = renderer()


def draw_style(style: jax.Array) -> jax.Array:
    gen, params = PAIR
    return gen.synthesize(params, {"s": (style[:5], style[5:])})


@pytest.mark.slow
def test_channels_belong_to_the_region_that_they_draw() -> None:
    counts = []
    gen, params = PAIR
    for style in factors(PAIR, codes(6, seed=2)):
        maps = gradient_maps(draw_style, jnp.asarray(style, jnp.float32), grid=16)
        latents = {"s": (jnp.asarray(style[:5]), jnp.asarray(style[5:]))}
        inside = np.asarray(gen.prefix(params, latents, "mask")["x"][..., 0]) > 0.5
        counts.append(overlaps(maps, 1 - inside.astype(int), 2))
    found = local_channels(np.stack(counts))
    assert [FACTORS[i] for i in np.flatnonzero(found.region == 1)] == ["background"]
    assert {FACTORS[i] for i in np.flatnonzero(found.region == 0)} >= {"hue", "brightness"}


@pytest.mark.slow
def test_gradients_are_those_of_differences() -> None:
    style, step = jnp.asarray(factors(PAIR, codes(1, seed=3))[0], jnp.float32), 1e-2
    maps = gradient_maps(draw_style, style, grid=16, batch=3)
    for channel in (0, 6):
        axis = step * jnp.eye(8)[channel]
        change = (draw_style(style + axis) - draw_style(style - axis)) / (2 * step)
        np.testing.assert_allclose(maps[channel], np.abs(change).mean(-1), atol=2e-3)
    coarse = gradient_maps(draw_style, style, grid=4)
    np.testing.assert_allclose(coarse[6], maps[6].reshape(4, 4, 4, 4).mean((1, 3)), rtol=1e-4)


@pytest.mark.parametrize("name", ["brightness", "background", "hue"])
def test_the_channel_of_an_attribute_is_exactly_one(name: str) -> None:
    w = codes(1000, seed=1)
    population = factors(PAIR, w)
    best = np.argsort(-shown(pictures(PAIR, w))[name])[:30]
    order, score = attribute_channels(population[best], population)
    assert FACTORS[order[0]] == name
    assert score[order[0]] > 2 * score[order[1]]
    moved = channel_direction(int(order[0]), population.std(0), 2.0)
    assert np.count_nonzero(moved) == 1
    np.testing.assert_allclose(moved[order[0]], 2 * population.std(0)[order[0]])


def test_disentanglement_is_one_for_the_factors_and_less_for_mixtures() -> None:
    assert disentanglement(np.eye(4)).disentanglement == pytest.approx(1, abs=1e-6)
    assert disentanglement(np.ones((4, 4))).completeness == pytest.approx(0, abs=1e-6)
    w = codes(400, seed=5)
    truth = factors(PAIR, w)
    pure, mixed = (disentanglement(importances(x, truth > 0)) for x in (truth, w))
    assert pure.disentanglement > 0.95  # 400 samples
    assert pure.completeness > 0.95
    assert mixed.disentanglement < pure.disentanglement - 0.3


def test_channels_and_matrices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"allowed: \[C, g, g\], \[g, g\]"):
        overlaps(np.ones((3, 4, 4)), np.zeros((5, 5), int), 2)
    with pytest.raises(ValueError, match="at least 2 of each"):
        attribute_channels(np.ones((1, 4)), np.ones((9, 4)))
    with pytest.raises(ValueError, match="none negative"):
        disentanglement(-np.eye(3))
    with pytest.raises(ValueError, match="channel 8; allowed: 0 to 7"):
        channel_direction(8, np.ones(8))


def embed(images: np.ndarray) -> np.ndarray:
    """A joint embedding: what a picture shows, as a text of the same attributes would say it."""
    said = [images[:, 0, 0].mean(-1), images[:, 8, 8].mean(-1), images[:, 8, 8, 1]]
    return np.stack([*said, np.full(len(images), 2.0)], -1)


def test_a_text_moves_the_channels_that_it_names() -> None:
    styles = factors(PAIR, codes(12, seed=6)).astype(np.float32)
    spread = factors(PAIR, codes(1000)).std(0)
    draw = jax.jit(jax.vmap(draw_style))
    sides = []
    for channel in range(8):
        both = [styles + side * 3 * spread * np.eye(8)[channel] for side in (-1, 1)]
        sides.append(np.stack([embed(np.asarray(draw(jnp.asarray(s)))) for s in both], 1))
    effects = styleclip.channel_effects(np.stack(sides))
    neutral, target = np.array([[0.0, 0, 0, 2], [0, 0, 0, 1]]), np.array([[1.0, 0, 0, 2]])
    relevance = effects @ styleclip.text_direction(target, neutral)
    assert FACTORS[np.abs(relevance).argmax()] == "background"
    kept = []
    for threshold in (0.0, 0.2, 0.5, 0.8):
        found = styleclip.global_direction(relevance, spread, threshold)
        kept.append(np.count_nonzero(found))
        assert np.abs(found / spread).max() == pytest.approx(1)
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 4
    with pytest.raises(ValueError, match="threshold 2 keeps no channel; allowed: at most"):
        styleclip.global_direction(relevance, spread, 2)


def test_channels_are_counted_through_layers() -> None:
    styles = (4, 3, 2, 5)
    whole = [styleclip.layer_and_channel(i, styles) for i in range(14)]
    assert whole[:2] == [(0, 0), (0, 1)]
    assert whole[-1] == (3, 4)
    assert styleclip.layer_and_channel(4, styles, styleclip.without_torgb(styles)) == (2, 0)
    for wrong in (-1, 14):
        with pytest.raises(ValueError, match="allowed: 0 to 13"):
            styleclip.layer_and_channel(wrong, styles)
    spread = styleclip.spread_channels(np.arange(1.0, 7), styles, (0, 2))
    np.testing.assert_array_equal(spread, [1, 2, 3, 4, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0])
    with pytest.raises(ValueError, match=r"allowed: \[6\]"):
        styleclip.spread_channels(np.ones(5), styles, (0, 2))


def test_a_mapper_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="no mapper"):
        styleclip.mapped({"other": np.ones(1)}, jnp.ones((1, 18, 512)))
