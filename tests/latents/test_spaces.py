"""Latent spaces and codecs: there and back again, ties, frozen rows, whitening."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.initialization import start
from jaxinv.io.latent_files import fit_latents
from jaxinv.latents.codecs import CODECS, stop_frozen_gradients
from jaxinv.latents.spaces import SPACES, decode, encode
from jaxinv.models import statistics
from jaxinv.models.statistics import STATISTICS, P, p_statistics, sample_w_batches, to_p, to_w
from jaxinv.specs import InitSpec, Variable
from jaxinv.specs.vocabulary import CLASSES
from tests.tiny import LINEAR, Pair, classes, linear, mobile
from tests.tiny_decoders import MAKERS

pytestmark = pytest.mark.usefixtures("quick_compilation")
TIE = (0, 0, 1, 1, 1, 2, 2, 2)  # of the eight rows of the tiny generator
STORED = InitSpec("stored")
VARIABLES = [
    Variable("z"),
    Variable("w"),
    Variable("w", codec="whiten"),
    Variable("w+"),
    Variable("w+", codec="whiten"),
    Variable("s"),
    Variable("noise", init=STORED),
    Variable("z+"),
    Variable("z", codec="tanh"),
    Variable("w", codec="p"),
    Variable("w", codec="pn"),
    Variable("w+", codec="pn"),
    Variable("w+", codec="gaussianized"),
]


@lru_cache
def tiny() -> Pair:
    """The tiny generator with the statistics of P as well."""
    gen, params = mobile()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "P_SAMPLES", 40_000)
        found = p_statistics(gen, params)
    return gen, {**params, STATISTICS: {**params[STATISTICS], P: found}}


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def close(a: Any, b: Any, atol: float = 2e-5) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, atol=atol, rtol=1e-4), a, b)


def code_of(variable: Variable) -> Any:
    """A random code of the tiny generator."""
    gen, params = tiny()
    where = start(gen, params, variable, {}, (jax.random.key(1), jnp.asarray(1)))
    return jax.tree.map(lambda leaf: leaf + normal(2, *leaf.shape), where)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda v: f"{v.space}-{v.codec}")
def test_lifting_and_projecting_are_inverse(variable: Variable) -> None:
    gen, params = tiny()
    code = code_of(variable)
    latents = {variable.space: decode(params, variable, code)}
    fit_latents(gen.spec, latents)
    # Division by the smallest deviations of P magnifies rounding.
    close(encode(gen, params, variable, latents), code, 1e-4 if variable.codec == "pn" else 2e-5)


@pytest.mark.parametrize(("early", "late"), [("z", "w"), ("w", "w+"), ("w+", "s"), ("z", "s")])
def test_projecting_moves_forward_through_the_chain(early: str, late: str) -> None:
    gen, params = linear()
    latents = {early: begin((gen, params), Variable(early, init=InitSpec("prior")))}
    moved = {late: decode(params, Variable(late), encode(gen, params, Variable(late), latents))}
    close(gen.synthesize(params, moved), gen.synthesize(params, latents))


@pytest.mark.parametrize("codec", ["identity", "whiten"])
def test_tied_rows_move_together(codec: str) -> None:
    gen, params = mobile()
    variable = Variable("w+", codec=codec, tie=TIE)
    code = normal(0, 3, gen.spec.w_dim)
    value = np.asarray(decode(params, variable, code))
    assert value.shape == (gen.spec.rows, gen.spec.w_dim)
    for row, index in enumerate(TIE):
        np.testing.assert_array_equal(value[row], value[TIE.index(index)])
    close(encode(gen, params, variable, {"w+": jnp.asarray(value)}), code)


def test_projecting_onto_a_tie_is_the_mean_of_its_rows() -> None:
    gen, params = mobile()
    rows = normal(0, gen.spec.rows, gen.spec.w_dim)
    code = encode(gen, params, Variable("w+", tie=TIE), {"w+": rows})
    close(code, jnp.stack([rows[0:2].mean(0), rows[2:5].mean(0), rows[5:8].mean(0)]))


def test_frozen_codes_pass_their_value_and_no_gradient() -> None:
    code = normal(0, 5, 4)
    variable = Variable("w+", freeze=(1, 3))
    np.testing.assert_array_equal(stop_frozen_gradients(variable, code), code)
    gradient = jax.grad(lambda c: jnp.sum(jnp.square(stop_frozen_gradients(variable, c))))(code)
    close(gradient, 2 * code.at[1:3].set(0))
    assert stop_frozen_gradients(Variable("w+"), code) is code


# --- whitening ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "tolerance"), [(linear, 0.05), (mobile, 0.4)])
def test_whitened_codes_of_w_have_mean_0_and_unit_covariance(
    make: Callable[[], Pair], tolerance: float
) -> None:
    # The random mapping network's W has heavy tails (kurtosis up to 80 along its smallest axes).
    gen, params = make()
    z = normal(5, 20_000, gen.spec.z_dim)
    w = jax.vmap(partial(gen.map, params))(z)
    codes = np.asarray(CODECS["whiten"].encode(params[STATISTICS], w))
    np.testing.assert_allclose(codes.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(gen.spec.w_dim), atol=tolerance)


def test_codes_of_p_n_have_mean_0_and_unit_covariance() -> None:
    gen, params = tiny()
    w = np.concatenate(list(sample_w_batches(gen, params, 40_000)))
    held = params[STATISTICS]
    codes = np.asarray(CODECS["pn"].encode(held, jnp.asarray(w, jnp.float32)), np.float64)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(gen.spec.w_dim), atol=1e-2)
    single = np.asarray(CODECS["gaussianized"].encode(held, jnp.asarray(w, jnp.float32)))
    np.testing.assert_allclose(single.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(single.std(0), 1, atol=1e-3)


def test_p_undoes_the_last_activation() -> None:
    before = normal(0, 100)
    after = jnp.where(before > 0, before, 0.2 * before)  # leaky ReLU of slope 0.2
    close(to_p(after), before)
    close(to_w(before), after)


def test_codes_on_the_sphere_have_its_length_and_probabilities_their_sum() -> None:
    z = CODECS["sphere"].decode({}, normal(0, 3, 16))
    close(jnp.linalg.norm(z, axis=-1), jnp.full(3, 4.0))
    label = CODECS["softmax"].decode({}, CODECS["softmax"].encode({}, jnp.eye(5)[2]))
    np.testing.assert_allclose(label, jnp.eye(5)[2], atol=1e-3)
    np.testing.assert_allclose(label.sum(), 1, rtol=1e-6)


def test_statistics_of_a_linear_map_are_known() -> None:
    _, params = linear()
    tree, found = params["mapping"], params[STATISTICS]
    covariance = np.asarray(tree["mix"].T @ tree["mix"], np.float64)
    np.testing.assert_allclose(found["mean"], tree["shift"], atol=0.1)
    np.testing.assert_allclose(found["std"], np.sqrt(np.trace(covariance)), rtol=0.02)
    axes, scales = np.asarray(found["axes"]), np.asarray(found["scales"])
    np.testing.assert_allclose(axes.T @ axes, np.eye(LINEAR.w_dim), atol=1e-5)
    np.testing.assert_allclose(axes * scales**2 @ axes.T, covariance, atol=0.4)
    assert np.all(np.diff(scales) < 0)


# --- starts ---------------------------------------------------------------------------------------


def begin(
    pair: Pair, variable: Variable, restart: int = 0, seed: int = 0, previous: Any = None
) -> Any:
    return start(*pair, variable, previous or {}, (jax.random.key(seed), jnp.asarray(restart)))


@pytest.mark.parametrize("space", ["w", "w+", "s"])
def test_the_mean_of_a_space_is_the_mean_of_w(space: str) -> None:
    gen, params = linear()
    code = begin((gen, params), Variable(space))
    mean = params[STATISTICS]["mean"]
    expected = {"w": mean, "w+": jnp.tile(mean, (3, 1)), "s": (mean,) * 3}[space]
    close(code, expected)


def test_the_mean_of_z_is_0_and_of_whitened_w_too() -> None:
    np.testing.assert_array_equal(begin(linear(), Variable("z")), np.zeros(LINEAR.z_dim))
    close(begin(linear(), Variable("w+", codec="whiten")), np.zeros((3, LINEAR.w_dim)))


def test_restarts_spread_around_a_known_start() -> None:
    variable = Variable("w+", codec="whiten", init=InitSpec("mean", spread=0.5))
    codes = np.stack([begin(mobile(), variable, restart=1, seed=i) for i in range(40)])
    assert abs(codes.std() - 0.5) < 0.02
    assert abs(codes.mean()) < 0.03
    first = [begin(mobile(), variable, restart=0, seed=i) for i in range(2)]
    np.testing.assert_array_equal(first[0], first[1])


@pytest.mark.parametrize("space", SPACES)
def test_prior_starts_are_draws_of_the_space(space: str) -> None:
    made = {**dict.fromkeys(CLASSES, classes), "camera": MAKERS["eg3d"]}
    gen, params = made.get(space, linear)()
    variable = Variable(space, init=InitSpec("prior"))
    one, two = (begin((gen, params), variable, seed=i) for i in range(2))
    fit_latents(gen.spec, {space: one})
    flat = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(c)]) for c in (one, two)]
    assert np.abs(flat[0] - flat[1]).max() > 0.1
    if space in ("z", "noise"):
        assert 0.1 < flat[0].std() < 2


def test_stored_noise_is_where_noise_starts() -> None:
    gen, params = linear()
    close(begin((gen, params), Variable("noise", init=STORED)), gen.stored_noise(params))


def test_previous_starts_continue_unshaken() -> None:
    gen, params = linear()
    previous = {"w": normal(0, LINEAR.w_dim), "noise": (normal(1, 16, 16),)}
    again = InitSpec("previous")
    code = begin((gen, params), Variable("w+", init=again), 3, 0, previous)
    close(code, jnp.tile(previous["w"], (3, 1)))
    close(begin((gen, params), Variable("noise", init=again), 3, 0, previous), previous["noise"])
    unsaid = begin((gen, params), Variable("noise", init=again), 3, 0, {"w": previous["w"]})
    close(unsaid, gen.stored_noise(params))


def test_gradient_axes_turn_each_row_and_back() -> None:
    gen, params = mobile()
    turns = np.stack([np.linalg.qr(normal(i, 16, 16))[0] for i in range(gen.spec.rows)])
    params = {**params, STATISTICS: {**params[STATISTICS], "gradient_axes": jnp.asarray(turns)}}
    variable, code = Variable("w+", codec="gradient-axes"), normal(3, gen.spec.rows, gen.spec.w_dim)
    value = decode(params, variable, code)
    turned = np.stack([turn @ row for turn, row in zip(turns, np.asarray(code), strict=True)])
    close(value, decode(params, Variable("w+", codec="whiten"), jnp.asarray(turned)))
    close(encode(gen, params, variable, {"w+": value}), code)
