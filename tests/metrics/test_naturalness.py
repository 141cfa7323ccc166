"""Grids that were put into pictures are found at their period, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxinv.io.image_ops import to_uint8
from jaxinv.metrics import table
from jaxinv.metrics.naturalness import TILE, fine_patches, grid_energy
from jaxinv.metrics.sample_texture import sample_texture, texture_of
from tests.tiny import draw, mobile

SIDE = 4 * TILE


def photo_like(seed: int = 0) -> np.ndarray:
    """Noise whose power falls with the square of the frequency, as that of photographs does."""
    draws = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE)] * 2))
    shape = 1 / np.maximum(frequency, 1 / SIDE)
    field = np.fft.ifft2(np.fft.fft2(draws.standard_normal((SIDE, SIDE))) * shape).real
    return 128 + 30 * field / field.std()


def as_image(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.rint(values), 0, 255).astype(np.uint8)[None, ..., None], 3, -1)


def weave(period: int, amplitude: float) -> np.ndarray:
    wave = amplitude * np.cos(2 * np.pi * np.arange(SIDE) / period)
    return wave[:, None] + wave[None, :]


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_grid_is_found_at_its_period(period: int) -> None:
    plain = photo_like()
    before = {p: grid_energy(as_image(plain), p)[0] for p in (2, 4, 8)}
    after = {p: grid_energy(as_image(plain + weave(period, 1.5 * period)), p)[0] for p in (2, 4, 8)}
    assert after[period] > before[period] + 10
    for other in {2, 4, 8} - {period}:
        assert abs(after[other] - before[other]) < 1


def test_a_stronger_grid_has_more_energy_and_contrast_has_no_say() -> None:
    plain = photo_like(1)
    faint, clear = (grid_energy(as_image(plain + weave(4, a)), 4)[0] for a in (1.5, 6.0))
    assert 8 < clear - faint < 14, "four times the amplitude is 12 dB"
    half = grid_energy(as_image(128 + (plain + weave(4, 6.0) - 128) / 2), 4)[0]
    assert abs(half - clear) < 1.5


def test_texture_without_a_grid_has_little() -> None:
    draws = np.random.default_rng(2)
    white = draws.uniform(0, 255, (SIDE, SIDE))
    for values in (photo_like(3), white):
        assert all(grid_energy(as_image(values), p)[0] < 6 for p in (2, 4, 8))


def test_the_median_tile_counts() -> None:
    values = photo_like(4)
    values[: SIDE // 4] += weave(2, 20.0)[: SIDE // 4]
    assert grid_energy(as_image(values), 2)[0] < 6


@pytest.mark.parametrize(
    ("shape", "period", "message"),
    [((1, 63, 64, 3), 2, r"\(63, 64\) are below the 64 px tile"), ((1, 64, 64, 3), 3, "period 3")],
)
def test_what_cannot_be_measured(shape: tuple[int, ...], period: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_energy(np.zeros(shape, np.uint8), period)


def test_pictures_have_these_scores_where_they_are_large_enough() -> None:
    assert table.look(np.zeros((1, 32, 32, 3), np.uint8)) == {}
    assert set(table.look(as_image(photo_like()))) == {"grid_2", "grid_4"}


def test_patches_of_other_texture_are_further_away() -> None:
    texture = texture_of([as_image(photo_like(seed))[0] for seed in range(4)])

    def distance(values: np.ndarray) -> float:
        return texture.distance(as_image(values)[0])

    assert 0.3 < distance(photo_like(9)) < 3
    for other in (photo_like(9) + weave(2, 8.0), 128 + 0.6 * (photo_like(9) - 128)):
        assert distance(other) > 3 * distance(photo_like(9))


def test_a_generator_is_its_own_measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gen, params = mobile()
    assert sample_texture(gen, params) is None  # its pictures are smaller than a tile
    monkeypatch.setattr("jaxinv.metrics.sample_texture.TILE", gen.spec.resolution)
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    told: list[str] = []
    found = sample_texture(gen, params, told.append)
    assert found is not None
    assert told
    told.clear()
    again = sample_texture(gen, params, told.append)
    assert again is not None
    assert told == []  # it was kept
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    (fresh,) = draw((gen, params), 7)
    flat = np.broadcast_to(fresh.mean((0, 1)), fresh.shape)
    assert 0.2 < found.distance(to_uint8(fresh)) < 5
    assert found.distance(to_uint8(flat)) > 2 * found.distance(to_uint8(fresh))


def test_flat_pictures_have_flat_patches() -> None:
    assert np.abs(fine_patches(np.full((1, 64, 64, 3), 77, np.uint8))).max() < 1e-12
