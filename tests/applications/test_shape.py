"""GAN2Shape on an object whose depth is known, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.applications.shape import Plan, find_shape
from jaxinv.cli.console import USAGE
from jaxinv.cli.main import main
from jaxinv.nn.depth_maps import draw, ellipsoid
from jaxinv.runs.shapes import write_shape
from tests.applications.lit_object import DIM, SIDE, lit_object, true_depth
from tests.tiny import chain, tree

FRONT = {"w": np.zeros((1, DIM), np.float32)}


def likeness(depth: np.ndarray) -> float:
    """The correlation of a depth map with the truth, where the object is."""
    true = true_depth()
    on = true < 1.02
    return float(np.corrcoef(depth[on], true[on])[0, 1])


@pytest.mark.slow
def test_the_depth_of_a_lit_object_is_found(tmp_path: Path) -> None:
    """100 steps of two rounds gave .993; the ellipsoid at the start has .74."""
    gen, params = lit_object()
    plan = Plan(SIDE, stages=2, encoder_steps=100, shape_steps=100, samples=32)
    found = find_shape(gen, params, FRONT, plan=plan, report=lambda line: None)
    assert likeness(np.asarray(ellipsoid(SIDE))) < 0.8
    assert likeness(np.asarray(found.scene.depth)) > 0.97
    assert found.error < 0.02
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=-1), 1, rtol=1e-5)
    nearer = np.abs(found.projected - found.pseudo).mean((1, 2, 3))
    assert nearer.mean() < 0.15
    files = write_shape(tmp_path, "one", found)
    assert all((tmp_path / file).stat().st_size for file in files)
    np.testing.assert_array_equal(np.load(tmp_path / "depths/one.npy"), found.scene.depth)


@pytest.mark.slow
def test_turned_pictures_are_those_of_the_generator() -> None:
    """The scene that was found, turned by 12 degrees, is nearer the truth than a flat picture."""
    gen, params = lit_object()
    plan = Plan(SIDE, stages=2, encoder_steps=100, shape_steps=100, samples=32)
    found = find_shape(gen, params, FRONT, plan=plan, report=lambda line: None)
    yaw, factors = 0.2, np.zeros(DIM)
    factors[1] = yaw / 0.3
    w = jnp.asarray(np.linalg.inv(np.asarray(params["synthesis"]["factors"])).T @ factors)
    true = np.asarray(gen.synthesize(params, {"w": w.astype(jnp.float32)}))
    view = jnp.asarray(found.scene.view).at[1].add(yaw)
    ours, inside = draw(found.scene._replace(view=view), SIDE)
    flat = np.asarray(gen.synthesize(params, {"w": jnp.zeros(DIM)}))
    on = np.asarray(inside)
    # .57 of it was found: how deep the object is cannot be told from how far it turns.
    assert np.abs(np.asarray(ours) - true)[on].mean() < 0.7 * np.abs(flat - true)[on].mean()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stages": 0}, "stages"),
        ({"size": 64}, "at most 32"),
        ({"size": 8}, "size"),
        ({"samples": 4}, "samples"),
        ({"radius": 0.0}, "radius"),
        ({"rate": -1.0}, "rate"),
        ({"seed": -1}, "seed"),
        ({"batch": -2}, "batch"),
    ],
)
def test_plans_that_make_no_sense_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_shape(*lit_object(), FRONT, plan=Plan(SIDE)._replace(**change))


def test_latents_that_fit_not_are_refused() -> None:
    gen, params = lit_object()
    with pytest.raises(ValueError, match="2 samples; allowed: one"):
        find_shape(gen, params, {"w": np.zeros((2, DIM), np.float32)}, plan=Plan(SIDE))
    with pytest.raises(ValueError, match="allowed"):
        find_shape(gen, params, {"s": (np.zeros((1, DIM), np.float32),)}, plan=Plan(SIDE))
    with pytest.raises(ValueError, match="allowed"):
        find_shape(*chain(), {"w": np.zeros((1, 8), np.float32)}, plan=Plan(16))
    with pytest.raises(ValueError, match="draws clouds; allowed: one of pictures"):
        find_shape(*tree(), {"z": np.zeros((1, 8), np.float32)}, plan=Plan(16))


def test_the_verb_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shape", str(tmp_path), "-o", str(tmp_path / "out")]) == USAGE
    assert "holds no results" in capsys.readouterr().err
    assert main(["shape", "x.safetensors", "-o", "y", "--stages", "0"]) == USAGE
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_the_verb_writes_shapes_and_goes_on_after_a_bad_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import jaxinv
    from jaxinv.io.latent_files import save_latents
    from jaxinv.latents.sampling import sample_latents

    gen, params = jaxinv.load_generator("avatars")
    latents = sample_latents(gen, params, 1, seed=2)
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save_latents(good, {n: v[0] for n, v in latents.items()}, {"generator": "avatars"})
    bad.write_bytes(b"nothing")
    few = ["--size", "16", "--stages", "1", "--steps", "2", "--samples", "8", "--batch", "2"]
    out = tmp_path / "out"
    assert main(["shape", str(good), str(bad), "-o", str(out), *few]) == 3
    assert "1 shapes found, 1 failed" in capsys.readouterr().out
    lines = [json.loads(line) for line in (out / "shapes.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["ok", "skipped"]
    assert all((out / file).is_file() for file in lines[0]["files"])
    assert np.load(out / "depths/good.npy").shape == (16, 16)
