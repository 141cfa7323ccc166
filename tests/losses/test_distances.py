"""Distances between features: closed forms, restatements in NumPy, scikit-image, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from jaxinv.losses import distances as d

PER_POSITION: dict[str, Callable[..., Any]] = {
    "l1": d.l1,
    "l2": d.l2,
    "logcosh": d.logcosh,
    "charbonnier": d.charbonnier,
    "cosine": d.cosine,
    "bce": d.bce,
}
SCALARS: dict[str, Callable[..., Any]] = {
    "norm": d.norm,
    "style": d.style,
    "ms_ssim": lambda a, b: d.ms_ssim(a, b, scales=2),
    "hog": lambda a, b: d.hog(a, b).mean(),
}
EVERY = PER_POSITION | SCALARS
LEAST = {"charbonnier": 1e-3, "bce": None}  # of equal features; bce gives the entropy


def picture(seed: int, side: int = 24, low: float = -1) -> Any:
    shape = (side, side, 3)
    return jnp.asarray(np.random.default_rng(seed).uniform(low, 1, shape), jnp.float32)


@pytest.mark.parametrize("name", EVERY)
def test_least_at_the_target_with_finite_gradients(name: str) -> None:
    """Also for features that are 0 everywhere, where roots and norms have no derivative."""
    low = 0 if name == "bce" else -1
    a, b, zero = picture(0, low=low), picture(1, low=low), jnp.zeros((24, 24, 3))
    total = lambda a, b: EVERY[name](a, b).mean()  # noqa: E731
    both = jax.jit(jax.vmap(jax.value_and_grad(total)))
    values, slopes = both(jnp.stack([a, b, b, zero]), jnp.stack([b, b, zero, zero]))
    assert np.isfinite(slopes).all()
    assert np.isfinite(values).all()
    assert values[0] > values[1] + 1e-4
    if LEAST.get(name, 0) is not None:
        np.testing.assert_allclose(values[1], LEAST.get(name, 0), atol=1e-6)
    assert np.abs(slopes[0]).max() > 0


@pytest.mark.parametrize("name", PER_POSITION)
def test_shapes(name: str) -> None:
    a, b = picture(0, low=0), picture(1, low=0)
    whole = jax.jit(PER_POSITION[name])(a, b)
    assert whole.shape == (24, 24)
    np.testing.assert_allclose(PER_POSITION[name](a[3, 5], b[3, 5]), whole[3, 5], rtol=1e-4)


def test_closed_forms() -> None:
    a: Any = np.array([1.0, -2.0, 0.5])
    b: Any = np.array([0.0, 1.0, 0.5])
    difference = a - b
    np.testing.assert_allclose(d.l1(a, b), 4 / 3, rtol=1e-6)
    np.testing.assert_allclose(d.l2(a, b), 10 / 3, rtol=1e-6)
    np.testing.assert_allclose(d.logcosh(a, b), np.log(np.cosh(difference)).mean(), rtol=1e-5)
    np.testing.assert_allclose(d.logcosh(a[:1] * 1e3, b[:1]), 1e3 - np.log(2), rtol=1e-6)
    np.testing.assert_allclose(
        d.charbonnier(a, b, 0.1), np.sqrt(difference**2 + 0.01).mean(), rtol=1e-6
    )
    np.testing.assert_allclose(d.norm(a, b), np.sqrt(10), rtol=1e-6)
    np.testing.assert_allclose(d.cosine(a, b), 1 + 1.75 / np.sqrt(5.25 * 1.25), rtol=1e-5)
    np.testing.assert_allclose(d.cosine(a, -3 * a), 2, rtol=1e-6)
    np.testing.assert_allclose(d.floor(jnp.array([0.1, 0.3]), 0.2), [0.2, 0.3], rtol=1e-6)
    p, t = jnp.array([0.2, 0.9]), jnp.array([0.0, 1.0])
    np.testing.assert_allclose(d.bce(p, t), -(np.log(0.8) + np.log(0.9)) / 2, rtol=1e-5)
    assert 10 < float(d.bce(jnp.zeros(2), jnp.ones(2))) < 20


def test_floor_stops_the_gradient() -> None:
    slope = jax.grad(lambda x: d.floor(x * x, 0.04))
    assert slope(0.1) == 0
    np.testing.assert_allclose(slope(0.3), 0.6, rtol=1e-6)


def test_gram_and_style_are_those_of_gatys() -> None:
    a: Any = np.asarray(picture(0, 6)).astype(float)
    b: Any = np.asarray(picture(1, 6)).astype(float)
    matrices = [np.einsum("hwi,hwj->ij", x, x) for x in (a, b)]
    expected = ((matrices[0] - matrices[1]) ** 2).sum() / (4 * 3**2 * 36**2)
    np.testing.assert_allclose(d.style(a, b), expected, rtol=1e-4)
    np.testing.assert_allclose(d.gram(a) * 36, matrices[0], rtol=1e-4)
    shuffled: Any = a.reshape(36, 3)[np.random.default_rng(2).permutation(36)].reshape(6, 6, 3)
    np.testing.assert_allclose(d.style(a, shuffled), 0, atol=1e-10)


# --- structural similarity ------------------------------------------------------------------------


def degraded(side: int) -> tuple[Any, Any]:
    y, x = np.mgrid[:side, :side] / side
    planes = [np.sin(9 * x + k) * np.cos(7 * y + x * k) * 0.8 for k in range(3)]
    a = np.stack(planes, -1)
    b = np.clip(a + np.random.default_rng(0).normal(0, 0.2, a.shape), -1, 1)
    return a.astype(np.float32), b.astype(np.float32)


def reference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SSIM of every channel, by scikit-image on [0, 2]."""
    values = [
        structural_similarity(
            a[..., k].astype(float) + 1,
            b[..., k].astype(float) + 1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=2,
        )
        for k in range(3)
    ]
    return np.array(values)


