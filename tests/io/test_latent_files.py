"""Latents on disk: round trips of every space, the 18-row exchange format, refused files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.io import checkpoints
from jaxinv.io.latent_files import LAYOUT, fit_latents, load_latents, save_latents, save_npz
from jaxinv.models.rendering import render
from jaxinv.models.zoo import ZOO
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Latents
from tests.tiny import LINEAR, linear


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


SAMPLES: dict[str, Latents] = {
    "z": {"z": normal(0, 7)},
    "w": {"w": normal(0, 6)},
    "w+ and noise": {"w+": normal(0, 3, 6), "noise": (normal(1, 16, 16),)},
    "s": {"s": tuple(normal(i, 6) for i in range(3))},
    "many": {"w": normal(0, 6), "noise": tuple(normal(i, 4, 4) + i for i in range(12))},
}


@pytest.mark.parametrize("name", SAMPLES)
def test_saved_latents_come_back(name: str, tmp_path: Path) -> None:
    given = {"seed": "3", "kind": "something else"}
    save_latents(tmp_path / "a.safetensors", SAMPLES[name], given)
    latents, metadata = load_latents(str(tmp_path / "a.safetensors"))
    assert jax.tree.structure(latents) == jax.tree.structure(SAMPLES[name])
    jax.tree.map(np.testing.assert_array_equal, latents, SAMPLES[name])
    assert metadata == {"seed": "3", "format": "jaxinv", "schema": "1", "kind": "latents"}


def test_a_saved_result_redraws_the_same_picture(tmp_path: Path) -> None:
    gen, params = linear()
    batch = jax.tree.map(lambda leaf: leaf[None], SAMPLES["w+ and noise"])
    save_latents(tmp_path / "a.safetensors", SAMPLES["w+ and noise"], {})
    again = jax.tree.map(lambda leaf: leaf[None], load_latents(tmp_path / "a.safetensors")[0])
    np.testing.assert_array_equal(render(gen, params, again), render(gen, params, batch))


@pytest.mark.parametrize(
    ("tree", "metadata", "told"),
    [
        ({"w": normal(0, 6)}, {}, "holds 'nothing known'; allowed: 'latents'"),
        ({"w": normal(0, 6)}, {"kind": "generator"}, "holds 'generator'"),
        ({"noise": normal(0, 4, 4)}, {"kind": "latents"}, "'noise' is not laid out"),
        ({"w": {"00": normal(0, 6)}}, {"kind": "latents"}, "'w' is not laid out"),
    ],
)
def test_other_checkpoints_are_refused(
    tree: dict[str, Any], metadata: dict[str, str], told: str, tmp_path: Path
) -> None:
    checkpoints.save(tmp_path / "a.safetensors", tree, metadata)
    with pytest.raises(ValueError, match=told):
        load_latents(tmp_path / "a.safetensors")


# --- the exchange format --------------------------------------------------------------------------


def ffhq_spec() -> GeneratorSpec:
    facts: dict[str, Any] = dict(ZOO["ffhq"].outputs[0].spec)
    return GeneratorSpec(**facts)


def test_npz_has_the_array_that_others_read(tmp_path: Path) -> None:
    save_npz(tmp_path / "projected_w.npz", LINEAR, normal(0, 3, 6).astype(np.float64))
    with np.load(tmp_path / "projected_w.npz") as file:
        assert (file.files, file["w"].shape, file["w"].dtype) == (["w"], (1, 3, 6), np.float32)
    latents, metadata = load_latents(tmp_path / "projected_w.npz")
    np.testing.assert_array_equal(latents["w+"], normal(0, 3, 6))
    assert metadata == {}


def test_rows_of_another_layout_are_means_and_spread_again(tmp_path: Path) -> None:
    spec, rows = ffhq_spec(), normal(0, 23, 512)
    save_npz(tmp_path / "a.npz", spec, rows)
    latents, _ = load_latents(tmp_path / "a.npz")
    assert latents["w+"].shape == (LAYOUT, 512)
    np.testing.assert_allclose(latents["w+"][1], (rows[1] + rows[2]) / 2, atol=1e-6)
    np.testing.assert_array_equal(latents["w+"][15:], np.tile(rows[22], (3, 1)))
    spread = fit_latents(spec, latents)["w+"]
    assert spread.shape == (23, 512)
    np.testing.assert_array_equal(spread[[1, 2, 22]], latents["w+"][[1, 1, 15]])
    save_npz(tmp_path / "b.npz", spec, spread)
    np.testing.assert_array_equal(load_latents(tmp_path / "b.npz")[0]["w+"], latents["w+"])


@pytest.mark.parametrize("rows", [8, 14, 18])
def test_a_stylegan2_of_any_size_is_written_in_its_own_rows(rows: int, tmp_path: Path) -> None:
    """The code of NVlabs refuses a `projected_w.npz` of another number of rows."""
    spec = replace(LINEAR, rows=rows, styles=(6,) * rows, layout18=tuple(range(rows)))
    save_npz(tmp_path / "w.npz", spec, normal(0, rows, 6))
    np.testing.assert_array_equal(load_latents(tmp_path / "w.npz")[0]["w+"], normal(0, rows, 6))


W_PLUS = normal(0, 3, 6)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.bin"])  # the bytes say what it is
@pytest.mark.parametrize(
    ("arrays", "space", "rows"),
    [
        ({"w": W_PLUS[None]}, "w+", W_PLUS),
        ({"w": W_PLUS}, "w+", W_PLUS),
        ({"w": W_PLUS.astype(np.float64)}, "w+", W_PLUS),
        ({"v": W_PLUS[None, None]}, "w+", W_PLUS),
        ({"latents": W_PLUS[None], "latent_avg": W_PLUS[0]}, "w+", W_PLUS),
        ({"w": W_PLUS[None, :1]}, "w", W_PLUS[0]),
        ({"w": W_PLUS[0]}, "w", W_PLUS[0]),
        ({"z": W_PLUS[:1]}, "z", W_PLUS[0]),
    ],
)
def test_codes_of_other_tools_are_told_by_their_shape(
    arrays: dict[str, np.ndarray], space: str, rows: np.ndarray, name: str, tmp_path: Path
) -> None:
    with (tmp_path / name).open("wb") as file:
        if name == "a.npz":
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        else:
            np.save(file, next(iter(arrays.values())))
    latents, metadata = load_latents(tmp_path / name)
    found = "w" if space == "z" and name != "a.npz" else space  # an array alone has no name
    assert (list(latents), metadata) == ([found], {})
    np.testing.assert_allclose(latents[found], rows, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"a": normal(0, 3, 6), "b": normal(0, 6)}, r"holds 'a' \[3, 6\], 'b' \[6\]; allowed: one"),
        ({"w": normal(0, 2, 3, 6)}, "holds 2 codes; allowed: 1"),
        ({"w": normal(0, 2, 2, 3, 6)}, r"w has shape \[2, 2, 3, 6\] .*allowed: \[w_dim\], \[rows"),
        ({"w": np.arange(6)}, "type int64"),
        ({"w": normal(0, 0, 6)}, "shape .0, 6. and"),
        ({"w": np.full((3, 6), np.nan, np.float32)}, "not finite"),
        ({"w": np.array([{"a": 1}])}, "not a readable file of NumPy arrays"),
    ],
)
def test_other_npz_files_are_refused(
    arrays: dict[str, np.ndarray], told: str, tmp_path: Path
) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=told):
        load_latents(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("latents", "told"),
    [
        ({"w": normal(0, 5)}, r"'linear' cannot draw 'w' of shape \(5,\); allowed: \(6,\)"),
        ({"w+": normal(0, LAYOUT, 6)}, r"'w\+' of shape \(18, 6\); allowed: \(3, 6\)"),
        ({"s": (normal(0, 6),)}, r"'s' of shape \(\(6,\),\); allowed: \(\(6,\), \(6,\), \(6,\)\)"),
        ({"p": normal(0, 5)}, r"'p' .* allowed: only z, z\+, w, w\+, s, noise"),
    ],
)
def test_latents_of_another_generator_are_refused(latents: Latents, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fit_latents(LINEAR, latents)


def test_18_own_rows_are_left_alone() -> None:
    spec = replace(LINEAR, rows=LAYOUT, styles=(), layout18=tuple(reversed(range(LAYOUT))))
    rows = normal(0, LAYOUT, 6)
    assert fit_latents(spec, {"w+": rows})["w+"] is rows
