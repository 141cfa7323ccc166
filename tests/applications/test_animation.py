"""Motion of clips: carried to other codes, drawn anew, and refused where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxinv.applications.animation import Motion, animate, drawn_motion, learn_motion
from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.io.latent_files import load_latents, save_latents
from tests.edits.renderer import DIM, codes, directions, renderer
from tests.tiny import chain, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
TURN = np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])


def clip(frames: int = 12) -> np.ndarray:
    """Codes [T, d]: the hue and the place of the blob go round, the rest stays."""
    angles = np.arange(frames) * 0.5
    circle = np.stack([np.cos(angles) - 1, np.sin(angles)], 1)
    return (codes(1, 3) + circle @ directions(renderer())[[0, 5]]).astype(np.float32)


def test_another_code_moves_by_the_differences_of_the_clip() -> None:
    gen, params = renderer()
    seen, other = clip(), codes(1, 7)[0]
    motion = learn_motion(gen, params, {"w": seen})
    assert motion.components.shape == (2, gen.spec.rows, DIM)  # a circle has two
    assert motion.explained == pytest.approx(1)
    moved = animate(gen, params, {"w": other}, motion)
    expected = other + (seen - seen[0])
    np.testing.assert_allclose(moved["w+"], np.repeat(expected[:, None], 2, 1), atol=1e-5)
    np.testing.assert_array_equal(moved["w+"][0], np.repeat(other[None], 2, 0))
    half = animate(gen, params, {"w": other}, motion, amount=0.5)
    np.testing.assert_allclose(half["w+"] - other, (moved["w+"] - other) / 2, atol=1e-5)


def test_a_loop_comes_back_the_same_way() -> None:
    gen, params = renderer()
    motion = learn_motion(gen, params, {"w": clip(4)})
    found = animate(gen, params, {"w": codes(1)[0]}, motion, loop=True)["w+"]
    assert len(found) == 6
    np.testing.assert_array_equal(found[4:], found[[2, 1]])


def test_few_components_leave_out_the_shaking() -> None:
    gen, params = renderer()
    shaken = clip(40) + 0.05 * np.random.default_rng(0).normal(size=(40, DIM)).astype(np.float32)
    errors = []
    for count in (2, None):
        motion = learn_motion(gen, params, {"w": shaken}, components=count)
        moved = animate(gen, params, {"w": codes(1)[0]}, motion)["w+"][:, 0]
        errors.append(np.abs(np.diff(moved, axis=0) - np.diff(clip(40), axis=0)).mean())
    assert errors[0] < 0.6 * errors[1]


def test_only_chosen_rows_move_and_noise_stays() -> None:
    gen, params = style()
    w = np.random.default_rng(0).normal(size=(3, gen.spec.rows, gen.spec.w_dim)).astype(np.float32)
    motion = learn_motion(gen, params, {"w+": w}, rows=(4, 5))
    noise = tuple(np.ones((side, side), np.float32) for side in gen.spec.noise)
    found = animate(gen, params, {"w+": w[0], "noise": noise}, motion)
    np.testing.assert_array_equal(found["w+"][:, :4], np.repeat(w[:1, :4], 3, 0))
    np.testing.assert_allclose(found["w+"][:, 4:], w[:, 4:], atol=1e-5)
    assert [one.shape for one in found["noise"]] == [(3, side, side) for side in gen.spec.noise]


def test_generators_without_w_move_in_z() -> None:
    gen, params = chain()
    z = np.random.default_rng(0).normal(size=(3, gen.spec.z_dim)).astype(np.float32)
    motion = learn_motion(gen, params, {"z": z})
    assert motion.space == "z"
    np.testing.assert_allclose(animate(gen, params, {"z": z[0]}, motion)["z"], z, atol=1e-5)


def test_drawn_motion_goes_on_where_the_clip_has_a_law() -> None:
    path = [np.zeros(2)]
    for _ in range(30):  # a spiral inwards, without noise
        path.append((0.9 * path[-1] @ TURN) + np.array([1.0, 0.3]))
    motion = Motion("w+", np.eye(2).reshape(2, 1, 2), np.stack(path), 1.0)
    found = drawn_motion(motion, 31).path
    np.testing.assert_allclose(found, motion.path, atol=0.1)
    # It never grows, however long.
    wild = motion._replace(path=np.cumsum(np.cumsum(np.ones((20, 2)), 0), 0))
    assert np.isfinite(drawn_motion(wild, 2000).path).all()


def test_drawn_motion_is_as_strong_as_the_clip_and_follows_its_seed() -> None:
    draws, path = np.random.default_rng(0), [np.zeros(3)]
    for _ in range(400):
        path.append(0.8 * path[-1] + draws.normal(size=3) * [1.0, 0.5, 0.1])
    motion = Motion("w+", np.eye(3).reshape(3, 1, 3), np.stack(path), 1.0)
    one, other = drawn_motion(motion, 400, 1).path, drawn_motion(motion, 400, 2).path
    np.testing.assert_array_equal(one, drawn_motion(motion, 400, 1).path)
    assert np.abs(one - other).max() > 1
    np.testing.assert_allclose(one.std(0), motion.path.std(0), rtol=0.4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latents": {"w": codes(1)}}, "at least 2"),
        ({"latents": {"w": np.repeat(codes(1), 3, 0)}}, "frames that differ"),
        ({"components": 12}, "12 of 12 frames; allowed: at most 11"),
        ({"components": 0}, "components"),
        ({"rows": (2,)}, "some of 0 to 1"),
        ({"latents": {"w": np.ones((2, 3), np.float32)}}, "cannot draw"),
    ],
)
def test_clips_without_a_motion_are_refused(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"latents": {"w": clip()}} | change
    with pytest.raises(ValueError, match=words):
        learn_motion(*renderer(), **given)


def test_motion_of_another_generator_is_refused() -> None:
    motion = learn_motion(*renderer(), {"w": clip()})
    gen, params = style()
    with pytest.raises(ValueError, match=r"motion in w\+ of \[2, 8\]; allowed: w\+ of \[6, 8\]"):
        animate(gen, params, {"w": np.zeros(8, np.float32)}, motion)
    with pytest.raises(ValueError, match="3 or more"):
        drawn_motion(motion._replace(path=motion.path[:2]), 4)


def test_a_clip_moves_a_picture_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    Path("film/latents").mkdir(parents=True)
    for number in range(4):
        code = {"w+": draws.normal(size=(8, 128)).astype(np.float32)}
        save_latents(f"film/latents/{number}.safetensors", code, {"generator": "avatars"})
    save_latents("still.safetensors", {"w": np.zeros(128, np.float32)}, {"generator": "avatars"})
    words = ["animate", "still.safetensors", "--motion", "film", "--components", "2"]
    assert main([*words, "-o", "out"]) == DONE
    assert len(list(Path("out/images").iterdir())) == 4
    first = load_latents("out/latents/000.safetensors")[0]
    np.testing.assert_array_equal(first["w+"], 0)
    assert main([*words, "-o", "out.gif", "--frames", "6", "--loop"]) == DONE
    with Image.open("out.gif") as image:
        assert getattr(image, "n_frames", 1) == 10
    Path("film/latents/2.safetensors").write_bytes(b"torn")
    assert main([*words, "-o", "less", "--rows", "0-3"]) == DONE
    assert "warning: film/latents/2.safetensors" in capsys.readouterr().err
    assert len(list(Path("less/images").iterdir())) == 3
    save_latents("film/latents/2.safetensors", {"w": np.zeros(512, np.float32)}, {})
    assert main([*words, "-o", "other"]) == USAGE
    save_latents(
        "film/latents/2.safetensors", {"w": np.zeros(512, np.float32)}, {"generator": "ffhq"}
    )
    assert main([*words, "-o", "other"]) == USAGE
    assert "latents of generators avatars and ffhq" in capsys.readouterr().err
