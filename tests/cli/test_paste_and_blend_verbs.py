"""`jaxinv paste`, `directions`, `interpolate`, `mix` and `walk`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.images import encode_png
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.models.rendering import render_uint8
from tests.edited import GEN, PARAMS, SIDE, keep_of, make_place, pixels
from tests.offline import photo
from tests.tiers import mostly_slow

EDIT = ["edit", "run", "-o", "OUT", "-d", "age"]


@pytest.fixture
def place(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    return make_place(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)


@pytest.mark.usefixtures("place")
def test_results_are_pasted_back_where_they_were_cut_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*EDIT, "--amount", "0:2:2"]) == DONE
    capsys.readouterr()
    assert main(["paste", "OUT", "-o", "PASTED", "--animate", "webp"]) == DONE
    names = sorted(path.name for path in Path("PASTED").iterdir())
    assert names == ["a-000.png", "a-001.png", "animation.webp", "b-000.png", "b-001.png"]
    before, after = pixels("photos/a.png"), pixels("PASTED/a-001.png")
    inside = np.zeros((80, 96), bool)
    inside[20:60, 10:50] = True
    np.testing.assert_array_equal(after[~inside], before[~inside])
    middle = np.abs(after[36:44, 26:34] - before[36:44, 26:34])
    assert middle.mean() > 5
    # Again: the same bytes; beside something else: a refusal.
    assert main(["paste", "OUT", "-o", "PASTED"]) == DONE
    Path("PASTED/a-000.png").write_bytes(b"mine")
    assert main(["paste", "OUT", "-o", "PASTED"]) == SOME_FAILED
    assert Path("PASTED/a-000.png").read_bytes() == b"mine"


@pytest.mark.usefixtures("place")
def test_photographs_are_found_or_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").rename("moved")
    assert main(["paste", "run", "-o", "PASTED"]) == SOME_FAILED
    assert "no photograph photos" in capsys.readouterr().err
    assert main(["paste", "run", "-o", "PASTED", "--photo", "moved"]) == DONE
    Path("moved").rename("photos")
    Path("photos/a.png").write_bytes(photo(3, side=64))
    assert main(["paste", "run", "-o", "PASTED"]) == SOME_FAILED
    said = capsys.readouterr().err
    assert "photos/a.png has [64, 64] px; the picture was cut out of [96, 80]" in said
    Path("photos/a.png").write_bytes(encode_png(np.zeros((80, 96, 3), np.uint8)))
    assert main(["paste", "run", "-o", "NEW"]) == SOME_FAILED
    assert "is another file than the one that was inverted" in capsys.readouterr().err
    save_latents("run/latents/z.safetensors", {"z": np.zeros(16)}, {})
    assert main(["paste", "run", "-o", "NEW"]) == SOME_FAILED
    assert "do not say where in which photograph they lie" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_kept_directions_are_listed_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directions", "-g", "tiny"]) == DONE
    said = capsys.readouterr().out
    assert "age                  w (all rows), usable -2 to 2; 1 is a year" in said
    assert "effect of 1: age +4, yaw -0.5" in said
    assert "from by hand" in said
    assert main(["directions", "-g", "tiny", "--export", "age", "-o", "age.npy"]) == DONE
    assert "smile" not in capsys.readouterr().out
    array = np.load("age.npy")
    np.testing.assert_allclose(array[0], keep_of("age") / np.linalg.norm(keep_of("age")), rtol=1e-6)
    assert main(["directions", "-g", "ffhq"]) == DONE
    assert "no directions are kept for generator 'ffhq'" in capsys.readouterr().out
    assert main(["directions", "-g", "tiny", "--export", "agee"]) == USAGE
    assert "nearest: age" in capsys.readouterr().err


BETWEEN: dict[str, tuple[list[str], Callable[[np.ndarray], bool]]] = {
    "interpolate": (
        ["interpolate", "A", "B", "--steps", "3"],
        lambda w: np.allclose(w[1], (w[0] + w[2]) / 2, atol=1e-6),
    ),
    "mix": (["mix", "A", "B", "--rows", "2-4"], lambda w: len(w) == 1),
    "walk": (["walk", "-g", "tiny", "-n", "2", "--between", "3"], lambda w: len(w) == 6),
    "walk from": (["walk", "A", "-n", "2", "--between", "2"], lambda w: len(w) == 4),
}


@pytest.mark.parametrize("name", mostly_slow(BETWEEN, fast=("interpolate", "mix")))
@pytest.mark.usefixtures("place")
def test_codes_between_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, right = BETWEEN[name]
    files = {"A": "run/latents/a.safetensors", "B": "run/latents/b.safetensors"}
    words = [files.get(word, word) for word in words]
    assert main([*words, "-o", "FOLDER"]) == DONE
    codes = [load_latents(path)[0] for path in sorted(Path("FOLDER/latents").iterdir())]
    (space,) = codes[0]
    assert right(np.stack([one[space] for one in codes]))
    for index, code in enumerate(codes):
        picture = pixels(f"FOLDER/images/{index:03d}.png")
        np.testing.assert_array_equal(picture, render_uint8(GEN, PARAMS, code))
    assert main([*words, "-o", "one.png"]) == DONE
    assert pixels("one.png").shape == (SIDE, len(codes) * SIDE, 3)
    assert Path("one.safetensors").exists() == (len(codes) == 1)
    assert main([*words, "-o", "one.gif"]) == DONE
    with Image.open("one.gif") as image:
        assert getattr(image, "n_frames", 1) == len(codes)
    capsys.readouterr()
    assert main([*words, "-o", "one.avi"]) == USAGE
    assert "allowed: .png, .gif, .webp, .mp4, or a folder" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_what_lies_between_needs_one_code_each(capsys: pytest.CaptureFixture[str]) -> None:
    one = "run/latents/a.safetensors"
    for words, said in (
        (["interpolate", "run", one], "run holds 2 latents; allowed: one of"),
        (["interpolate", one, "none.pt"], "none.pt: No such file"),
        (["mix", one, one, "--rows", "9"], "generator 'tiny' has 0 to 7"),
        (["mix", one, one, "-g", "cats"], "unknown generator 'cats'"),
        (["interpolate", one, one, "--space", "z"], "cannot give 'z'"),
    ):
        assert main([*words, "-o", "OUT.png"]) == USAGE
        assert said in capsys.readouterr().err
        assert not Path("OUT.png").exists()
    before = Path(one).read_bytes()
    assert main(["mix", one, one, "--rows", "1", "-o", "run/latents/a.png"]) == USAGE
    assert "a.safetensors is read, and would be replaced" in capsys.readouterr().err
    assert Path(one).read_bytes() == before
