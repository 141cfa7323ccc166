"""`jaxinv drag`, and `jaxinv edit --recipe`: what they write, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.edits.kept import kept_direction
from jaxinv.edits.ways import Way
from jaxinv.io.latent_files import load_latents
from jaxinv.models.rendering import render_uint8
from jaxinv.sessions.recipes import to_json
from jaxinv.sessions.session import Session
from tests.edited import GEN, PARAMS, SIDE, lines, make_place, pixels

DRAG = ["drag", "run", "-o", "OUT", "--from", "10,12", "--to", "14,12", "--steps", "3"]


@pytest.fixture
def place(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    return make_place(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)


@pytest.mark.usefixtures("place")
def test_a_drag_gives_pictures_latents_and_its_numbers() -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, :20] = 255
    Image.fromarray(mask).save("mask.png")
    assert main([*DRAG, "--mask", "mask.png", "--animate", "gif", "--seconds", "1"]) == DONE
    for name, line in zip("ab", lines(), strict=True):
        first, facts = load_latents(f"run/latents/{name}.safetensors")
        moved, told = load_latents(f"OUT/latents/{name}.safetensors")
        session = Session(GEN, PARAMS, first)
        found = session.drag([(10, 12)], [(14, 12)], mask / 255, steps=3)
        np.testing.assert_array_equal(moved["w+"], session.latents["w+"])
        np.testing.assert_array_equal(
            pixels(f"OUT/images/{name}.png"), render_uint8(GEN, PARAMS, moved)
        )
        assert told["transform"] == facts["transform"]
        (edit,) = json.loads(told["edits"])
        assert (edit["drag"], edit["to"], edit["steps"]) == ([[10, 12]], [[14, 12]], found.steps)
        assert (line["status"], line["steps"]) == ("ok", found.steps)
        assert line["distance"] == pytest.approx(found.distance)
        assert line["arrived"] == found.arrived
        with Image.open(f"OUT/animations/{name}.gif") as image:
            assert getattr(image, "n_frames", 1) > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "10,12", "--to", "40,12"], "targets: 40,12 lies outside; allowed: 0 to 31 px"),
        (["--from", "-1,2", "--to", "3,3"], "handles: -1,2 lies outside"),
        (["--from", "1,2,3", "--to", "3,3"], "must be x,y in px, got 1,2,3"),
        (["--from", "1,2", "--from", "3,4", "--to", "3,3"], "2 points and 1 targets"),
        (["--from", "1,2"], "--to"),
        (["--from", "1,2", "--to", "3,3", "--mask", "none.png"], "no mask none.png"),
        (["--from", "1,2", "--to", "3,3", "--rate", "0"], "rate"),
    ],
)
@pytest.mark.usefixtures("place")
def test_drags_that_cannot_be_write_nothing(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drag", "run", "-o", "OUT", *words]) == USAGE
    assert said in capsys.readouterr().err
    assert not Path("OUT").exists()


@pytest.mark.usefixtures("place")
def test_a_mask_that_hides_everything_costs_its_picture_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("masks").mkdir()
    for name, level in (("a", 0), ("b", 255)):
        Image.fromarray(np.full((SIDE, SIDE), level, np.uint8)).save(f"masks/{name}.png")
    assert main([*DRAG, "--mask", "masks"]) == SOME_FAILED
    assert [line["status"] for line in lines()] == ["failed", "ok"]
    assert "the mask hides everything" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_a_recipe_is_done_again(capsys: pytest.CaptureFixture[str]) -> None:
    first = load_latents("run/latents/a.safetensors")[0]
    session = Session(GEN, PARAMS, first)
    session.move(keep_of_way(), 1.5)
    session.drag([(10, 12)], [(14, 12)], steps=2)
    Path("recipe.json").write_text(to_json(session, "tiny"), "utf-8")
    assert main(["edit", "run", "--recipe", "recipe.json", "-o", "OUT"]) == DONE
    moved = load_latents("OUT/latents/a.safetensors")[0]
    assert moved["w+"].tobytes() == np.asarray(session.latents["w+"]).tobytes()
    np.testing.assert_array_equal(pixels("OUT/images/a.png"), session.picture())
    a, b = lines()
    assert a["warnings"] == []
    assert "began with other latents" in b["warnings"][0]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("place")
def test_recipes_that_cannot_be_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("recipe.json").write_text('{"format": "jaxinv", "kind": "recipe"}', "utf-8")
    for words, said in (
        (["--recipe", "recipe.json"], "recipe of schema"),
        (["--recipe", "none.json"], "none.json"),
        (["--recipe", "recipe.json", "-d", "age", "--amount", "1"], "--recipe with directions"),
        (["-d", "age"], "-d with --amount, or --recipe"),
        ([], "-d with --amount, or --recipe"),
    ):
        assert main(["edit", "run", "-o", "OUT", *words]) == USAGE
        assert said in capsys.readouterr().err
    assert not Path("OUT").exists()


def keep_of_way() -> Way:

    return kept_direction("tiny", "age")
