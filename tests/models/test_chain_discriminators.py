"""The discriminator of heykeetae's SAGAN, against its definition in numpy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models import loading
from jaxinv.models.loading import load_generator
from tests.torchlike import state_dict, zip_file
from tests.weights import SHARED
from weights_convert import UnsafeFileError, convert, sources

Arrays = dict[str, np.ndarray]
WIDTHS = (3, 8, 16, 32, 64)


def network() -> Arrays:
    """Random arrays under the names of D.pth, for images of 64 px."""
    draws = np.random.default_rng(4)
    found: Arrays = {}

    def normal(name: str, *sizes: int, scale: float = 1.0) -> None:
        found[name] = (scale * draws.standard_normal(sizes)).astype(np.float32)

    for i, (inside, outside) in enumerate(pairwise(WIDTHS), 1):
        normal(f"l{i}.0.module.weight_bar", outside, inside, 4, 4)
        normal(f"l{i}.0.module.weight_u", outside)
        normal(f"l{i}.0.module.weight_v", inside * 16)
        normal(f"l{i}.0.module.bias", outside, scale=0.1)
    for i, width in ((1, WIDTHS[3]), (2, WIDTHS[4])):
        for part, count in (("query", width // 8), ("key", width // 8), ("value", width)):
            normal(f"attn{i}.{part}_conv.weight", count, width, 1, 1, scale=0.5)
            normal(f"attn{i}.{part}_conv.bias", count, scale=0.2)
        found[f"attn{i}.gamma"] = np.full(1, 0.6, np.float32)
    normal("last.0.weight", 1, WIDTHS[4], 4, 4)
    normal("last.0.bias", 1)
    return found


# --- what it means, on one image [channels, h, w] -------------------------------------------------


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, pad: int) -> np.ndarray:
    wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    side = (x.shape[1] + 2 * pad - 4) // stride + 1
    found = np.zeros((len(weight), side, side))
    for row, column in np.ndindex(side, side):
        top, left = row * stride, column * stride
        patch = wide[:, top : top + 4, left : left + 4]
        found[:, row, column] = np.einsum("ihw,oihw->o", patch, weight)
    return found + bias[:, None, None]


def divided(arrays: Arrays, name: str) -> np.ndarray:
    """By the norm after one step of the power iteration."""
    weight = arrays[f"{name}.weight_bar"].astype(np.float64)
    matrix = weight.reshape(len(weight), -1)
    v = matrix.T @ arrays[f"{name}.weight_u"]
    v /= np.linalg.norm(v)
    u = matrix @ v
    return weight / (u / np.linalg.norm(u) @ matrix @ v)


def attended(x: np.ndarray, arrays: Arrays, name: str) -> tuple[np.ndarray, np.ndarray]:
    flat = x.reshape(len(x), -1)
    query, key, value = (
        arrays[f"{name}.{part}_conv.weight"][:, :, 0, 0] @ flat
        + arrays[f"{name}.{part}_conv.bias"][:, None]
        for part in ("query", "key", "value")
    )
    looks = query.T @ key
    looks = np.exp(looks - looks.max(1, keepdims=True))
    looks /= looks.sum(1, keepdims=True)
    return x + arrays[f"{name}.gamma"] * (value @ looks.T).reshape(x.shape), looks


def steps(arrays: Arrays, image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Features [channels, h, w] and attention maps after every layer; the last is the score."""
    x, found = image.transpose(2, 0, 1), []
    for i in range(1, 5):
        name = f"l{i}.0.module"
        x = conv(x, divided(arrays, name), arrays[f"{name}.bias"], 2, 1)
        x = np.where(x > 0, x, 0.1 * x)
        found.append((x, None))
        if i > 2:
            x, looks = attended(x, arrays, f"attn{i - 2}")
            found.append((x, looks))
    last = conv(x, arrays["last.0.weight"], arrays["last.0.bias"], 1, 0)
    return [*found, (last, None)]


def close(ours: Any, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(np.abs(theirs).max(), 1.0))


def test_scores_features_and_maps_are_the_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SHARED / "fixtures" / "sagan-heykeetae" / "G.pth"
    if not file.is_file():
        pytest.skip("needs shared/fixtures (set JAXINV_SHARED)")
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    arrays, own = network(), tmp_path / "D.pth"
    own.write_bytes(zip_file(state_dict(arrays), arrays))
    convert(file, name="sagan", discriminator=own)
    gen, params = load_generator("sagan")
    assert gen.discriminator is not None
    image = np.random.default_rng(0).uniform(-1, 1, (64, 64, 3)).astype(np.float32)
    wanted = steps(arrays, image)
    close(gen.discriminator.scores(params, jnp.asarray(image)[None]), wanted[-1][0].ravel())
    found = gen.discriminator.features(params, jnp.asarray(image))
    for state, (x, looks) in zip(found.values(), wanted, strict=True):
        close(state["x"], x.transpose(1, 2, 0))
        assert ("attention" in state) == (looks is not None)
        if looks is not None:
            close(state["attention"], looks)
    drawn = gen.features(params, {"z": jnp.zeros(gen.spec.z_dim)})
    maps = [state["attention"].shape for state in drawn.values() if "attention" in state]
    assert maps == [(256, 256), (1024, 1024)]


def test_weights_of_keras_alone_are_refused() -> None:
    plain = sources.Converted({}, {"resolution": 64, "facts": []}, "some")
    name = "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    with pytest.raises(UnsafeFileError, match="a checkpoint of Keras' weights alone: strides"):
        sources.attach(plain, {name: np.ones((5, 5, 3, 8), np.float32)})
