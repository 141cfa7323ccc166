"""Degradations against their formulas, Pillow and scikit-image."""

from __future__ import annotations

import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.filters import gaussian
from skimage.transform import downscale_local_mean

from jaxinv.nn.banded_matmul import correlate
from jaxinv.operators import build, gaussian_matrix, seeded
from jaxinv.operators.coding import BRIGHTNESS, cosines, scaled
from jaxinv.operators.filters import line
from jaxinv.operators.measurements import BLOCK
from jaxinv.specs import OperatorSpec as O
from jaxinv.specs.operators import EDGES, KERNELS, UPSAMPLERS

SHAPE = (16, 24, 3)


def picture(seed: int, shape: tuple[int, ...] = SHAPE) -> Any:
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def photo(side: int = 64) -> np.ndarray:
    """A smooth uint8 picture with an edge and a little texture."""
    y, x = np.mgrid[:side, :side] / side
    planes = [120 + 80 * np.sin(5 * x + k) * np.cos(4 * y) for k in range(3)]
    planes = [p + 60 * (x + y > 1.1) + 8 * np.sin(40 * x * y + k) for k, p in enumerate(planes)]
    return np.clip(np.stack(planes, -1), 0, 255).round().astype(np.uint8)


def seen(spec: O, x: Any) -> Any:
    return jax.jit(build(spec, x.shape).apply)(x)


# --- fewer and more pixels ------------------------------------------------------------------------

