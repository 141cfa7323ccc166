"""Methods that need no training, on generators whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.edits.discovery.affines import FirstLayer, first_layer, latent_weights
from jaxinv.edits.discovery.first_layer_walks import affine_walk, linear_walk, moved, transform
from jaxinv.edits.discovery.jacobian import (
    curve,
    gram_matrix,
    low_rank_directions,
    null_projected,
    robust_pca,
    spectrum,
)
from jaxinv.edits.discovery.principal import coordinates, principal, regress_latents
from jaxinv.edits.discovery.sefa import factorise
from tests.edits.renderer import FACTORS, GAINS, codes, directions, likeness, pictures, renderer
from tests.tiny import Pair, chain, classes, grown, linear, old, style, third

DRAWS = np.random.default_rng(3)
MATRIX = DRAWS.standard_normal((48, 6)) * np.array([3, 2.5, 2, 1.5, 1, 0.5])


def test_factors_are_eigenvectors_in_descending_order() -> None:
    for normalise in (True, False):
        a = MATRIX / np.linalg.norm(MATRIX, axis=1, keepdims=True) if normalise else MATRIX
        found = factorise(MATRIX, normalise=normalise)
        rest = a.T @ a @ found.directions.T - found.directions.T * found.values
        assert np.abs(rest).max() < 1e-12 * found.values[0]
        assert (np.diff(found.values) <= 0).all()
        np.testing.assert_allclose(found.values[0], np.sum((a @ found.directions[0]) ** 2))


def test_the_factors_of_the_renderer_are_found_in_the_order_of_their_gains() -> None:
    pair = renderer(1)
    found = factorise(latent_weights(*pair), normalise=False)
    likes = likeness(pair, found.directions)
    np.testing.assert_array_equal(likes.argmax(1), np.argsort(-GAINS))
    assert likes.max(1).min() > 1 - 1e-5  # float32 weights
    colours = factorise(latent_weights(*pair, rows=[1]), 3, normalise=False)
    assert set(likeness(pair, colours.directions).argmax(1)) == {5, 6, 7}


@pytest.mark.parametrize("make", [style, old, third, linear])
def test_the_weights_of_styles_are_those_of_the_affine_maps(make: Callable[[], Pair]) -> None:
    gen, params = make()
    row, spec = gen.spec.rows - 1, gen.spec
    weight = latent_weights(gen, params, [row])
    zero, w = jnp.zeros((spec.rows, spec.w_dim)), DRAWS.standard_normal(spec.w_dim)
    changed = gen.affine(params, zero.at[row].set(w))[-1] - gen.affine(params, zero)[-1]
    np.testing.assert_allclose(weight @ w, changed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [chain, grown, classes])
def test_the_first_layer_is_read_from_every_family_without_w(make: Callable[[], Pair]) -> None:
    gen, params = make()
    layer = first_layer(gen, params)
    assert layer.weight.shape == (np.prod(layer.grid), gen.spec.z_dim)
    assert len(layer.bias) == len(layer.weight)
    assert np.linalg.norm(layer.weight) > 0
    assert factorise(layer.weight).directions.shape[1] == gen.spec.z_dim


def test_the_wrong_rows_and_families_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows \(0, 9\); allowed: some of 0 to 5"):
        latent_weights(*style(), rows=[0, 9])
    with pytest.raises(ValueError, match="has no W"):
        latent_weights(*grown(), rows=[0])
    with pytest.raises(ValueError, match="architecture of 'style'"):
        first_layer(*style())
    with pytest.raises(ValueError, match="7 directions of 6"):
        factorise(MATRIX, 7)


@pytest.mark.parametrize("estimator", ["pca", "incremental", "randomized"])
def test_principal_directions_of_linear_features_are_singular_vectors(estimator: str) -> None:
    z = np.random.default_rng(0).standard_normal((20_000, 6))
    found = principal(z @ MATRIX.T, 4, estimator)
    left, values, right = np.linalg.svd(MATRIX, full_matrices=False)
    cosines = np.abs(np.sum(found.directions * left.T[:4], 1))
    assert cosines.min() >= 0.997  # of 20 000 draws; the deviations below are their error
    np.testing.assert_allclose(found.deviations, values[:4], rtol=0.02)
    shares = values[:4] ** 2 / np.sum(values**2)
    np.testing.assert_allclose(found.shares, shares, atol=0.02)
    raw = regress_latents(z, coordinates(found, z @ MATRIX.T))
    assert np.abs(np.sum(raw * right[:4], 1) / np.linalg.norm(raw, axis=1)).min() > 0.997


def test_independent_components_are_the_sources() -> None:
    mixing = np.linalg.qr(DRAWS.standard_normal((5, 5)))[0]
    sources = np.random.default_rng(1).uniform(-1, 1, (8000, 5))
    found = principal(sources @ mixing.T, 5, "ica")
    assert np.abs(found.directions @ mixing).max(1).min() > 0.99  # 8000 draws


def test_a_factor_is_what_several_numbers_share_and_no_noise_of_one() -> None:
    draws = np.random.default_rng(2)
    loading = np.asarray([1.0, 1.0, 1.0, 0.0, 0.0])
    shared = draws.standard_normal((20_000, 1)) * loading
    own = draws.standard_normal((20_000, 5)) * np.asarray([0.5, 0.5, 0.5, 0.5, 4.0])
    first = {name: principal(shared + own, 1, name).directions[0] for name in ("factors", "pca")}
    assert abs(first["factors"] @ loading) / 3**0.5 > 0.999  # of 20 000 draws
    assert abs(first["pca"][4]) > 0.999  # the number that varies most


def test_topics_are_what_goes_up_and_down_together() -> None:
    draws = np.random.default_rng(4)
    topics = np.array([[1.0, -1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, -1, 1]]) / 2**0.5
    said = draws.laplace(size=(4000, 3)) * (draws.uniform(size=(4000, 3)) < 0.3)
    found = principal(said @ topics + 0.02 * draws.standard_normal((4000, 6)), 6, "topics")
    cosines = found.directions @ topics.T  # each way of a source is a topic of its own
    assert cosines.max(0).min() > 0.98
    assert cosines.min(0).max() < -0.98


@pytest.mark.slow
def test_features_of_pictures_lead_to_the_factors_that_show_most() -> None:
    pair = renderer()
    w = codes(4000, seed=4)
    found = principal(pictures(pair, w), 4)
    span = np.linalg.qr(regress_latents(w, coordinates(found, pictures(pair, w))).T)[0]
    inside = dict(zip(FACTORS, np.linalg.norm(directions(pair) @ span, axis=1), strict=True))
    # Four directions hold most of the variance of pixels: those of the factors that show most.
    assert min(inside["x"], inside["y"], inside["background"]) > 0.95
    assert max(inside["aspect"], inside["angle"]) < 0.2


def test_samples_that_span_too_little_are_refused() -> None:
    with pytest.raises(ValueError, match="3 directions of 2 samples of 6"):
        principal(np.eye(6)[:2], 3)
    with pytest.raises(ValueError, match="all codes are equal"):
        principal(np.ones((9, 4)), 2)
    with pytest.raises(ValueError, match="unknown estimator 'pcs'; allowed: pca"):
        principal(np.eye(6), 3, "pcs")
    with pytest.raises(ValueError, match="at least k samples"):
        regress_latents(np.eye(2), np.ones((2, 3)))


def shifting_layer(exact: bool) -> FirstLayer:
    """A first layer [6, 6, 2]; if exact, z_0 moves its pattern as a shift to the right does."""
    weight = np.random.default_rng(5).standard_normal((6, 6, 2, 4))
    bias = np.random.default_rng(6).standard_normal((6, 6, 2))
    if exact:
        weight[:, 1:, :, 0] = bias[:, :-1] - bias[:, 1:]
    return FirstLayer(weight.reshape(-1, 4), bias.ravel(), (6, 6, 2))


def test_a_walk_that_the_layer_can_make_is_found_exactly() -> None:
    layer = shifting_layer(exact=True)
    change, defined = transform("shift-x", 1, (6, 6))
    np.testing.assert_allclose(linear_walk(layer, change, defined), [1, 0, 0, 0], atol=1e-6)
    loose = linear_walk(layer, change)  # asks for cells that have no source
    assert np.abs(loose - [1, 0, 0, 0]).max() > 1e-2


@pytest.mark.parametrize(
    ("kind", "amount"), [("shift-x", 1), ("shift-y", -0.5), ("zoom", 1.4), ("rotate", 20)]
)
def test_walks_are_stationary_points_of_what_they_minimise(kind: str, amount: float) -> None:
    layer = shifting_layer(exact=False)
    change, defined = transform(kind, amount, (6, 6))
    scale = np.repeat(np.asarray(defined, float).ravel(), 2)
    diagonal, step = affine_walk(layer, change, defined)
    target, bias = moved(layer, change)

    def objective(m: np.ndarray, q: np.ndarray) -> float:
        # The mean over normal z: the part of z and the part without it, apart.
        own = scale[:, None] * (layer.weight * m - target)
        return np.sum(own**2) + np.sum((scale * (layer.weight @ q + layer.bias - bias)) ** 2)

    best, eps = objective(diagonal, step), 1e-4
    for axis in np.eye(4) * eps:
        up, down = objective(diagonal + axis, step), objective(diagonal - axis, step)
        assert abs(up - down) / (2 * eps) < 1e-6 * best
        up, down = objective(diagonal, step + axis), objective(diagonal, step - axis)
        assert abs(up - down) / (2 * eps) < 1e-6 * best


def test_transformations_are_those_of_arrays() -> None:
    x = jnp.asarray(DRAWS.standard_normal((5, 7, 2)))
    change, defined = transform("shift-y", 2, (5, 7))
    np.testing.assert_allclose(change(x)[2:], x[:-2], rtol=1e-5)
    np.testing.assert_array_equal(defined[:, 0], [0, 0, 1, 1, 1])
    change, _ = transform("rotate", 90, (5, 5))
    np.testing.assert_allclose(change(x[:, :5]), jnp.rot90(x[:, :5], -1), atol=1e-4)
    with pytest.raises(ValueError, match="unknown transformation 'shear'"):
        transform("shear", 1, (4, 4))
    with pytest.raises(ValueError, match="zoom 0"):
        transform("zoom", 0, (4, 4))
    with pytest.raises(ValueError, match=r"mask \[5, 6\]; allowed: \[6, 6\]"):
        linear_walk(shifting_layer(exact=True), change, np.ones((5, 6)))


@pytest.mark.slow
def test_the_spectrum_is_that_of_the_dense_jacobian() -> None:
    gen, params = renderer(2)
    w = jnp.asarray(codes(1, seed=7)[0])

    def draw(code: jax.Array) -> jax.Array:
        return gen.synthesize(params, {"w": code})

    found = spectrum(draw, w, 3)
    dense = np.asarray(jax.jacfwd(draw)(w), np.float64).reshape(-1, 8)
    _, values, right = np.linalg.svd(dense, full_matrices=False)
    np.testing.assert_allclose(found.values, values[:3], rtol=1e-4)
    assert np.abs(np.sum(found.directions * right[:3], 1)).min() > 1 - 1e-4
    np.testing.assert_allclose(gram_matrix(draw, w, 1), dense.T @ dense, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="8 directions at a code of 8"):
        spectrum(draw, w, 8)


def test_a_curve_of_a_linear_generator_is_straight() -> None:
    matrix = jnp.asarray(MATRIX, jnp.float32)
    points = curve(lambda z: matrix @ z, jnp.zeros(6), 1, steps=4, length=2.0)
    right = np.linalg.svd(MATRIX)[2][1]
    np.testing.assert_allclose(np.linalg.norm(points[-1]), 2, rtol=1e-4)
    assert abs(points[-1] @ right) > 2 * (1 - 1e-4)


def test_low_rank_and_sparse_parts_come_apart() -> None:
    draws = np.random.default_rng(8)
    thin = draws.standard_normal((20, 2))
    low, sparse = thin @ thin.T, np.zeros((20, 20))
    places = draws.choice(20, (12, 2))
    sparse[places[:, 0], places[:, 1]] = 5.0
    # 1 / sqrt(20), the weight that Candès et al. prove to be right for such a matrix.
    found = robust_pca(low + sparse, 20**-0.5)
    assert found.rank == 2
    assert np.linalg.norm(found.low - low) < 1e-4 * np.linalg.norm(low)
    basis = low_rank_directions(found)
    assert np.linalg.norm(thin - basis.T @ basis @ thin) < 1e-3 * np.linalg.norm(thin)
    kept = null_projected(np.eye(20)[:3], found)
    assert np.abs(kept @ thin).max() < 1e-3
    full = robust_pca(np.diag([4.0, 3, 2, 1]), 10.0)
    with pytest.raises(ValueError, match="full rank 4"):
        null_projected(np.eye(4), full._replace(rank=4))


def test_coordinates_have_unit_deviation() -> None:
    x = DRAWS.standard_normal((500, 5)) * np.arange(1, 6)
    np.testing.assert_allclose(coordinates(principal(x, 3), x).std(0), 1)
