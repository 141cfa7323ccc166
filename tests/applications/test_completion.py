"""ShapeInversion on made tables of which half is hidden, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.applications.cloud_training import learn_clouds
from jaxinv.applications.completion import (
    as_picture,
    complete,
    complete_variously,
    draw_clouds,
)
from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.edits.discovery.training import Training
from jaxinv.io.images import read_upright
from jaxinv.io.point_clouds import encode_ply, read_cloud
from jaxinv.metrics.clouds import chamfer
from jaxinv.models.loading import load_generator
from jaxinv.specs import InitSpec, Preset, Stage, Term, Variable
from jaxinv.specs.serialization import to_json
from tests.applications.made_clouds import half, learned, tables
from tests.offline import go_offline, save_weights
from tests.tiny import TREE, style, tree

FEW = Preset(
    "few",
    (Stage((Variable("z"), Variable("weights")), (Term("chamfer", neighbours=5),), 6),),
    "from the mean of z",
    "of this test",
)
QUIET = Training(3, 1e-3, report=lambda line: None)


def a_cloud(seed: int = 1) -> np.ndarray:
    """One that the tiny tree draws, scaled into its frame."""
    z = np.random.default_rng(seed).standard_normal((1, TREE.z_dim)).astype(np.float32)
    return np.clip(draw_clouds(*tree(), {"z": 0.3 * z})[0], -1, 1)


@pytest.mark.slow
def test_hidden_halves_are_completed() -> None:
    """Four tables that were not learned: .21 of the distance that what was seen of them has."""
    gen, params = learned()
    whole = tables(4, 9)
    parts = [half(one) for one in whole]
    found = complete(gen, params, parts)
    ours, seen = (
        [chamfer(a, b) for a, b in zip(x, whole, strict=True)] for x in (found.clouds, parts)
    )
    assert np.mean(ours) < 0.35 * np.mean(seen)
    assert all(a < b for a, b in zip(ours, seen, strict=True))


def test_several_completions_differ() -> None:
    stage = Stage((Variable("z", init=InitSpec("prior")),), (Term("chamfer", neighbours=5),), 3)
    drawn = Preset("drawn", (stage,), "from draws of z", "of this test")
    found = complete_variously(*tree(), a_cloud()[:40], 2, preset=drawn)
    assert found.clouds.shape == (2, 120, 3)
    assert chamfer(*found.clouds) > 1e-3
    assert found.latents["z"].shape == (2, TREE.z_dim)


def test_the_order_of_points_does_not_matter() -> None:
    part = a_cloud()[:40]
    mixed = np.random.default_rng(0).permutation(part)
    found = [complete(*tree(), [p], preset=FEW) for p in (part, mixed)]
    np.testing.assert_allclose(found[0].clouds, found[1].clouds, atol=1e-3)
    np.testing.assert_allclose(found[0].distances, found[1].distances, atol=1e-4)
    assert "weights" in found[0].latents


def test_a_cloud_is_a_picture_with_a_mask() -> None:
    picture, mask = as_picture(a_cloud()[:5], 11)
    assert mask.sum() == 5
    np.testing.assert_allclose(picture.reshape(-1, 3)[:5], a_cloud()[:5], rtol=1e-6)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (np.zeros((122, 3)), "122 points; allowed: at most 121"),
        (np.full((3, 3), 1.5), "1.5 away .* allowed: -1 to 1"),
        (np.zeros((3, 2)), r"allowed: \[n, 3\]"),
        (np.zeros((0, 3)), r"allowed: \[n, 3\]"),
    ],
)
def test_parts_that_do_not_fit_are_refused(part: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        complete(*tree(), [part])


def test_generators_of_pictures_and_no_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="draws pictures; allowed: one of clouds"):
        complete(*style(), [a_cloud()])
    with pytest.raises(ValueError, match="no parts"):
        complete(*tree(), [])
    with pytest.raises(ValueError, match="restarts"):
        complete_variously(*tree(), a_cloud(), 3, restarts=2)


def test_a_generator_is_learned_from_files_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go_offline(tmp_path, monkeypatch)
    files = []
    for number, cloud in enumerate(tables(3)):
        files.append(str(tmp_path / f"{number}.ply"))
        Path(files[-1]).write_bytes(encode_ply(cloud))
    (tmp_path / "far.xyz").write_text("0 0 0\n0 0 7\n")
    bad = str(tmp_path / "far.xyz")
    own = f"own-{tmp_path.name}"
    learn = ["learn-clouds", "--name", own, "--points", "64", "--steps", "2"]
    assert main([*learn, *files, bad]) == SOME_FAILED
    said = capsys.readouterr()
    assert "of 3 clouds" in said.out
    assert "7 away; allowed: -1 to 1" in said.err
    gen, params = load_generator(own)
    assert draw_clouds(gen, params, {"z": np.zeros((1, 8), np.float32)}).shape == (1, 64, 3)
    assert main(["sample", own, "-n", "2", "-o", str(tmp_path / "grid.png")]) == DONE
    grid, _ = read_upright(tmp_path / "grid.png")
    assert grid.shape == (256, 512, 3)
    assert 0 < (grid > 60).mean() < 0.2  # dots
    assert main([*learn, *files]) == USAGE
    assert "allowed: another --name, or --overwrite" in capsys.readouterr().err
    assert main(["learn-clouds", "--name", "other", bad]) == USAGE


@pytest.mark.parametrize(
    ("clouds", "words"),
    [
        (np.zeros((2, 100, 3)), "a multiple of 32"),
        (np.zeros((2, 32, 3)), "at least 50"),
        (np.full((2, 64, 3), 2.0), r"in \[-1, 1\]"),
        (np.zeros((64, 3)), r"allowed: \[K, n, 3\]"),
    ],
)
def test_clouds_that_cannot_be_learned_are_refused(clouds: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        learn_clouds(clouds, "x", training=QUIET)


def test_the_verb_completes_files_and_names_the_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = go_offline(tmp_path, monkeypatch)
    gen, params = tree()
    spec = asdict(gen.spec)
    save_weights(
        cache / "tree.safetensors", {"synthesis": params["synthesis"]}, "generator", spec=spec
    )
    (tmp_path / "part.ply").write_bytes(encode_ply(a_cloud()[:50]))
    (tmp_path / "bad.ply").write_bytes(b"nothing")
    files = [str(tmp_path / name) for name in ("part.ply", "bad.ply")]
    out = tmp_path / "out"
    (tmp_path / "few.json").write_text(to_json(FEW), "utf-8")
    common = ["-g", "tree", "-p", str(tmp_path / "few.json")]
    assert main(["complete", *files, "-o", str(out), *common]) == SOME_FAILED
    said = capsys.readouterr()
    assert "1 clouds completed, 1 failed" in said.out
    assert "no PLY file" in said.err
    lines = [json.loads(line) for line in (out / "clouds.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["ok", "failed"]
    assert read_cloud(out / "clouds/part.ply").shape == (120, 3)
    assert (out / "pictures/part.png").is_file()
    assert main(["complete", *files, "-o", str(tmp_path / "x"), "-g", "tiny"]) == USAGE
    assert "draws pictures; allowed: one of clouds" in capsys.readouterr().err