PILLOW = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@pytest.mark.parametrize("kernel", PILLOW)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_down_is_that_of_pillow(kernel: str, factor: int) -> None:
    """Pillow on float pixels; it scales its kernels to 1 at the borders, as "renormalise" does."""
    x = np.random.default_rng(0).uniform(-1, 1, (48, 72)).astype(np.float32)
    small = Image.fromarray(x).resize((72 // factor, 48 // factor), PILLOW[kernel])
    spec = O("down", factor=factor, kernel=kernel, edge="renormalise")
    ours = seen(spec, jnp.asarray(x)[..., None])[..., 0]
    np.testing.assert_allclose(ours, np.asarray(small), atol=2e-6)


def test_area_is_that_of_scikit_image() -> None:
    x = np.asarray(picture(0))
    ours = seen(O("down", factor=4, kernel="area"), x)
    np.testing.assert_allclose(ours, downscale_local_mean(x, (4, 4, 1)), atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("edge", EDGES)
def test_down_keeps_what_is_constant(kernel: str, edge: str) -> None:
    ours = seen(O("down", kernel=kernel, edge=edge), jnp.full(SHAPE, 0.3))
    np.testing.assert_allclose(ours, 0.3, atol=1e-6)


@pytest.mark.parametrize("a", [-0.5, -0.75])
def test_bicubic_against_its_formula(a: float) -> None:
    """One output pixel, in the interior, by the kernel's definition."""
    t = np.abs((np.arange(48) - 23.5) / 4)
    near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    weights = np.where(t < 1, near, np.where(t < 2, far, 0))
    weights /= weights.sum()
    x = np.zeros((44, 4, 1), np.float32)
    x[:, :, 0] = np.random.default_rng(1).normal(size=(44, 1))
    kernel = "bicubic" if a == -0.5 else "bicubic-0.75"
    ours = build(O("down", kernel=kernel, edge="edge"), x.shape).apply(jnp.asarray(x))[5, 0, 0]
    # the centre of output 5 is 5 x 4 + 1.5 = 21.5
    np.testing.assert_allclose(ours, weights[2:46] @ x[:, 0, 0], rtol=1e-5)


def test_edges() -> None:
    x = np.arange(16, dtype=np.float32)[:, None, None] * np.ones((16, 16, 1), np.float32)
    edge: Any
    for edge in ("reflect", "edge"):
        ours = seen(O("down", kernel="lanczos2", edge=edge), x)
        wide: Any = np.pad(x, ((16, 16), (16, 16), (0, 0)), mode=edge)
        inner = seen(O("down", kernel="lanczos2"), wide)[4:8, 4:8]
        np.testing.assert_allclose(ours, inner, atol=1e-5)


def test_enlarging_keeps_pixel_centres() -> None:
    x = picture(0, (8, 8, 3))
    for kernel in UPSAMPLERS:
        large = build(O("up", factor=3, kernel=kernel), x.shape).apply(x)
        np.testing.assert_allclose(large[1::3, 1::3], x, atol=1e-6)


def test_crop_is_shown_in_its_place() -> None:
    x = picture(0)
    operator = build(O("crop", box=(0.25, 0.5, 0.5, 0.25)), SHAPE)
    np.testing.assert_array_equal(operator.apply(x), x[4:12, 12:18])
    shown = np.array(operator.show(operator.apply(x)))
    np.testing.assert_array_equal(shown[4:12, 12:18], x[4:12, 12:18])
    shown[4:12, 12:18] = 0
    assert not shown.any()


# --- filters and colours --------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.7, 2.0])
@pytest.mark.parametrize(("edge", "mode"), [("reflect", "mirror"), ("edge", "nearest")])
def test_blur_is_that_of_scikit_image(sigma: float, edge: str, mode: str) -> None:
    x = np.asarray(picture(0))
    theirs = gaussian(x, sigma, mode=mode, channel_axis=-1)  # pyright: ignore[reportArgumentType]
    ours = seen(O("blur", sigma=sigma, edge=edge), x)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_motion_is_a_line() -> None:
    row = np.zeros((5, 5))
    row[2] = 0.2
    np.testing.assert_allclose(line(5, 0), row, atol=1e-12)
    np.testing.assert_allclose(line(5, 90), row.T, atol=1e-12)
    np.testing.assert_allclose(line(7, 30), line(7, 210), atol=1e-9)
    np.testing.assert_allclose(line(7, 30), line(7, -30)[::-1], atol=1e-9)
    assert line(7, 45)[0, -1] + line(7, 45)[1, -2] > 0.1  # up and to the right
    for length, angle in ((1, 7), (4, 33), (9, 60)):
        np.testing.assert_allclose(line(length, angle).sum(), 1)


def test_motion_is_a_correlation_with_its_line() -> None:
    x = np.asarray(picture(0))
    ours = seen(O("motion", length=6, angle=30, edge="edge"), x)
    for k in range(3):
        theirs = ndimage.correlate(x[..., k].astype(float), line(6, 30), mode="nearest")
        np.testing.assert_allclose(ours[..., k], theirs, atol=2e-6)


@pytest.mark.parametrize("taps", [1, 2, 11, 33, 34, 70])
def test_banded_products_are_correlations(taps: int) -> None:
    """Also where the taps reach over several blocks, and where the last block is not full."""
    x = np.random.default_rng(0).normal(size=(101, 3))
    weights = np.random.default_rng(1).normal(size=taps)
    ours = jax.jit(lambda x: correlate(x, 0, weights))(jnp.asarray(x, jnp.float32))
    theirs = np.stack([np.correlate(x[:, k], weights, "valid") for k in range(3)], -1)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_gray_and_luma() -> None:
    x = picture(0)
    grey = build(O("gray"), SHAPE).apply(x)
    np.testing.assert_allclose(grey[..., 2], x @ np.array([0.2989, 0.587, 0.114]), atol=1e-6)
    luma = build(O("luma"), SHAPE).apply(x)
    assert luma.shape == (16, 24, 1)
    theirs = np.asarray(Image.fromarray(photo()).convert("L"), np.float32)
    ours = build(O("luma"), (64, 64, 3)).apply(jnp.asarray(photo(), jnp.float32))[..., 0]
    np.testing.assert_allclose(ours, theirs, atol=0.51)


# --- coding ---------------------------------------------------------------------------------------


def test_noise_is_in_simulations_alone() -> None:
    x = jnp.zeros((64, 64, 3))
    operator = build(O("noise", sigma=0.2), x.shape)
    np.testing.assert_array_equal(operator.apply(x), x)
    noise = jax.jit(operator.simulate)(x)
    assert abs(float(noise.std()) - 0.2) < 0.01
    assert abs(float(noise.mean())) < 0.01
    both = build(O("compose", (O("dense", count=6), O("noise", sigma=0.2))), x.shape)
    assert both.linear
    assert np.abs(jax.jit(both.simulate)(x)).min() > 0


def test_levels() -> None:
    x = jnp.linspace(-1.2, 1.2, 25)[:, None, None]
    operator = build(O("quantize", levels=3), x.shape)
    assert set(np.unique(operator.apply(x))) == {-1.0, 0.0, 1.0}
    assert np.abs(operator.apply(x) - jnp.clip(x, -1, 1)).max() <= 0.5
    slope = jax.grad(lambda x: operator.apply(x).sum())(x)
    np.testing.assert_array_equal(slope[3:-3], 1)


@pytest.mark.parametrize("subsample", [True, False])
@pytest.mark.parametrize(("side", "quality"), [(64, 10), (51, 50), (64, 75), (64, 95)])
def test_jpeg_is_that_of_pillow(side: int, quality: int, subsample: bool) -> None:
    """libjpeg computes in whole numbers: now and then a coefficient falls on the other side."""
    pixels, file = photo(side), io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if subsample else 0)
    theirs = np.asarray(Image.open(file), np.float32)
    spec = O("jpeg", quality=quality, subsample=subsample)
    x = jnp.asarray(pixels, jnp.float32) / 127.5 - 1
    ours = (np.asarray(jax.jit(build(spec, pixels.shape).apply)(x)) + 1) * 127.5
    assert np.abs(ours - theirs).mean() < min(0.5, 0.5 * np.abs(theirs - pixels).mean())


@pytest.mark.parametrize("quality", [5, 49, 50, 75, 100])
def test_quantisation_tables_are_those_of_pillow(quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "JPEG", quality=quality)
    theirs = Image.open(file).quantization[0]  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_array_equal(scaled(BRIGHTNESS, quality).reshape(-1), theirs)


def test_cosines_are_orthonormal() -> None:
    np.testing.assert_allclose(cosines() @ cosines().T, np.eye(8), atol=1e-6)


# --- measurements ---------------------------------------------------------------------------------


def test_dense_is_its_matrix() -> None:
    """Also where it is drawn in several blocks."""
    shape = (40, 40, 3)
    count = 2 * BLOCK // (40 * 40 * 3) + 5
    spec, x = O("dense", count=count, seed=3), picture(0, shape)
    matrix = gaussian_matrix(seeded(spec), count, x.size)
    assert abs(float(matrix.var()) * count - 1) < 0.01
    ours = jax.jit(build(spec, shape).apply)(x)
    np.testing.assert_allclose(ours, matrix @ x.reshape(-1), atol=1e-4)
    again = build(O("dense", count=count, array="A"), shape, arrays={"A": matrix})
    np.testing.assert_allclose(ours, again.apply(x), atol=1e-4)


@pytest.mark.parametrize("kind", ["dense", "circulant"])
def test_measurements_keep_norms_on_average(kind: str) -> None:
    x = picture(0)
    operator = build(O(kind, count=1000), SHAPE)
    ratio = float(jnp.sum(jax.jit(operator.apply)(x) ** 2) / jnp.sum(x**2))
    assert abs(ratio - 1) < 0.2


def test_circulant_is_a_circular_convolution() -> None:
    """All measurements of one impulse, put back into order, are the filter up to a shift."""
    shape = (3, 5, 2)
    operator = build(O("circulant", count=30), shape)
    columns = np.asarray(jax.jit(jax.vmap(operator.apply))(jnp.eye(30).reshape(30, *shape)))
    values = np.sort(np.abs(columns), axis=1)
    np.testing.assert_allclose(values, np.tile(values[:1], (30, 1)), atol=1e-6)


def test_fourier_is_a_projection_onto_whole_pairs() -> None:
    x = picture(0)
    operator = build(O("fourier", share=0.3, low=0.1), SHAPE)
    apply = jax.jit(operator.apply)
    once = apply(x)
    np.testing.assert_allclose(apply(once), once, atol=1e-5)
    spectrum = np.abs(np.fft.fft2(np.asarray(once), axes=(0, 1))).sum(-1)
    assert abs((spectrum > 1e-3).mean() - 0.3) < 0.1
    np.testing.assert_allclose(once.mean((0, 1)), x.mean((0, 1)), atol=1e-6)  # 0 is a low one


def test_gradient_descent_with_the_exact_projector_converges() -> None:
    """x <- P(x + eta A'(y - A x)) on a subspace, 40 measurements of 192 pixels and 10 unknowns."""
    shape, rng = (8, 8, 3), np.random.default_rng(0)
    basis = jnp.asarray(np.linalg.qr(rng.normal(size=(192, 10)))[0], jnp.float32)
    operator = build(O("dense", count=40), shape)
    clean = (basis @ jnp.asarray(rng.normal(size=10), jnp.float32)).reshape(shape)
    y, adjoint = jax.jit(operator.apply)(clean), operator.adjoint
    assert adjoint is not None

    def step(x: Any, _: None) -> tuple[Any, None]:
        moved = x + 0.5 * adjoint(y - operator.apply(x))
        return (basis @ (basis.T @ moved.reshape(-1))).reshape(shape), None

    found, _ = jax.jit(lambda x: jax.lax.scan(step, x, None, 200))(jnp.zeros(shape))
    assert float(jnp.linalg.norm(found - clean) / jnp.linalg.norm(clean)) < 1e-4
