"""`--text`: runs that a text leads, by a small CLIP of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.edits.directions import load_direction
from jaxinv.edits.walks import load_walk
from jaxinv.io import checkpoints
from jaxinv.presets import PRESETS
from jaxinv.presets.text import SAID
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable, View
from tests.offline import go_offline, write_photos
from tests.small_clip import small_clip, speak

FEW = Preset(
    "few-words",
    (
        Stage(
            (Variable("w+"),),
            (Term("mse"), Term(**{**vars(SAID), "view": View()})),
            3,
            SolverSpec("adam", 0.1),
        ),
    ),
    "pixels and a text",
    "none",
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, and a cache with a small CLIP."""
    cache = go_offline(tmp_path, monkeypatch)
    monkeypatch.setitem(PRESETS, FEW.name, FEW)
    speak(monkeypatch)
    tree = small_clip()
    facts = {"format": "jaxinv", "schema": "1", "kind": "features", "architecture": "clip"}
    facts["content_sha256"] = checkpoints.content_sha256(tree)
    checkpoints.save(cache / "clip.safetensors", tree, facts)
    write_photos(tmp_path / "photos", ["a.png"])
    monkeypatch.chdir(tmp_path)
    return cache


WORDS = ["invert", "photos", "-g", "tiny", "--align", "none", "--no-scores"]


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_a_run_is_led_by_its_text() -> None:
    found = []
    texts = ("a face with glasses", "a dark wall", " a dark wall")
    for out, text in zip(("one", "two", "three"), texts, strict=True):
        assert main([*WORDS, "-p", "few-words", "--text", text, "-o", out]) == DONE
        assert json.loads(Path(out, "run.json").read_text())["request"]["text"] == text
        found.append(Path(out, "images", "a.png").read_bytes())
    assert found[0] != found[1]
    assert found[1] == found[2]


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_directions_and_mappers_of_texts_are_written_and_used() -> None:
    common = ["discover", "-g", "tiny", "--text", "a red face", "--samples", "9"]
    asked = [*common, "--neutral", "a face", "--probes", "1", "--threshold", "0", "--name", "red"]
    assert main([*asked, "styleclip", "-o", "red.safetensors"]) == DONE
    found = load_direction("red.safetensors")
    assert (found.space, found.name) == ("s", "red")
    assert "'a red face' from 'a face'" in found.source
    assert main([*common, "styleclip-mapper", "--steps", "2", "-o", "walk.safetensors"]) == DONE
    assert load_walk("walk.safetensors").kind == "mapper"


@pytest.mark.usefixtures("place")
def test_what_is_no_text_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lines.txt").write_text("a photo\n")
    said = ["discover", "styleclip", "-g", "tiny", "-o", "a.safetensors"]
    pixels = [*WORDS, "-o", "out", "-p", "pixels"]
    few = [*WORDS, "-o", "out", "-p", "few-words"]
    for words, message in (
        (few, "--text none; preset 'few-words' takes some words"),
        ([*few, "--text", " "], "--text is ' '; allowed: some words"),
        ([*pixels, "--text", "a face"], "--text 'a face'; preset 'pixels' takes none"),
        ([*few, "--named-image", "text=photos"], "takes none"),
        (said, "text for method 'styleclip': none"),
        ([*said, "--text", ""], "allowed: some words"),
        ([*said, "--neutral", "a face"], "go with --text"),
        ([*said, "--text", "a", "--neutral", "a"], "allowed: different words"),
        ([*said, "--text", "a", "--neutral", "b", "--templates", "lines.txt"], "{} once"),
    ):
        assert main(words) == USAGE, words
        error = capsys.readouterr().err.strip()
        assert message in error
        assert len(error.splitlines()) == 1


def test_a_clip_that_is_missing_is_named_first(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "clip.safetensors").unlink()
    said = ["discover", "styleclip", "-g", "tiny", "-o", "a.safetensors", "--neutral", "a face"]
    for words in (said, [*WORDS, "-o", "out", "-p", "few-words"]):
        assert main([*words, "--text", "a hat"]) == USAGE
        error = capsys.readouterr().err.strip()
        assert "net 'clip' is missing: run `jaxinv convert FILE --name clip`" in error
        assert len(error.splitlines()) == 1
