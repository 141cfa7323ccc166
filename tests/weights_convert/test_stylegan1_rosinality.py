"""rosinality's first StyleGAN: converted, against its definition in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models import loading, statistics
from jaxinv.models.loading import load_generator
from tests.torchlike import state_dict, zip_file
from weights_convert import UnsafeFileError, convert, sources

Arrays = dict[str, np.ndarray]
SIZE, LAYERS = 16, 3  # of z and w, of the mapping
WIDTHS = (12, 12, 8, 6, 4)  # at 4, 8, 16, 32, 64 px; the last is not trained
FUSED = 3  # the first block with a fused convolution
TAPS = np.outer((1, 2, 1), (1, 2, 1)) / 16


# --- the file -------------------------------------------------------------------------------------


def network(seed: int = 0) -> Arrays:
    draws = np.random.default_rng(seed)
    found: Arrays = {}

    def normal(name: str, *sizes: int, scale: float = 1.0, shift: float = 0.0) -> None:
        found[name] = (shift + scale * draws.standard_normal(sizes)).astype(np.float32)

    def layer(name: str, outside: int, *sizes: int, end: str = "weight_orig") -> None:
        normal(f"{name}.{end}", *sizes)
        normal(f"{name}.bias", outside, scale=0.3)

    for i in range(LAYERS):
        layer(f"style.{2 * i + 1}.linear", SIZE, SIZE, SIZE)
    for block, width in enumerate(WIDTHS):
        base, before = f"generator.progression.{block}", WIDTHS[max(block - 1, 0)]
        if block == 0:
            normal(f"{base}.conv1.input", 1, width, 4, 4)
        elif block < FUSED:
            layer(f"{base}.conv1.1.conv", width, width, before, 3, 3)
        else:
            layer(f"{base}.conv1.0", width, before, width, 3, 3, end="weight")
        if block:
            blur = f"{base}.conv1.{2 if block < FUSED else 1}"
            for part in ("weight", "weight_flip"):
                found[f"{blur}.{part}"] = np.tile(TAPS, (width, 1, 1, 1)).astype(np.float32)
        layer(f"{base}.conv2.conv", width, width, width, 3, 3)
        for number in (1, 2):
            trained = block < len(WIDTHS) - 1
            normal(f"{base}.noise{number}.weight_orig", 1, width, 1, 1, scale=float(trained))
            layer(f"{base}.adain{number}.style.linear", 2 * width, 2 * width, SIZE)
        layer(f"generator.to_rgb.{block}.conv", 3, 3, width, 1, 1)
    return found


# --- what it means, on one image [channels, h, w] -------------------------------------------------


def equal(weight: np.ndarray) -> np.ndarray:
    return weight * np.sqrt(2 / np.prod(weight.shape[1:]))


def conv(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Zeros around keep the size."""
    pad, side = weight.shape[2] // 2, x.shape[1]
    wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    found = np.zeros((len(weight), side, side))
    for row, column in np.ndindex(*weight.shape[2:]):
        part = wide[:, row : row + side, column : column + side]
        found += np.einsum("oi,ihw->ohw", weight[:, :, row, column], part)
    return found


