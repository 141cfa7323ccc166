"""Scores against closed forms and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import mean_squared_error, structural_similarity
from skimage.transform import downscale_local_mean

from jaxinv.metrics import psnr, ssim
from jaxinv.metrics.reconstruction import l1, ms_ssim, mse

METRICS = [psnr, ssim]


def _stack(seed: int, b: int = 3, h: int = 24, w: int = 31) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (b, h, w, 3), dtype=np.uint8)


def _noisy(stack: np.ndarray, amount: int) -> np.ndarray:
    noise = np.random.default_rng(9).integers(-amount, amount + 1, stack.shape)
    return np.clip(stack.astype(int) + noise, 0, 255).astype(np.uint8)


def _flat(value: int) -> np.ndarray:
    return np.full((1, 16, 16, 3), value, np.uint8)


@pytest.mark.parametrize("difference", [1, 7, 255])
def test_psnr_of_a_constant_difference(difference: int) -> None:
    expected = 20 * np.log10(255 / difference)
    np.testing.assert_allclose(psnr(_flat(0), _flat(difference)), [expected], atol=1e-12)


def test_psnr_averages_the_error_over_pixels_and_channels_of_one_image() -> None:
    a = np.zeros((2, 4, 5, 3), np.uint8)
    b = a.copy()
    b[0, 1, 2, 0] = 60
    b[1] = 2
    expected = [10 * np.log10(255**2 * 60 / 60**2), 10 * np.log10(255**2 / 4)]
    np.testing.assert_allclose(psnr(a, b), expected, atol=1e-12)


def test_psnr_has_no_eight_bit_overflow() -> None:
    np.testing.assert_array_equal(psnr(_flat(255), _flat(0)), psnr(_flat(0), _flat(255)))


def test_identical_images() -> None:
    stack = _stack(0)
    np.testing.assert_array_equal(psnr(stack, stack), [np.inf] * 3)
    np.testing.assert_allclose(ssim(stack, stack), 1.0, atol=1e-12)


def test_ssim_of_flat_images_is_the_luminance_term() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 40 * 90 + c1) / (40**2 + 90**2 + c1)
    np.testing.assert_allclose(ssim(_flat(40), _flat(90)), [expected], atol=1e-9)


@pytest.mark.parametrize("amount", [0, 5, 60, 255])
def test_ssim_agrees_with_scikit_image(amount: int) -> None:
    a = _stack(1)
    b = _noisy(a, amount)
    reference = [
        structural_similarity(
            x,
            y,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b), reference, atol=1e-10)


def test_ssim_of_the_smallest_image_is_one_window() -> None:
    a, b = _stack(2, b=1, h=11, w=11), _stack(3, b=1, h=11, w=11)
    assert ssim(a, b).shape == (1,)
    assert -1 < ssim(a, b)[0] < 0.5


@pytest.mark.parametrize(("h", "w"), [(10, 24), (24, 10)])
def test_ssim_refuses_images_smaller_than_its_window(h: int, w: int) -> None:
    with pytest.raises(ValueError, match=r"\(.*10.*\) are below the 11 px"):
        ssim(_stack(0, h=h, w=w), _stack(1, h=h, w=w))


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_symmetric_and_independent_of_the_batch(metric) -> None:
    a = _stack(4)
    b = _noisy(a, 40)
    together = metric(a, b)
    assert together.shape == (3,)
    np.testing.assert_array_equal(together, metric(b, a))
    alone = np.concatenate([metric(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("metric", METRICS)
def test_more_noise_scores_lower(metric) -> None:
    a = _stack(5)
    assert np.all(metric(a, _noisy(a, 10)) > metric(a, _noisy(a, 40)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((3, 24, 31, 3), np.float32), r"float32\[3, 24, 31, 3\]"),
        (np.zeros((24, 31, 3), np.uint8), r"uint8\[24, 31, 3\]"),
        (np.zeros((3, 24, 31, 1), np.uint8), r"uint8\[3, 24, 31, 1\]"),
        (np.zeros((3, 24, 30, 3), np.uint8), r"shapes differ"),
        (np.zeros((1, 24, 31, 3), np.uint8), r"shapes differ"),
    ],
)
def test_other_inputs_are_refused(metric, bad: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(_stack(6), bad)
    with pytest.raises(ValueError, match=message):
        metric(bad, _stack(6))


@pytest.mark.parametrize("difference", [1, 7, 255])
def test_errors_of_a_constant_difference_are_told_on_pixels_from_minus_1_to_1(
    difference: int,
) -> None:
    pair = _flat(0), _flat(difference)
    np.testing.assert_allclose(l1(*pair), [difference / 127.5], rtol=1e-14)
    np.testing.assert_allclose(mse(*pair), [(difference / 127.5) ** 2], rtol=1e-14)


def test_errors_equal_those_of_scikit_image() -> None:
    a, b = _stack(1), _noisy(_stack(1), 30)
    x, y = (one / 127.5 - 1 for one in (a, b))
    known = [mean_squared_error(p, q) for p, q in zip(x, y, strict=True)]
    np.testing.assert_allclose(mse(a, b), known, rtol=1e-12)
    np.testing.assert_allclose(l1(a, b), np.abs(x - y).mean((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(psnr(a, b), 10 * np.log10(4 / mse(a, b)), rtol=1e-12)


def test_ms_ssim_is_made_of_the_ssim_of_every_scale() -> None:
    """With equal means, SSIM is its contrast and structure alone: scikit-image gives each scale."""
    rough = np.random.default_rng(0).integers(-40, 41, (176, 192, 3))
    a = (128 + rough).astype(np.uint8)
    b = (128 + rough // 2).astype(np.uint8)
    known, x, y = 1.0, a.astype(float), b.astype(float)
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        similar = structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
            channel_axis=-1,
        )  # fmt: skip
        known *= float(np.asarray(similar)) ** weight
        x, y = (downscale_local_mean(one, (2, 2, 1)) for one in (x, y))
    assert ms_ssim(a[None], b[None])[0] == pytest.approx(known, rel=1e-3)


@pytest.mark.parametrize(("h", "w"), [(32, 32), (33, 47), (177, 200)])
def test_ms_ssim_has_its_ends(h: int, w: int) -> None:
    a = _stack(3, b=2, h=h, w=w)
    np.testing.assert_allclose(ms_ssim(a, a), 1)
    b = _noisy(a, 60)
    np.testing.assert_array_equal(ms_ssim(a, b), ms_ssim(b, a))
    assert np.all((ms_ssim(a, b) < ms_ssim(a, _noisy(a, 10))) & (ms_ssim(a, b) >= 0))
    assert ms_ssim(a, 255 - a).max() == 0  # negative structure counts as none


def test_the_mean_of_the_scales_is_no_less_than_their_product() -> None:
    a = _stack(0, h=176, w=180)
    b = _noisy(a, 30)
    product, mean = ms_ssim(a, b), ms_ssim(a, b, combined="mean")
    assert np.all((mean > product) & (mean < 1))  # means of numbers are above their product
    np.testing.assert_allclose(ms_ssim(a, a, combined="mean"), 1)
    with pytest.raises(ValueError, match="'sum'; allowed: product, mean"):
        ms_ssim(a, b, combined="sum")


def test_ms_ssim_refuses_images_that_are_too_small() -> None:
    with pytest.raises(ValueError, match=r"\(31, 40\); allowed: at least 32 px"):
        ms_ssim(_stack(0, h=31, w=40), _stack(1, h=31, w=40))
