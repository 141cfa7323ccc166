"""Videos: what is smoothed in time, frames without a face, and a whole run on a small generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from jaxinv.applications.video import border_mask, smoothed, smoothed_landmarks
from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.io.animations import encode_animation
from jaxinv.io.files import BadFile
from jaxinv.io.latent_files import load_latents
from jaxinv.io.videos import iter_frames, read_rate
from jaxinv.runs import video
from jaxinv.runs.video import find_cut
from tests.edited import make_place


def landmarks(count: int) -> np.ndarray:
    """A face that moves evenly to the right and grows."""
    shape = np.random.default_rng(0).normal(size=(68, 2)) * 20
    return np.stack([shape * (1 + 0.01 * t) + [100 + 3 * t, 80] for t in range(count)])


def test_even_motion_is_not_changed_but_at_its_ends() -> None:
    given = landmarks(30)
    found = smoothed_landmarks(given)
    np.testing.assert_allclose(found[12:18], given[12:18], atol=1e-6)


def test_trembling_is_smoothed_away_and_gaps_are_filled() -> None:
    given = landmarks(40)
    shaken = given + np.random.default_rng(1).normal(size=given.shape)
    shaken[10:14] = np.nan
    found = smoothed_landmarks(shaken)
    middle = slice(14, 26)
    before, after = (np.square(few[middle] - given[middle]).mean() for few in (shaken, found))
    assert after < 0.3 * before
    assert np.abs(found[10:14] - given[10:14]).max() < 4
    edges = smoothed_landmarks(np.where(np.arange(40)[:, None, None] < 5, np.nan, given), 0, 0)
    np.testing.assert_array_equal(edges[:5], np.repeat(given[5:6], 5, axis=0))


def test_no_smoothing_is_none() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(smoothed(values, 0.0), values)
    constant = np.ones((6, 2, 4))
    np.testing.assert_allclose(smoothed(constant, 2.0), constant)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.full((3, 68, 2), np.nan), "no face in 3 frames"),
        (np.zeros((3, 68)), r"allowed: \[T, n, 2\]"),
    ],
)
def test_landmarks_that_cannot_be_smoothed_are_refused(given: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        smoothed_landmarks(given)
    with pytest.raises(ValueError, match="centre_sigma"):
        smoothed_landmarks(landmarks(3), -1.0)


def test_the_border_is_what_lies_near_the_edges() -> None:
    mask = border_mask(20, 0.1)
    assert mask.sum() == 20 * 20 - 16 * 16
    assert mask[2:-2, 2:-2].sum() == 0


@pytest.mark.parametrize("kind", ["gif", "webp", "mp4"])
def test_frames_come_back_as_they_were_written(tmp_path: Path, kind: str) -> None:
    if kind == "mp4":
        pytest.importorskip("av")
    frames = [np.full((32, 48, 3), 20 * t, np.uint8) for t in range(6)]
    place = tmp_path / f"clip.{kind}"
    place.write_bytes(encode_animation(frames, kind, seconds=0.6))
    found = list(iter_frames(place))
    assert len(found) == 6
    for ours, theirs in zip(found, frames, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs).max() <= 12
    assert read_rate(place) == pytest.approx(10, rel=0.05)


def test_files_that_are_no_videos_are_said_to_be(tmp_path: Path) -> None:
    pytest.importorskip("av")
    for name in ("clip.gif", "clip.mp4"):
        place = tmp_path / name
        place.write_bytes(b"no video at all")
        with pytest.raises(BadFile, match="no video"):
            list(iter_frames(place))
        with pytest.raises(BadFile, match="no video"):
            read_rate(place)


def test_a_frame_without_a_face_is_cut_as_those_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [*landmarks(7)]
    given[3] = None
    queue = iter(given)
    monkeypatch.setattr(video, "find_face", lambda frame: (next(queue), ()))
    said: list[str] = []
    frames = [np.zeros((200, 200, 3), np.uint8)] * 7
    cut = find_cut(frames, faces=True, say=said.append)
    assert cut.faces.tolist() == [True] * 3 + [False] + [True] * 3
    assert any("no face in frames 3" in line for line in said)
    centres = cut.quads.mean(1)[:, 0]
    assert np.all(np.diff(centres) > 0)
    square = find_cut(frames, faces=False, say=said.append)
    np.testing.assert_array_equal(square.quads[0], [[0, 0], [0, 200], [200, 200], [200, 0]])


@pytest.mark.slow
def test_a_small_video_is_inverted_and_written_again(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_place(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)
    frames = [np.full((24, 32, 3), 10 * t, np.uint8) for t in range(3)]
    Path("clip.gif").write_bytes(encode_animation(frames, "gif", seconds=0.3))
    verb = ["video", "clip.gif", "-o", "film", "--kind", "gif", "-p", "quick", "--steps", "10"]
    assert main([*verb, "--limit", "2", "-g", "tiny", "--size", "16"]) == DONE, capsys.readouterr()
    for name in ("inverted.gif", "images/00001.png", "latents/00001.safetensors"):
        assert Path("film", name).is_file()
    latents, facts = load_latents("film/latents/00000.safetensors")
    assert "weights" in latents
    assert facts["verb"] == "video"
    with Image.open("film/inverted.gif") as image:
        assert image.size == (32, 24)
        assert len(list(ImageSequence.Iterator(image))) == 2
    assert main([*verb, "-d", "age"]) == USAGE
    assert "0 amounts for 1 directions" in capsys.readouterr().err