def stamped(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The fused one: every pixel stamps the mean of four shifts, two pixels apart."""
    wide = np.pad(weight * np.sqrt(2 / (9 * len(weight))), ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = [wide[:, :, a : a + 4, b : b + 4] for a in (0, 1) for b in (0, 1)]
    stamp, side = sum(parts) / 4, 2 * x.shape[1]
    found = np.zeros((weight.shape[1], side + 2, side + 2))
    for row, column in np.ndindex(*x.shape[1:]):
        top, left = 2 * row, 2 * column
        found[:, top : top + 4, left : left + 4] += np.einsum(
            "i,iohw->ohw", x[:, row, column], stamp
        )
    return found[:, 1:-1, 1:-1]


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


class Network:
    def __init__(self, arrays: Arrays) -> None:
        self.arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def map(self, z: np.ndarray) -> np.ndarray:
        x = z / np.sqrt((z**2).mean() + 1e-8)
        for i in range(LAYERS):
            x = leaky(self.linear(x, f"style.{2 * i + 1}.linear"))
        return x

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return equal(self.arrays[f"{name}.weight_orig"]) @ x + self.arrays[f"{name}.bias"]

    def convolved(self, x: np.ndarray, name: str) -> np.ndarray:
        bias = self.arrays[f"{name}.bias"][:, None, None]
        return conv(x, equal(self.arrays[f"{name}.weight_orig"])) + bias

    def styled(
        self, x: np.ndarray, base: str, number: int, w: np.ndarray, noise: np.ndarray
    ) -> Any:
        strength = self.arrays[f"{base}.noise{number}.weight_orig"][0]
        x = leaky(x + strength * np.sqrt(2 / len(strength)) * noise)
        gamma, beta = np.split(self.linear(w, f"{base}.adain{number}.style.linear"), 2)
        mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
        return gamma[:, None, None] * (x - mean) / np.sqrt(var + 1e-5) + beta[:, None, None]

    def image(self, w: np.ndarray, noises: list[np.ndarray]) -> np.ndarray:
        x = self.arrays["generator.progression.0.conv1.input"][0]
        for block, noise in enumerate(noises):
            base = f"generator.progression.{block}"
            if block >= FUSED:
                bias = self.arrays[f"{base}.conv1.0.bias"][:, None, None]
                x = stamped(x, self.arrays[f"{base}.conv1.0.weight"]) + bias
            elif block:
                x = self.convolved(x.repeat(2, 1).repeat(2, 2), f"{base}.conv1.1.conv")
            if block:
                x = np.concatenate([conv(channel[None], TAPS[None, None]) for channel in x])
            x = self.styled(x, base, 1, w, noise)
            x = self.styled(self.convolved(x, f"{base}.conv2.conv"), base, 2, w, noise)
        return self.convolved(x, f"generator.to_rgb.{len(noises) - 1}.conv").transpose(1, 2, 0)


def close(ours: Any, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_a_checkpoint_draws_what_the_network_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    monkeypatch.setattr(statistics, "SAMPLES", 2000)
    arrays = network()
    file = tmp_path / "stylegan-32px.model"
    file.write_bytes(zip_file(state_dict(arrays), arrays))
    convert(file, name="old")
    gen, params = load_generator("old")
    assert (gen.spec.resolution, gen.spec.z_dim, gen.spec.rows) == (32, SIZE, 8)
    z, ours = np.random.default_rng(5).standard_normal(SIZE), Network(arrays)
    w = ours.map(z)
    np.testing.assert_allclose(gen.map(params, jnp.asarray(z, jnp.float32)), w, atol=5e-6)
    noises = [np.random.default_rng(i).standard_normal((4 << i, 4 << i)) for i in range(4)]
    given = tuple(jnp.asarray(n, jnp.float32) for n in noises for _ in range(2))
    wide = jnp.asarray(w, jnp.float32)
    close(gen.synthesize(params, {"w": wide, "noise": given}), ours.image(w, noises))
    kept = [np.asarray(n) for n in gen.stored_noise(params)]
    assert all(np.array_equal(one, other) for one, other in zip(kept[::2], kept[1::2], strict=True))
    close(gen.synthesize(params, {"w": wide}), ours.image(w, kept[::2]))
    assert np.abs(ours.image(w, noises) - ours.image(w, kept[::2])).max() > 0.1


def test_of_a_training_file_the_average_is_taken() -> None:
    found = sources.convert({"generator": network(1), "g_running": network(0)})
    assert found.source == "StyleGAN, rosinality"
    expected = sources.convert(network(0)).params["synthesis"]["const"]
    np.testing.assert_array_equal(found.params["synthesis"]["const"], expected)


REFUSED = {
    "a part more": ({"generator.extra": np.ones(3)}, "used by no rule: generator.extra"),
    "another filter": (
        {"generator.progression.1.conv1.2.weight": np.ones((12, 1, 3, 3))},
        "another filter",
    ),
    "nothing learnt": (
        {f"generator.progression.{i}.noise1.weight_orig": np.zeros((1, 4, 1, 1)) for i in range(5)},
        "no layer of any resolution is trained",
    ),
    "no style": ({"style.1.linear.bias": None}, "no style.1.linear.bias"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_networks_are_refused(case: str) -> None:
    change, told = REFUSED[case]
    tree = {n: a for n, a in (network() | change).items() if a is not None}
    with pytest.raises(UnsafeFileError, match=told):
        sources.convert(tree)
