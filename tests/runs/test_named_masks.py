"""Named masks from files: `--named-mask NAME=PLACE`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io import images
from jaxinv.io.latent_files import load_latents
from jaxinv.specs import MaskSpec, Term, Variable
from jaxinv.specs.serialization import from_json, to_json
from tests.engine import one, preset
from tests.offline import go_offline, read_results, write_photos

SIDE = 32
LEFT = preset(
    one(Variable("w"), terms=(Term("mse", mask="left"),), steps=12), masks=(MaskSpec("left"),)
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def write_mask(path: Path, side: int = SIDE) -> Path:
    """White on the left."""
    mask = np.zeros((side, side), np.uint8)
    mask[:, : side // 2] = 255
    path.write_bytes(images.encode_png(mask))
    return path


def invert(tmp_path: Path, *arguments: object) -> int:
    method = tmp_path / "left.json"
    method.write_text(to_json(LEFT))
    words = ["invert", tmp_path / "in", "-o", tmp_path / "out", "-g", "tiny", "-p", method]
    return main([str(word) for word in (*words, *arguments)])


def test_what_a_mask_file_leaves_black_does_not_count(tmp_path: Path) -> None:
    (first,) = (write_photos(tmp_path / "in", ["a.png"]) / "a.png",)
    pixels = (images.read_photo(first).pixels * 127.5 + 127.5).round().astype(np.uint8)
    pixels[:, SIDE // 2 :] = 200
    (tmp_path / "in" / "b.png").write_bytes(images.encode_png(pixels))
    mask = write_mask(tmp_path / "m.png")
    assert invert(tmp_path, "--named-mask", f"left={mask}") == DONE
    ours, theirs = (
        load_latents(tmp_path / "out" / "latents" / f"{name}.safetensors")[0]["w"] for name in "ab"
    )
    # Keys come from the whole picture, so the starts differ, not where they lead to.
    a, b = (line["loss"] for line in read_results(tmp_path / "out"))
    assert ours.shape == theirs.shape
    assert a == pytest.approx(b, rel=1e-3)


def test_a_mask_of_another_size_costs_its_picture_alone(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", ["a.png", "b.png"])
    places = tmp_path / "masks"
    places.mkdir()
    write_mask(places / "a.png")
    write_mask(places / "b.png", 16)
    assert invert(tmp_path, "--named-mask", f"left={places}") == SOME_FAILED
    found = {line["name"]: line for line in read_results(tmp_path / "out")}
    assert found["a"]["status"] == "ok"
    assert "has 16x16 px; allowed: 32x32" in found["b"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--named-mask of none; preset 'p' takes left"),
        (("--named-mask", "left"), "--named-mask 'left'; allowed: NAME=FILE or NAME=FOLDER"),
        (("--named-mask", "left=nowhere.png"), "allowed: NAME=FILE or NAME=FOLDER"),
        (("--named-mask", "right=."), "--named-mask of right; preset 'p' takes left"),
    ],
)
def test_masks_that_are_not_asked_for_or_missing_are_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    write_photos(tmp_path / "in", ["a.png"])
    assert invert(tmp_path, *arguments) == USAGE
    assert words in capsys.readouterr().err


def test_masks_and_moves_are_data() -> None:
    assert from_json(to_json(LEFT)) == LEFT


@pytest.mark.parametrize(
    ("level", "term", "words"),
    [
        (0, "left", "mask 'left' is 0 everywhere; allowed: some above 0"),
        (255, "not left", "mask 'left' is 1 everywhere; allowed: some pixels below 1"),
    ],
)
def test_a_mask_of_all_or_nothing_costs_its_picture_alone(
    tmp_path: Path, level: int, term: str, words: str
) -> None:
    write_photos(tmp_path / "in", ["a.png", "b.png"])
    places = tmp_path / "masks"
    places.mkdir()
    write_mask(places / "a.png")
    flat = np.full((SIDE, SIDE), level, np.uint8)
    (places / "b.png").write_bytes(images.encode_png(flat))
    method = tmp_path / "either.json"
    stage = one(Variable("w"), terms=(Term("mse", mask=term),), steps=4)
    method.write_text(to_json(preset(stage, masks=(MaskSpec("left"),))))
    given = ("-g", "tiny", "-p", str(method), "--named-mask", f"left={places}")
    words_given = ["invert", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *given]
    assert main(words_given) == SOME_FAILED
    found = {line["name"]: line for line in read_results(tmp_path / "out")}
    assert found["a"]["status"] == "ok"
    assert words in found["b"]["reason"]
