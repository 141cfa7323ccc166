"""Perceptual path length: linear generators, where theory knows it; LPIPS as features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import geometric_slerp

from jaxinv.metrics import paths
from jaxinv.metrics.paths import perceptual_path_length, trimmed_mean
from jaxinv.metrics.perceptual import lpips
from tests import tiny
from tests.offline import random_net

SIDE, WIDTH = 4, 6
MATRIX = np.random.default_rng(0).normal(size=(SIDE * SIDE * 3, WIDTH)).astype(np.float32)
GIVEN = MATRIX, ()


def draw(matrix: Any, code: Any, key: Any) -> Any:
    """A linear generator; the key is not used."""
    del key
    return (matrix @ code).reshape(SIDE, SIDE, 3)


def noisy(matrix: Any, code: Any, key: Any) -> Any:
    """Noise that is the same along a path changes no length of a linear generator."""
    return draw(matrix, code, key) + jax.random.normal(key, (SIDE, SIDE, 3))


def flat(params: Any, image: Any) -> Any:
    del params
    return image.ravel()


def codes(seed: int, count: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("drawn", [draw, noisy])
@pytest.mark.parametrize("sampling", ["full", "end"])
def test_a_linear_generator_has_the_length_of_its_matrix(
    drawn: Callable[..., Any], sampling: str
) -> None:
    a, b = codes(1), codes(2)
    found = perceptual_path_length(drawn, flat, GIVEN, a, b, sampling=sampling, epsilon=None)
    known = np.square((b - a) @ MATRIX.T).sum(1)
    np.testing.assert_allclose(found.lengths, known, rtol=1e-5)
    assert found.mean == trimmed_mean(found.lengths)
    rough = perceptual_path_length(drawn, flat, GIVEN, a, b, sampling=sampling, epsilon=1e-2)
    np.testing.assert_allclose(rough.lengths, known, rtol=1e-3)


def test_its_mean_is_twice_the_trace() -> None:
    a, b = codes(3, 20_000), codes(4, 20_000)
    found = perceptual_path_length(draw, flat, GIVEN, a, b, epsilon=None, batch=1000)
    assert found.lengths.mean() == pytest.approx(2 * np.square(MATRIX).sum(), rel=0.02)
    assert 0.95 < found.mean / found.lengths.mean() < 1


def test_great_circles_turn_at_their_angle() -> None:
    a, b = codes(5), codes(6)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    angles = np.arccos(np.sum(unit[0] * unit[1], axis=1))

    def square(gain: Any, code: Any, key: Any) -> Any:
        del key
        return jnp.pad(gain * code, (0, 6)).reshape(2, 2, 3)

    found = perceptual_path_length(square, flat, (1, ()), a, b, way="slerp", epsilon=None)
    np.testing.assert_allclose(found.lengths, angles**2, rtol=1e-4)
    doubled = perceptual_path_length(square, flat, (2, ()), a, b, way="slerp", epsilon=None)
    np.testing.assert_allclose(doubled.lengths, 4 * angles**2, rtol=1e-4)


@pytest.mark.parametrize("t", [0.0, 0.25, 0.9, 1.0])
def test_slerp_is_that_of_scipy(t: float) -> None:
    rows = codes(7, 2).astype(float)
    a, b = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = paths.slerp(3 * jnp.asarray(a), jnp.asarray(b), jnp.asarray(t))
    known = geometric_slerp(a, b, t)
    np.testing.assert_allclose(found, known, atol=1e-6)
    still = paths.slerp(jnp.asarray(a), 2 * jnp.asarray(a), jnp.asarray(t))
    np.testing.assert_allclose(still, a, atol=1e-6)


def test_pictures_are_cropped_and_reduced_before_they_are_compared() -> None:
    image = jnp.arange(16.0 * 16 * 3).reshape(16, 16, 3)
    np.testing.assert_array_equal(paths._view(image, True, None), image[6:14, 4:12])
    known = image.reshape(8, 2, 8, 2, 3).mean((1, 3))
    np.testing.assert_allclose(paths._view(image, False, 8), known)
    np.testing.assert_allclose(paths._view(image, True, 8), known[3:7, 2:6])
    np.testing.assert_array_equal(paths._view(image, False, 256), image)


@pytest.mark.parametrize("net", ["alexnet"])
def test_squared_distances_of_its_features_are_lpips(net: str) -> None:
    params, draws = random_net(net), np.random.default_rng(1)
    a, b = draws.integers(0, 256, (2, 1, 64, 64, 3), dtype=np.uint8)
    features = jax.jit(paths.lpips_features(net))
    ours, theirs = (features(params, x[0].astype(np.float32) / 127.5 - 1) for x in (a, b))
    known = lpips(net, params, a, b, size=None)[0]
    assert float(jnp.sum(jnp.square(ours - theirs))) == pytest.approx(known, rel=1e-4)


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (50, 50), (1000, 981), (1001, 981)])
def test_only_what_is_beyond_the_percentiles_is_left_out(count: int, kept: int) -> None:
    values = np.random.default_rng(0).permutation(count).astype(float)
    values[values == count - 1] *= 100
    least, most = (
        np.percentile(values, 1, method="lower"),
        np.percentile(values, 99, method="higher"),
    )
    inside = values[(values >= least) & (values <= most)]
    assert trimmed_mean(values) == inside.mean()
    assert trimmed_mean(values, 0, 100) == values.mean()
    assert abs(len(inside) - kept) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("space", ["w", "z"])
def test_a_generator_draws_its_paths(space: str) -> None:
    gen, params = tiny.style()
    width = {"w": gen.spec.w_dim, "z": gen.spec.z_dim}[space]
    a, b = np.random.default_rng(0).normal(size=(2, 3, width)).astype(np.float32)
    way = "slerp" if space == "z" else "lerp"
    drawn = paths.drawing(gen, space)
    options = {"way": way, "batch": 3}
    given = (drawn, flat, (params, ()), a, b)
    exact = perceptual_path_length(*given, epsilon=None, **options)
    rough = perceptual_path_length(*given, epsilon=1e-3, **options)
    np.testing.assert_allclose(rough.lengths, exact.lengths, rtol=0.05)
    assert exact.lengths.min() > 0
    keys = [jax.random.key(i) for i in range(2)]
    one, other, again = (drawn(params, jnp.asarray(a[0]), keys[i]) for i in (0, 1, 0))
    np.testing.assert_array_equal(one, again)
    assert bool(gen.spec.noise) == (not np.array_equal(one, other))


def ppl(a: Any = None, b: Any = None, **options: Any) -> Callable[[], Any]:
    given = (codes(1) if x is None else x for x in (a, b))
    return lambda: perceptual_path_length(draw, flat, GIVEN, *given, **options)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "way": (ppl(way="line"), "unknown way 'line'; allowed: lerp, slerp"),
    "sampling": (ppl(sampling="ends"), "allowed: full, end; nearest: end"),
    "epsilon": (ppl(epsilon=0.0), "epsilon must be above 0"),
    "size": (ppl(size=0), "size must be"),
    "batch": (ppl(batch=0), "batch must be"),
    "seed": (ppl(seed=2**32), "seed 4294967296"),
    "shapes": (ppl(codes(1, 3)), r"one shape \[n, ...\]"),
    "none": (ppl(codes(1, 0), codes(1, 0)), r"one shape \[n, ...\]"),
    "whole": (ppl(np.ones((2, 6), int)), "starts must be floats"),
    "nan": (ppl(np.full((2, 6), np.nan)), "starts must be finite"),
    "zero": (ppl(np.zeros((40, 6)), way="slerp"), "length 0"),
    "net": (lambda: paths.lpips_features("vgg"), "unknown net 'vgg'"),
    "space": (lambda: paths.drawing(tiny.style()[0], "s"), "unknown space 's'; allowed: z, w"),
    "no-w": (lambda: paths.drawing(tiny.grown()[0], "w"), "allowed: w of one with a W"),
    "classes": (lambda: paths.drawing(tiny.classes()[0], "z"), "without classes"),
    "trim-empty": (lambda: trimmed_mean(np.zeros(0)), r"\[n\] with n >= 1"),
    "trim-range": (lambda: trimmed_mean(np.ones(3), 60, 40), "low < high"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(case: str) -> None:
    call, says = REFUSED[case]
    with pytest.raises(ValueError, match=says):
        call()
