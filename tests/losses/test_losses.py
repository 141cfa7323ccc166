"""Terms of the objective: closed forms, views, masks, and every net run once."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.losses.base import TermInputs
from jaxinv.losses.image_terms import feature_key
from jaxinv.losses.priors import MAX_DETAIL
from jaxinv.losses.terms import evaluate, extract_features, term_value
from jaxinv.losses.views import apply_view, masked_mean, position_weights
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.specs import Term, View
from jaxinv.types import Array
from tests.offline import random_net

LPIPS = Term("lpips", net="alexnet")
FEATURES = Term("features", net="alexnet", layers=("conv2", "relu4"))
IMAGE = (Term("mse"), Term("l1"), LPIPS, FEATURES)
SIDE = 40


def picture(seed: int, *shape: int) -> Array:
    shape = shape or (SIDE, SIDE, 3)
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


@lru_cache
def nets() -> dict[str, Any]:
    with jax.ensure_compile_time_eval():  # also when first called while something is traced
        params = jax.tree.map(jnp.asarray, random_net("alexnet"))
        return {"alexnet": {**params, BACKWARD_KERNELS: precompute_backward(params)}}


def distance(
    term: Term, ours: Array, theirs: Array, mask: Array | None = None, *, weights: Any = None
) -> Array:
    weights = weights or nets()
    seen, target = (extract_features((term,), weights, x) for x in (ours, theirs))
    return term_value(term, TermInputs({}, {}, ours, seen, target=target, mask=mask, nets=weights))


def sample(codes: dict[str, Any], image: Array | None = None) -> TermInputs:
    return TermInputs(codes, codes, picture(0) if image is None else image, {})


def checkerboard(image: Array) -> Array:
    return term_value(Term("checkerboard"), sample({}, image))


def noise_autocorrelation(maps: tuple[Array, ...]) -> Array:
    return term_value(Term("noise_autocorrelation"), sample({"noise": maps}))


# --- distances between images ---------------------------------------------------------------------


def test_distances_are_0_only_at_the_target_and_symmetric() -> None:
    a, b = picture(0), picture(1)

    @jax.jit
    def measure(a: Array, b: Array, weights: Any) -> Array:
        return jnp.stack([distance(term, a, b, weights=weights) for term in IMAGE])

    np.testing.assert_allclose(measure(a, a, nets()), 0, atol=1e-12)
    assert np.all(measure(a, b, nets()) > 1e-3)
    np.testing.assert_allclose(measure(a, b, nets()), measure(b, a, nets()), rtol=1e-6)


def test_values_and_gradients_are_finite_where_features_vanish() -> None:
    @jax.jit
    def slope(a: Array, b: Array, weights: Any) -> Array:
        def total(a: Array) -> Array:
            return sum((distance(t, a, b, weights=weights) for t in IMAGE), jnp.zeros(()))

        value, gradient = jax.value_and_grad(total)(a)
        return gradient + 0 * value

    black, grey, some = -jnp.ones((SIDE, SIDE, 3)), jnp.zeros((SIDE, SIDE, 3)), picture(0)
    # Biases so low that no feature is left anywhere.
    dead = jax.tree.map(lambda leaf: leaf - 1e4 * (leaf.ndim == 1), nets())
    for a, b in ((black, black), (black, grey), (some, some), (black, some)):
        for weights in (nets(), dead):
            assert np.all(np.isfinite(slope(a, b, weights)))
    assert np.all(np.any(slope(some, picture(1), nets()) != 0, axis=-1))


@pytest.mark.parametrize(("name", "expected"), [("mse", 0.25), ("l1", 0.5)])
def test_pixel_distances_of_a_constant_difference(name: str, expected: float) -> None:
    image = picture(0)
    np.testing.assert_allclose(distance(Term(name), image, image + 0.5), expected, rtol=1e-5)
    total = distance(Term(name, reduction="sum"), image, image + 0.5)
    np.testing.assert_allclose(total, expected * SIDE * SIDE, rtol=1e-5)


def test_feature_distance_is_the_mean_square_of_the_taps() -> None:
    a, b = picture(0), picture(1)
    mine, other = (extract_features((FEATURES,), nets(), x).popitem()[1] for x in (a, b))
    assert set(mine) == {"conv2", "relu4"}
    expected = sum(np.mean(np.square(mine[layer] - other[layer])) for layer in mine)
    np.testing.assert_allclose(distance(FEATURES, a, b), expected, rtol=1e-5)


def test_lpips_is_its_equation() -> None:
    a, b = picture(0), picture(1)
    mine, other = (extract_features((LPIPS,), nets(), x).popitem()[1] for x in (a, b))
    expected = 0.0
    for index, layer in enumerate(sorted(mine)):
        x, y = (np.asarray(taps[layer], np.float64) for taps in (mine, other))
        x, y = (f / (np.linalg.norm(f, axis=-1, keepdims=True) + 1e-10) for f in (x, y))
        head = np.asarray(nets()["alexnet"][f"lin{index}"])
        expected += np.mean(np.square(x - y) @ head)
    np.testing.assert_allclose(distance(LPIPS, a, b), expected, rtol=1e-5)


# --- views and masks ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        (None, (0, 10), (0, 10)),
        ((0.0, 0.5, 0.5, 0.5), (0, 5), (5, 10)),
        ((0.3, 0.2, 0.7, 0.3), (3, 10), (2, 5)),
        ((0.35, 0.0, 0.55, 1.0), (4, 9), (0, 10)),  # edges are rounded, not lengths
    ],
)
def test_crops_are_fractions_of_the_image(
    crop: Any, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    image = picture(0, 10, 10, 3)
    expected = image[slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(apply_view(image, View(crop=crop)), expected)


def test_views_reduce_the_shorter_side_and_enlarge_to_the_least_one() -> None:
    image = picture(0)
    np.testing.assert_array_equal(apply_view(image, View(16)), area_reduce(image, 16))
    np.testing.assert_array_equal(apply_view(image, View(64)), image)
    oblong = apply_view(image, View(8, crop=(0, 0, 0.5, 1)))
    np.testing.assert_array_equal(oblong, area_reduce(image[:20], (8, 16)))
    np.testing.assert_array_equal(apply_view(image, View(min_size=24)), image)
    larger = apply_view(image, View(8, crop=(0, 0, 0.5, 1), min_size=12))
    np.testing.assert_array_equal(larger, resize(oblong, (12, 24)))


def test_no_place_of_what_is_enlarged_counts_less_than_nothing() -> None:
    mask = jnp.zeros((24, 24, 1)).at[:8].set(1.0)
    assert np.any(resize(mask, 96) < 0)
    for view in (View(min_size=96), View(8, min_size=96)):
        weights = position_weights(mask, view, (96, 96))
        assert np.min(weights) == 0
        np.testing.assert_allclose(np.mean(weights), 1 / 3, atol=0.03)


def test_nets_see_grey_as_three_equal_channels() -> None:
    a, b = picture(0, 96, 96, 1), picture(1, 96, 96, 1)
    colours = (jnp.repeat(x, 3, axis=-1) for x in (a, b))
    np.testing.assert_array_equal(distance(LPIPS, a, b), distance(LPIPS, *colours))


def test_nets_look_at_enlarged_pictures_with_all_their_cells() -> None:
    """At 35 px AlexNet has one cell in its last layers: what it sees there is the border."""
    a = picture(0, 35, 35, 3)
    enlarged = replace(LPIPS, view=View(min_size=256))
    seen = extract_features((enlarged,), nets(), a)[feature_key(enlarged)]
    assert [x.shape[0] for x in seen.values()] == [63, 31, 15, 15, 15]


def test_what_is_outside_the_view_does_not_matter() -> None:
    term = Term("mse", view=View(8, crop=(0, 0, 0.5, 0.5)))
    a, b = picture(0), picture(1)
    elsewhere = b.at[20:].add(5.0).at[:, 20:].add(5.0)
    np.testing.assert_array_equal(distance(term, a, elsewhere), distance(term, a, b))
    assert distance(term, a, b.at[3, 3].add(1.0)) != distance(term, a, b)


@pytest.mark.parametrize("view", [View(), View(20), View(crop=(0, 0, 0.5, 1))])
@pytest.mark.parametrize("name", ["mse", "l1"])
def test_what_is_masked_out_does_not_matter(name: str, view: View) -> None:
    term, a, b = Term(name, view=view), picture(0), picture(1)
    mask = jnp.zeros((SIDE, SIDE, 1)).at[:, :16].set(1.0)
    hidden = b.at[:, 16:].add(3.0)
    np.testing.assert_allclose(distance(term, a, hidden, mask), distance(term, a, b, mask))
    assert distance(term, a, b.at[2, 2].add(1.0), mask) != distance(term, a, b, mask)
    gradient = jax.grad(lambda a: distance(term, a, b, mask))(a)
    assert not np.any(gradient[:, 16:])


def test_masks_weigh_and_a_mask_of_ones_changes_nothing() -> None:
    values, ones = picture(0, 6, 6), jnp.ones((6, 6, 1))
    mask = jnp.asarray([1.0, 3.0, 0.0, 0.0, 0.0, 0.0])[:, None, None] * ones
    expected = (values[0].mean() + 3 * values[1].mean()) / 4
    np.testing.assert_allclose(masked_mean(values, mask, View(), "mean"), expected, rtol=1e-5)
    # A sum counts what is seen, and no more for what is not (a likelihood, for one).
    np.testing.assert_allclose(
        masked_mean(values, mask, View(), "sum"), 6 * 4 * expected, rtol=1e-5
    )
    for reduction in ("mean", "sum"):
        plain = masked_mean(values, None, View(), reduction)
        np.testing.assert_allclose(masked_mean(values, ones, View(), reduction), plain, rtol=1e-5)


def test_masks_reach_the_taps_of_nets() -> None:
    a, b = picture(0), picture(1)
    half = jnp.zeros((SIDE, SIDE, 1)).at[:, :20].set(1.0)
    whole, part, none = (distance(LPIPS, a, b, mask) for mask in (None, half, jnp.zeros_like(half)))
    assert part != whole
    assert none == 0


# --- every net once -------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "expected"), [(False, 5), (True, 10)])
def test_terms_share_one_run_of_a_net(slope: bool, expected: int) -> None:
    terms = (LPIPS, FEATURES, Term("mse"), Term("lpips", 0.5, net="alexnet", reduction="sum"))
    target = extract_features(terms, nets(), picture(1, 96, 96, 3))
    assert [name.partition("|")[0] for name in sorted(target)] == ["alexnet", "pixels"]

    def loss(weights: Any, image: Array) -> Array:
        mine = TermInputs({}, {}, image, extract_features(terms, weights, image))
        return evaluate(terms, weights, mine, (target, None), jnp.zeros(()))[0]

    run = jax.jit(jax.grad(loss, argnums=1) if slope else loss)
    # Large enough for no layer to see an image smaller than its kernel.
    compiled = run.lower(nets(), picture(0, 96, 96, 3)).compile().as_text() or ""
    assert compiled.count(" convolution(") == expected


def test_terms_with_other_views_look_again() -> None:
    terms = (LPIPS, Term("lpips", net="alexnet", view=View(32)))
    assert len(extract_features(terms, nets(), picture(0))) == 2


# --- the sum --------------------------------------------------------------------------------------


def test_every_term_counts_once_with_its_weight_and_reports_without() -> None:
    left, right = (View(crop=(0.0, at, 1.0, 0.5)) for at in (0.0, 0.5))
    terms = (
        Term("mse", 2.0, view=left),
        Term("mse", 3.0, view=right),
        Term("gaussian", 5.0, variable="w"),
        Term("l1", 0.0),
    )
    a, b = picture(0), picture(0).at[:, 20:].add(0.5)
    mine = TermInputs({"w": jnp.asarray([1.0, -3.0])}, {}, a, extract_features(terms, {}, a))
    total, values = evaluate(terms, {}, mine, (extract_features(terms, {}, b), None), jnp.zeros(()))
    assert set(values) == {"mse", "mse#2", "gaussian-w", "l1"}
    found = [values[name] for name in ("mse", "mse#2", "gaussian-w", "l1")]
    np.testing.assert_allclose(found, [0, 0.25, 5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(total, 3 * 0.25 + 5 * 5, rtol=1e-5)


# --- penalties ------------------------------------------------------------------------------------


def direct(noise: np.ndarray) -> float:
    """The sum written out: products of neighbours, wrapping around, at all levels down to 8 px."""
    total, level = 0.0, noise.astype(np.float64)
    while True:
        side = len(level)
        for dy, dx in ((0, 1), (1, 0)):
            shifted = level[(np.arange(side) - dy) % side][:, (np.arange(side) - dx) % side]
            total += np.mean(level * shifted) ** 2
        if side <= 8:
            return float(total)
        level = level.reshape(side // 2, 2, side // 2, 2).mean((1, 3))


@pytest.mark.parametrize("sides", [(4,), (8,), (64,), (4, 16, 32)])
def test_noise_autocorrelation_is_its_sum(sides: tuple[int, ...]) -> None:
    maps = tuple(picture(i, side, side) + 0.2 for i, side in enumerate(sides))
    expected = sum(direct(np.asarray(one)) for one in maps)
    np.testing.assert_allclose(noise_autocorrelation(maps), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (np.full((32, 32), 0.5), 3 * 2 * 0.25**2),  # three levels, two directions
        (np.indices((32, 32)).sum(0) % 2 * 2.0 - 1, 2),  # a chessboard vanishes in the averages
        (np.indices((4, 4))[0] % 2 * 2.0 - 1, 2),
        (np.zeros((16, 16)), 0),
    ],
)
def test_noise_autocorrelation_in_closed_cases(noise: np.ndarray, expected: float) -> None:
    found = noise_autocorrelation((jnp.asarray(noise, jnp.float32),))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("term", "code", "expected"),
    [
        (Term("gaussian", variable="w"), [3.0, -4.0], 12.5),
        (Term("gaussian", variable="w", margin=3.5), [3.0, -4.0], 0.125),
        (Term("gaussian", variable="w+"), [[1.0, 1.0], [3.0, 3.0]], 5),
        (Term("gaussian", variable="w+", rows=(1, 2)), [[1.0, 1.0], [3.0, 3.0]], 9),
        (Term("row_spread", variable="w+"), [[1.0, 5.0], [3.0, 5.0]], 0.5),
        (Term("row_spread", variable="w+", rows=(0, 1)), [[1.0, 5.0], [3.0, 5.0]], 0),
    ],
)
def test_penalties_on_codes(term: Term, code: list, expected: float) -> None:
    codes = {str(term.variable): jnp.asarray(code)}
    np.testing.assert_allclose(term_value(term, sample(codes)), expected, rtol=1e-6, atol=1e-9)


def test_the_penalty_on_noise_takes_all_maps_together() -> None:
    maps = (jnp.full((4, 4), 2.0), jnp.zeros((8, 8)))
    found = term_value(Term("gaussian", variable="noise"), sample({"noise": maps}))
    np.testing.assert_allclose(found, 4 * 16 / 80, rtol=1e-6)


@pytest.mark.parametrize("amplitude", [0.001, 0.005, 0.5])
def test_weave_sees_a_regular_pattern(amplitude: float) -> None:
    stripes = amplitude * (1 - 2 * (jnp.arange(64) % 2))
    image = jnp.broadcast_to(stripes[None, :, None], (64, 64, 3))
    faint = MAX_DETAIL * np.tanh(4 * amplitude / (2 * MAX_DETAIL))
    np.testing.assert_allclose(checkerboard(image), faint**2 / 3, rtol=1e-5)  # one of three bands
    np.testing.assert_allclose(
        checkerboard(image[:63, :63]), checkerboard(image[:62, :62]), rtol=1e-5
    )


def test_weave_forgives_edges_and_irregular_detail() -> None:
    pattern = jnp.broadcast_to(0.01 * (1 - 2 * (jnp.arange(128) % 2))[:, None, None], (128, 128, 3))
    grain = 0.01 * jnp.sign(picture(0, 128, 128, 3))
    edge = jnp.zeros((128, 128, 3)).at[:, 63:].set(1.0)
    assert checkerboard(jnp.zeros((64, 64, 3))) == 0
    for harmless in (grain, edge):
        assert checkerboard(harmless) < 0.02 * checkerboard(pattern)


def test_weave_looks_at_the_render_through_its_view() -> None:
    image = picture(0, 64, 64, 3)
    term = Term("checkerboard", view=View(32))
    np.testing.assert_array_equal(
        term_value(term, sample({}, image)), checkerboard(area_reduce(image, 32))
    )


def detail(moved: Array, cutoff: int = 0) -> Array:
    """The high-pass anchor where the picture differs from the stage's first one by `moved`."""
    given = sample({}, picture(1, *moved.shape) + moved)
    return term_value(
        Term("high_pass_anchor", cutoff=cutoff), given._replace(pivot=picture(1, *moved.shape))
    )


def test_the_high_pass_anchor_leaves_free_what_the_target_holds() -> None:
    stripes = jnp.broadcast_to(0.1 * (1 - 2 * (jnp.arange(64) % 2))[:, None, None], (64, 64, 3))
    even = jnp.full((64, 64, 3), 0.3)
    slope = jnp.broadcast_to(jnp.linspace(-1, 1, 64)[:, None, None], (64, 64, 3))
    np.testing.assert_allclose(detail(stripes, 32), 0.01, rtol=1e-4)  # all of it is beyond 32 px
    np.testing.assert_allclose(detail(stripes + even, 32), 0.01, rtol=1e-4)
    assert detail(even, 32) < 1e-10
    assert detail(slope, 32) < 1e-4 * jnp.mean(slope**2)
    for held in (64, 128, 0):  # the target holds as much as the render
        assert detail(stripes, held) == 0
    np.testing.assert_allclose(detail(2 * stripes, 16), 4 * detail(stripes, 16), rtol=1e-4)


def test_the_high_pass_anchor_asks_for_the_first_picture() -> None:
    with pytest.raises(ValueError, match="'high_pass_anchor' needs the picture"):
        term_value(Term("high_pass_anchor"), sample({}))
