"""The sliced Wasserstein distance: shifts, Gaussians, scipy, textures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from jaxinv.metrics import sliced
from jaxinv.metrics.sliced import sliced_wasserstein_distance as swd


def samples(seed: int, count: int = 200, width: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


def directions(width: int = 5, count: int = 30) -> np.ndarray:
    return sliced.random_directions(width, count, np.random.default_rng(3))


def pictures(seed: int, side: int = 32, count: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("shift", [0.0, -3.0, 0.25])
def test_a_shift_of_numbers_is_its_own_distance(p: int, shift: float) -> None:
    a = samples(1, width=1)
    assert swd(a, a[::-1] + shift, np.ones((1, 1)), p=p) == pytest.approx(abs(shift))


def test_a_shift_of_vectors_is_projected() -> None:
    a, unit = samples(1), directions()
    shift = np.array([1.0, -2, 0, 3, 0.5])
    assert swd(a, a + shift, unit) == pytest.approx(np.abs(shift @ unit).mean())
    assert swd(a, a + shift, unit, p=2) == pytest.approx(np.sqrt(np.mean((shift @ unit) ** 2)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_equals_the_mean_of_scipy(seed: int) -> None:
    a, b, unit = samples(seed), 2 * samples(seed + 9) + 1, directions()
    known = np.mean([wasserstein_distance(a @ one, b @ one) for one in unit.T])
    assert swd(a, b, unit) == pytest.approx(known, rel=1e-10)


def test_gaussians_of_two_widths() -> None:
    a = samples(4, 200_000, 1)
    assert swd(a, 3 * a + 1, np.ones((1, 1)), p=2) == pytest.approx(np.sqrt(1 + 4), rel=1e-2)


@pytest.mark.parametrize(("shape", "levels"), [((32, 32), 2), ((64, 32), 3), ((20, 28), 1)])
def test_a_pyramid_adds_up_to_its_image(shape: tuple[int, int], levels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    found = sliced.laplacian_pyramid(image, levels)
    assert [level.shape[1] for level in found] == [shape[0] >> i for i in range(levels)]
    whole = found[-1]
    for level in found[-2::-1]:
        spread = np.zeros_like(level)
        spread[:, ::2, ::2] = whole
        whole = level + sliced._blurred(spread, 4)
    np.testing.assert_allclose(whole, image, atol=1e-3)


def test_descriptors_are_patches_with_one_scale_per_colour() -> None:
    level = pictures(1).astype(np.float32)
    rows, columns = sliced.patch_positions(4, (32, 32), np.random.default_rng(0))
    found = sliced.patch_descriptors(level, rows, columns)
    assert found.shape == (4 * 128, 147)
    colours = found.reshape(-1, 3, 49)
    np.testing.assert_allclose(colours.mean((0, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(colours.std((0, 2)), 1, atol=1e-6)
    i = 300
    patch = level[i // 128, rows[i] - 3 : rows[i] + 4, columns[i] - 3 : columns[i] + 4, 1]
    assert np.corrcoef(found[i, 49:98], patch.T.ravel())[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("p", [1, 2])
def test_textures_are_nearer_to_their_own_kind(p: int) -> None:
    a, b = pictures(1), pictures(2)
    smooth = np.repeat(np.repeat(b[:, ::4, ::4], 4, axis=1), 4, axis=2)
    near, far = (sliced.texture_distance(a, other, p=p) for other in (b, smooth))
    assert set(near) == {32, 16}
    assert all(near[side] < far[side] for side in near)
    assert near == sliced.texture_distance(a, b, p=p)
    assert near != sliced.texture_distance(a, b, p=p, seed=1)


A = samples(1)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "counts": (lambda: swd(A, A[:9], directions()), "a has 200 samples, b 9"),
    "p": (lambda: swd(A, A, directions(), p=3), "p is 3; allowed: 1, 2"),
    "width": (lambda: swd(A, A, directions(4)), r"allowed: \[5, k\]"),
    "none": (lambda: swd(A, A, directions()[:, :0]), r"allowed: \[5, k\]"),
    "long": (lambda: swd(A, A, 2 * directions()), "allowed: 1"),
    "odd": (lambda: sliced.laplacian_pyramid(pictures(1, 18), 3), "sides that 4 divides"),
    "small": (lambda: sliced.texture_distance(pictures(1, 8), pictures(1, 8)), "s = 16, 32"),
    "side": (lambda: sliced.texture_distance(pictures(1, 48), pictures(1, 48)), "s = 16, 32"),
    "shapes": (lambda: sliced.texture_distance(pictures(1), pictures(1, 64)), "one shape"),
    "floats": (lambda: sliced.texture_distance(pictures(1) / 255, pictures(1)), "real: expected"),
    "flat": (lambda: sliced.texture_distance(0 * pictures(1), pictures(1)), "with contrast"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(case: str) -> None:
    call, says = REFUSED[case]
    with pytest.raises(ValueError, match=says):
        call()