@pytest.mark.parametrize("side", [11, 32, 57])
def test_one_scale_is_the_ssim_of_scikit_image(side: int) -> None:
    a, b = degraded(side)
    whole, one = jax.jit(lambda a, b: (d.similarity(a, b)[0], d.ms_ssim(a, b, 1)))(a, b)
    np.testing.assert_allclose(whole.mean((0, 1)), reference(a, b), atol=1e-5)
    np.testing.assert_allclose(one, 1 - reference(a, b).mean(), atol=1e-5)


def test_five_scales_against_numpy() -> None:
    """In float64, from the formula; 161 px, so that odd sides occur at every scale."""
    a, b = degraded(161)
    ours = float(jax.jit(d.ms_ssim)(a, b))
    offsets = np.arange(11) - 5
    kernel = np.exp(-0.5 * (offsets / 1.5) ** 2)
    kernel /= kernel.sum()
    local = lambda x: np.apply_along_axis(  # noqa: E731
        np.convolve, 1, np.apply_along_axis(np.convolve, 0, x, kernel, "valid"), kernel, "valid"
    )
    values = []
    for k in range(3):
        x, y, product = a[..., k].astype(float) + 1, b[..., k].astype(float) + 1, 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            mx, my = local(x), local(y)
            vx, vy, cov = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
            term = (2 * cov + 0.0036) / (vx + vy + 0.0036)
            if scale == 4:
                term = term * (2 * mx * my + 0.0004) / (mx**2 + my**2 + 0.0004)
            product *= max(term.mean(), 0) ** weight
            x, y = (np.pad(z, [(0, n % 2) for n in z.shape], mode="edge") for z in (x, y))
            x, y = (
                (z[::2] + z[1::2])[:, ::2] / 4 + (z[::2] + z[1::2])[:, 1::2] / 4 for z in (x, y)
            )
        values.append(product)
    assert 0.01 < ours < 0.9
    np.testing.assert_allclose(ours, 1 - np.mean(values), atol=2e-5)


@pytest.mark.parametrize(("scales", "least"), [(5, 161), (4, 81), (3, 41), (2, 21), (1, 11)])
def test_least_sizes_are_named(scales: int, least: int) -> None:
    small = jnp.zeros((least - 1, least, 3))
    with pytest.raises(ValueError, match=f"ms_ssim at {scales} scales .* at least {least} px"):
        d.ms_ssim(small, small, scales)
    enough = jnp.zeros((least, least, 1))
    assert jax.eval_shape(lambda a: d.ms_ssim(a, a, scales), enough).shape == ()


def test_impossible_scales_are_refused() -> None:
    a = jnp.zeros((16, 16, 3))
    with pytest.raises(ValueError, match="scales of ms_ssim must be at most 5, got 6"):
        d.ms_ssim(a, a, 6)
    with pytest.raises(ValueError, match="scales of ms_ssim must be a whole number of at least 1"):
        d.ms_ssim(a, a, 0)
    with pytest.raises(ValueError, match="ssim of 10x16 px; allowed: at least 11 px"):
        d.similarity(a[:10], a[:10])
    with pytest.raises(ValueError, match="cell 5 of 16x16 px; allowed: what divides both sides"):
        d.hog(a, a, cell=5)


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bin_", [0, 2, 3])
def test_ramps_fall_into_the_bin_of_their_direction(bin_: int) -> None:
    angle = bin_ * np.pi / 4
    y, x = np.mgrid[:24, :24] / 24
    ramp = jnp.asarray((x * np.cos(angle) + y * np.sin(angle))[..., None], jnp.float32)
    same = jax.jit(lambda a: (d.orientations(a, bins=4)[1, 1], d.hog(a, -a, bins=4)))
    middle, zero = same(ramp)
    assert int(middle.argmax()) == bin_
    # cos^4 of 0, 45, 90 degrees: 1, 1/4, 0
    np.testing.assert_allclose(np.sort(middle / middle.max()), [0, 0.25, 0.25, 1], atol=1e-3)
    np.testing.assert_allclose(zero, 0, atol=1e-9)


def test_edges_do_not_see_brightness_and_hardly_contrast() -> None:
    a, b = picture(0), picture(1)
    other = float(d.hog(a, b).mean())
    assert float(d.hog(a, 0.7 * a + 0.1).mean()) < 0.01 * other
    np.testing.assert_allclose(jnp.linalg.norm(d.orientations(a), axis=-1), 1, atol=0.01)
