"""`jaxinv edit`: what it writes, how it ends, and what it says about wrong use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxinv.cli.argument_types import amounts, joined
from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.edits.kept import keep_direction
from jaxinv.edits.walks import Walk, save_walk
from jaxinv.io.files import find_images
from jaxinv.io.images import encode_png
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.metrics import identity as identities
from jaxinv.models.loading import generator_hash
from jaxinv.models.rendering import render_uint8
from jaxinv.runs import edits
from tests.edited import (
    DRAWS,
    GEN,
    PARAMS,
    ROWS,
    SIDE,
    D,
    keep_of,
    lines,
    make_place,
    pixels,
    save_result,
)
from tests.offline import tiny_params
from tests.tiny import TINY


@pytest.fixture
def place(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    return make_place(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)


EDIT = ["edit", "run", "-o", "OUT", "--overwrite", "-d", "age"]


@pytest.mark.usefixtures("place")
def test_one_amount_gives_a_picture_and_latents_of_every_sample() -> None:
    assert main([*EDIT, "--amount", "1.5"]) == DONE
    direction = keep_of("age")
    for name, line in zip("ab", lines(), strict=True):
        first, facts = load_latents(f"run/latents/{name}.safetensors")
        moved, told = load_latents(f"OUT/latents/{name}.safetensors")
        np.testing.assert_allclose(moved["w+"], first["w+"] + 1.5 * direction, rtol=1e-5)
        np.testing.assert_array_equal(
            pixels(f"OUT/images/{name}.png"), render_uint8(GEN, PARAMS, moved)
        )
        assert told["transform"] == facts["transform"]
        assert json.loads(told["edits"]) == [{"direction": "age", "amount": 1.5}]
        assert (line["name"], line["status"], line["amounts"]) == (name, "ok", [[1.5]])
    assert not Path("OUT", "strips").exists()


@pytest.mark.usefixtures("place")
def test_a_range_gives_a_strip_and_an_animation() -> None:
    assert main([*EDIT, "--amount", "-2:2:5", "--animate", "gif", "--seconds", "1"]) == DONE
    assert sorted(p.name for p in Path("OUT/images").iterdir())[:2] == ["a-000.png", "a-001.png"]
    assert pixels("OUT/strips/a.png").shape == (SIDE, 5 * SIDE, 3)
    np.testing.assert_array_equal(pixels("OUT/images/a-002.png"), pixels("run/images/a.png"))
    with Image.open("OUT/animations/b.gif") as image:
        assert getattr(image, "n_frames", 1) == 8
    assert lines()[0]["amounts"] == [[-2.0], [-1.0], [0.0], [1.0], [2.0]]


@pytest.mark.usefixtures("place")
def test_directions_combine_with_rows_and_conditions(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-d", "smile", "--amount", "1", "--amount", "-1:1:3", "--rows", "0-2"]
    assert main([*EDIT, *words]) == DONE
    first = load_latents("run/latents/a.safetensors")[0]["w+"]
    last = load_latents("OUT/latents/a-002.safetensors")[0]["w+"]
    expected = first.copy()
    expected[:3] += keep_of("age") + keep_of("smile")
    np.testing.assert_allclose(last, expected, rtol=1e-5, atol=1e-6)
    assert main([*EDIT, "--amount", "2", "--condition", "smile"]) == DONE
    moved = load_latents("OUT/latents/a.safetensors")[0]["w+"] - first
    np.testing.assert_allclose(moved @ keep_of("smile"), 0, atol=1e-4)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_tuned_weights_travel_with_their_latents() -> None:
    bias = PARAMS["synthesis"]["block0"]["conv1"]["bias"]
    tuned = {"synthesis": {"block0": {"conv1": {"bias": {"add": np.full(bias.shape, 0.5)}}}}}
    save_result("tuned", weights=tuned, run="faithful")
    assert main(["edit", "faithful", "-o", "OUT", "-d", "age", "--amount", "1"]) == DONE
    moved, _ = load_latents("OUT/latents/tuned.safetensors")
    np.testing.assert_array_equal(
        moved["weights"]["synthesis"]["block0"]["conv1"]["bias"]["add"], 0.5
    )
    np.testing.assert_array_equal(pixels("OUT/images/tuned.png"), render_uint8(GEN, PARAMS, moved))
    plain = render_uint8(GEN, PARAMS, {"w+": moved["w+"]})
    assert np.abs(pixels("OUT/images/tuned.png") - plain).max() > 2


@pytest.mark.usefixtures("place")
def test_edits_are_edited_again_and_never_read_as_photographs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*EDIT, "--amount", "1"]) == DONE
    assert main(["edit", "OUT", "-o", "AGAIN", "-d", "smile", "--amount", "-1"]) == DONE
    moved, told = load_latents("AGAIN/latents/a.safetensors")
    first = load_latents("run/latents/a.safetensors")[0]["w+"]
    expected = first + keep_of("age") - keep_of("smile")
    np.testing.assert_allclose(moved["w+"], expected, rtol=1e-5, atol=1e-6)
    assert [one["direction"] for one in json.loads(told["edits"])] == ["age", "smile"]
    assert find_images(["OUT", "AGAIN"]) == []
    capsys.readouterr()
    assert main(["edit", "OUT", "-o", "OUT", "-d", "smile", "--amount", "1"]) == USAGE
    assert "might replace" in capsys.readouterr().err
    assert main(["edit", "run", "-o", "run", "-d", "smile", "--amount", "1"]) == USAGE
    assert "might replace" in capsys.readouterr().err
    assert main(["edit", "photos", "-o", "NEW", "-d", "smile", "--amount", "1"]) == USAGE
    assert "photos holds no results" in capsys.readouterr().err
    assert main(["edit", "nowhere", "-o", "NEW", "-d", "smile", "--amount", "1"]) == USAGE
    assert "nowhere: No such file" in capsys.readouterr().err
    assert not Path("NEW").exists()


@pytest.mark.usefixtures("place")
def test_one_samples_fault_costs_that_sample(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run/latents/c.safetensors").write_bytes(b"nothing")
    save_latents("wrong.safetensors", {"w+": np.zeros((3, D), np.float32)}, {"generator": "tiny"})
    save_latents("style.safetensors", {"s": tuple(np.zeros(n) for n in TINY.styles)},
                 {"generator": "tiny"})  # fmt: skip
    np.save("codes.npy", DRAWS.standard_normal((2, ROWS, D)))
    files = ["wrong.safetensors", "style.safetensors", "missing.safetensors", "codes.npy"]
    words = ["edit", "run", *files, "-g", "tiny", "-o", "OUT", "-d", "age", "--amount", "1"]
    assert main(words) == SOME_FAILED
    found = {line["name"]: (line["status"], line["reason"]) for line in lines()}
    good = ["a", "b", "codes-00", "codes-01"]
    assert [name for name, (status, _) in found.items() if status == "ok"] == good
    assert "safetensors" in found["c"][1]
    assert "cannot draw 'w+' of shape (3, 16)" in found["wrong"][1]
    assert "'age' moves in 'w'; these latents are in 's'" in found["style"][1]
    assert "No such file" in found["missing"][1]
    said = capsys.readouterr()
    assert "4 pictures edited, 4 failed" in said.out
    assert len(said.err.splitlines()) == 4


@pytest.mark.usefixtures("place")
def test_amounts_beyond_the_usable_range_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EDIT, "--amount", "-3:2:2"]) == DONE
    note = "-3 of 'age' lies beyond its usable range, -2 to 2"
    (line,) = capsys.readouterr().err.splitlines()
    assert note in line
    assert note in lines()[0]["warnings"][0]


@pytest.mark.usefixtures("place")
def test_amounts_are_shortened_until_the_face_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array([np.abs(a.astype(float) - b).mean() / 10])

    monkeypatch.setattr(edits, "measurable", lambda: True)
    monkeypatch.setattr(edits, "identity", distance)
    monkeypatch.setattr("jaxinv.cli.edit.ensure", lambda *names: None)
    words = ["--amount", "0:2:3", "--keep", "identity"]
    assert main([*EDIT, *words, "--bound", "100"]) == DONE
    whole = lines()
    assert whole[0]["amounts"] == [[0.0], [1.0], [2.0]]
    bound = (whole[0]["identity"][1] + whole[0]["identity"][2]) / 2
    assert main([*EDIT, *words, "--bound", str(bound)]) == DONE
    line = lines()[0]
    assert line["amounts"][:2] == [[0.0], [1.0]]
    assert 1.0 < line["amounts"][2][0] < 2.0
    assert max(line["identity"]) <= bound
    told = json.loads(load_latents("OUT/latents/a-002.safetensors")[1]["edits"])
    assert told[0]["amount"] == line["amounts"][2][0]


@pytest.mark.usefixtures("place")
def test_keeping_identity_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise identities.AlignerMissing("none")

    monkeypatch.setattr(identities, "face_networks", missing)
    monkeypatch.setattr("jaxinv.cli.edit.ensure", lambda *names: None)
    assert main([*EDIT, "--amount", "1", "--keep", "identity"]) == USAGE
    assert "jaxinv pull landmarks identity" in capsys.readouterr().err
    assert not Path("OUT").exists()


@pytest.mark.parametrize("of_photo", [True, False])
@pytest.mark.usefixtures("place")
def test_outside_a_mask_the_picture_stays(of_photo: bool) -> None:
    mask = np.zeros((80, 96, 3) if of_photo else (64, 64, 3), np.uint8)
    if of_photo:
        mask[40:] = 255  # the lower half of the quad
    else:
        mask[32:] = 255
    Path("mask.png").write_bytes(encode_png(mask))
    assert main([*EDIT, "--amount", "2", "--mask", "mask.png"]) == DONE
    before, after = pixels("run/images/a.png"), pixels("OUT/images/a.png")
    whole = render_uint8(GEN, PARAMS, load_latents("OUT/latents/a.safetensors")[0])
    np.testing.assert_array_equal(after[: SIDE // 2 - 4], before[: SIDE // 2 - 4])
    np.testing.assert_array_equal(after[SIDE // 2 + 4 :], whole[SIDE // 2 + 4 :])
    Path("mask.png").write_bytes(encode_png(mask[:30]))
    assert main([*EDIT, "--amount", "2", "--mask", "mask.png"]) == SOME_FAILED
    assert "allowed: 96x80 or a square" in lines()[0]["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-d", "agee", "--amount", "1"], "'agee'; allowed: age, smile; nearest: age"),
        (["-d", "none.pt", "--amount", "1"], "there is no such file"),
        (["-d", "other.safetensors", "--amount", "1"], "belongs to generator 'cats'"),
        (["-d", "short.npy", "--amount", "1"], "has shape (3,) in 'w'"),
        (
            ["-d", "pca.npy", "--amount", "1"],
            "pca.npy holds 3 directions; allowed: pca.npy#0 to #2",
        ),
        (["-d", "pca.npy#3", "--amount", "1"], "direction '3' of pca.npy; allowed: #0 to #2"),
        (["-d", "s:1", "--amount", "1"], "allowed: s:LAYER:CHANNEL"),
        (["-d", "s:99:0", "--amount", "1"], "layer 99 of S"),
        (["-d", "age", "--amount", "1:2"], "must be A or A:B:N"),
        (["-d", "age", "--amount", "x"], "'x'"),
        (["-d", "age", "--amount", "nan"], "must be finite, got nan"),
        (["-d", "age", "--amount", "1", "--amount", "2"], "2 amounts for 1 directions"),
        (["-d", "age", "-d", "smile", "--amount", "0:1:2", "--amount", "0:1:3"], "2, 3 steps"),
        (["-d", "age", "--amount", "1", "--rows", "0-99"], "generator 'tiny' has 0 to 7"),
        (["-d", "age", "--amount", "1", "--condition", "age"], "lies in the span of age"),
        (["-d", "age", "--amount", "1", "--mask", "no.png"], "no mask no.png"),
        (["-d", "age", "--amount", "1", "--keep", "hair"], "'hair'"),
        (["-d", "age", "--amount", "1", "--bound", "-1"], "bound must be at least 0"),
        (["-d", "age", "--amount", "1", "-g", "cats"], "unknown generator 'cats'"),
        (["-d", "age", "--amount", "1", "--animate", "avi"], "gif"),
    ],
)
@pytest.mark.usefixtures("place")
def test_wrong_use_is_one_line_before_anything_is_drawn(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("short.npy", np.ones((1, 3)))
    np.save("pca.npy", DRAWS.standard_normal((3, 1, D)))
    assert main(["edit", "run", "-o", "OUT", *words]) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not Path("OUT").exists()


@pytest.mark.usefixtures("place")
def test_other_tools_directions_are_taken_at_their_word(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("pca.npy", DRAWS.standard_normal((3, 1, D)))
    assert main(["edit", "run", "-o", "OUT", "-d", "pca.npy#1", "--amount", "1"]) == DONE
    (line,) = capsys.readouterr().err.splitlines()
    assert "'pca#1' does not say its generator: it is used as one of 'tiny'" in line
    assert (
        main(["edit", "run", "-o", "OUT", "-d", "s:2:3:1.5,0:1", "--amount", "1", "--overwrite"])
        == DONE
    )
    assert capsys.readouterr().err == ""
    moved, told = load_latents("OUT/latents/a.safetensors")
    assert told["space"] == "s"
    assert len(moved["s"]) == len(TINY.styles)


def test_amounts_below_zero_are_no_options() -> None:
    assert joined(["--amount", "-3:3:7", "-d", "x"]) == ["--amount=-3:3:7", "-d", "x"]
    assert joined(["--amount", "-.5"]) == ["--amount=-.5"]
    assert joined(["--amount", "-d"]) == ["--amount", "-d"]
    assert amounts("-3:3:3") == (-3.0, 0.0, 3.0)
    assert amounts("2") == (2.0,)
    assert amounts("2:5:1") == (2.0,)


@pytest.mark.usefixtures("place")
def test_walks_are_edited_inspected_kept_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    own = Walk(
        "turn",
        "circle",
        "w",
        {"vector": DRAWS.standard_normal(D)},
        generator=generator_hash(tiny_params()),
        generator_name="tiny",
        usable=(-1, 1),
        source="by hand",
    )
    save_walk("turn.safetensors", own)
    edited = ["edit", "run", "-o", "OUT", "-d", "turn.safetensors", "-d", "age"]
    assert main([*edited, "--amount", "0:0.5:2", "--amount", "1", "--rows", "1-2"]) == DONE
    first = load_latents("run/latents/a.safetensors")[0]["w+"]
    moved, told = load_latents("OUT/latents/a-001.safetensors")
    np.testing.assert_array_equal(moved["w+"][[0, 3]], first[[0, 3]])
    circled = moved["w+"][1] - keep_of("age")
    assert np.linalg.norm(circled) == pytest.approx(np.linalg.norm(first[1]), rel=1e-4)
    assert json.loads(told["edits"])[0] == {"direction": "turn.safetensors", "amount": 0.5}
    capsys.readouterr()
    assert main(["inspect", "turn.safetensors"]) == DONE
    shown = capsys.readouterr().out
    for words in ("kind: walk", "walk: circle: a circle through", "usable: [-1, 1]", "by hand"):
        assert words in shown
    keep_direction(own)
    assert main(["directions", "-g", "tiny"]) == DONE
    assert "turn                 w (circle: a circle through" in capsys.readouterr().out
    assert main(["edit", "run", "-o", "KEPT", "-d", "turn", "--amount", "0.2"]) == DONE
    for words, said in (
        (["--condition", "age"], "conditions on walk 'turn'"),
        (["--rows", "coarse", "--condition", "turn"], "walk 'turn' as a condition"),
    ):
        assert main(["edit", "run", "-o", "NO", "-d", "turn", "--amount", "1", *words]) == USAGE
        assert said in capsys.readouterr().err
    assert main(["directions", "-g", "tiny", "--export", "turn", "-o", "a.npy"]) == USAGE
    assert "'turn' is a walk; allowed in .npy files: directions" in capsys.readouterr().err
    save_walk("other.safetensors", replace(own, generator="0" * 64, generator_name="cats"))
    assert main(["edit", "run", "-o", "NO", "-d", "other.safetensors", "--amount", "1"]) == USAGE
    assert "walk 'turn' belongs to generator 'cats'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_regions_are_mixed_and_students_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    common = ["discover", "-g", "tiny", "--samples", "8"]
    assert main([*common, "editing-in-style", "--count", "2", "-o", "part.safetensors"]) == DONE
    ends = [f"run/latents/{name}.safetensors" for name in "ab"]
    channels = ["mix", *ends, "--channels", "part-00.safetensors"]
    assert main([*channels, "-o", "mixed.png"]) == DONE
    mixed, told = load_latents("mixed.safetensors")
    assert (set(mixed), told["channels"]) == ({"s"}, "part-00.safetensors")
    assert main([*channels, "--rows", "fine", "-o", "b.png"]) == USAGE
    assert "--rows with --channels" in capsys.readouterr().err
    assert main(["edit", "run", "-d", "part-00.safetensors", "--amount", "1", "-o", "E"]) == USAGE
    assert "jaxinv mix A B --channels FILE" in capsys.readouterr().err
    student = [*common, "distillation", "-d", "age", "--steps", "2", "-o", "old.safetensors"]
    assert main(student) == USAGE
    assert "allowed: both -d and --amount" in capsys.readouterr().err
    assert main([*student, "--amount", "1"]) == DONE
    assert main(["student", "old.safetensors", "photos", "--size", "64", "-o", "made"]) == DONE
    assert sorted(file.name for file in Path("made").iterdir()) == ["a.png", "b.png"]
    again = ["student", "old.safetensors", "photos", "--size", "32", "-o", "made"]
    assert main(again) == USAGE
    assert "holds something else" in capsys.readouterr().err
    assert main([*again, "--overwrite"]) == DONE
    assert main(["student", "part-00.safetensors", "photos", "-o", "no"]) == USAGE
    assert "holds 'walk'; allowed: 'student'" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_what_is_kept_is_named_once_and_measured(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["discover", "hijack-gan", "-g", "tiny", "--attribute", "luma", "-o", "a.safetensors"]
    few = ["--samples", "12", "--steps", "3"]
    assert main([*words, *few, "--keep", "contrast"]) == DONE
    assert main(["inspect", "a.safetensors"]) == DONE
    shown = capsys.readouterr().out
    assert "walk: proxy: along the slope of a net" in shown
    assert '"contrast"' in shown
    for more, said in (
        (["--keep", "contrast", "--keep", "contrast"], "allowed: each name once"),
        (["--keep", "luma"], "to change and to be kept"),
        (["--keep", "mood"], "unknown attribute"),
        (["--cut", "b4"], "cut 'b4' for method 'hijack-gan'"),
        (["--rows", "x"], "rows 'x'; allowed: numbers and spans"),
    ):
        assert main([*words, *more, "--overwrite"]) == USAGE
        error = capsys.readouterr().err.strip()
        assert said in error
        assert len(error.splitlines()) == 1
