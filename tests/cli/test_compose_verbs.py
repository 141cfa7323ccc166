"""`jaxinv diffuse` and `swap`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io import images
from jaxinv.io.checkpoints import PACKAGED
from tests.offline import read_results

SIDE = 64  # of the packaged pictures


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    files = sorted((PACKAGED / "avatars").glob("*.png"))
    for name, file in zip("abp", files, strict=False):
        (Path("in" if name != "p" else ".") / f"{name}.png").write_bytes(file.read_bytes())
    Path("masks").mkdir()
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:32] = 255
    Path("masks/a.png").write_bytes(images.encode_png(mask))
    Path("masks/b.png").write_bytes(images.encode_png(np.full_like(mask, 255)))
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_a_part_of_another_picture_grows_into_pictures() -> None:
    words = ["diffuse", "in", "-g", "avatars", "--paste", "p.png", "--mask", "masks"]
    # The mask of b covers all of it: that picture alone is left out.
    assert main([*words, "-o", "out", "--no-scores", "--steps", "30"]) == SOME_FAILED
    first, second = read_results(Path("out"))
    assert first["status"] == "ok"
    assert "mask 'inside' is 1 everywhere" in second["reason"]
    drawn, pasted, around = (
        images.read_photo(file, size=32).pixels
        for file in ("out/images/a.png", "p.png", "in/a.png")
    )
    upper = slice(2, 14)
    ours = np.square(drawn[upper] - pasted[upper]).mean()
    assert ours < np.square(drawn[upper] - around[upper]).mean()


@pytest.mark.usefixtures("place")
def test_what_cannot_be_composed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["diffuse", "in", "-g", "avatars", "-o", "out", "--mask", "masks", "--paste"]
    assert main([*words, "none.png"]) == USAGE
    assert "none.png" in capsys.readouterr().err
    assert main([*words, "p.png", "--harmonize", "-p", "w+"]) == USAGE
    assert "--harmonize with --preset w+; allowed: one of them" in capsys.readouterr().err
    assert main(["swap", "in", "-g", "avatars", "-o", "out", "--identity", "none.png"]) == USAGE
    assert "none.png" in capsys.readouterr().err
    assert not Path("out").exists()
    Path("text.png").write_text("hello")
    words = ["swap", "in", "-g", "avatars", "-o", "out", "--identity", "text.png", "--no-scores"]
    assert main(words) == SOME_FAILED
    assert all(
        "picture text.png: not an image" in line["reason"] for line in read_results(Path("out"))
    )


def test_the_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("semantic-diffusion", "harmonize", "face-swap", "megafs"):
        assert main(["presets", name]) == DONE
        assert name in capsys.readouterr().out
