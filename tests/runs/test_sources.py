"""One run over a folder, a zip, a tar or a list of the same pictures: the same latents."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.latent_files import load_latents
from jaxinv.presets import PRESETS
from jaxinv.runs import runner
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from tests.io.test_archives import HOSTILE, write_tar, write_zip
from tests.offline import go_offline, photo, read_results, save_weights, write_photos
from tests.tiny import classes

NAMES = ["a.png", "b.png", "c.png"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def invert(place: Path, out: Path, *others: str) -> int:
    return main(["invert", str(place), "-g", "tiny", "-p", "pixels", "-o", str(out), *others])


def latents(out: Path) -> dict[str, bytes]:
    """The arrays of all latents, without the facts that name the source."""
    found = {path.stem: path.read_bytes() for path in (out / "latents").iterdir()}
    return {name: data[8 + int.from_bytes(data[:8], "little") :] for name, data in found.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A folder of photos, and the latents of a run over it."""
    place = write_photos(tmp_path_factory.mktemp("photos"), NAMES)
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        go_offline(tmp_path_factory.getbasetemp(), patch)
        assert invert(place, out) == DONE
    return place, latents(out)


@pytest.mark.parametrize("kind", ["zip", "tar", "list"])
def test_every_source_gives_the_same_latents(
    kind: str, whole: tuple[Path, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {name: photo(seed) for seed, name in enumerate(NAMES)}
    place = tmp_path / f"set.{kind}"
    if kind == "list":
        place = tmp_path / "set.txt"
        place.write_text("".join(f"{whole[0] / name}\n" for name in NAMES))
    else:
        (write_zip if kind == "zip" else write_tar)(place, contents)
    assert invert(place, tmp_path / "out") == DONE
    assert latents(tmp_path / "out") == whole[1]
    # The same command searches for nothing; a member that changed is done again.
    monkeypatch.setattr(runner, "search", lambda *_: pytest.fail("searches again"))
    assert invert(place, tmp_path / "out") == DONE
    assert len(read_results(tmp_path / "out")) == len(NAMES)


def test_changed_members_of_a_zip_are_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, out = tmp_path / "set.zip", tmp_path / "out"
    write_zip(place, {"a.png": photo(0), "b.png": photo(1)})
    assert invert(place, out) == DONE
    before = latents(out)
    write_zip(place, {"a.png": photo(0), "b.png": photo(2), "c.png": photo(0)})
    search, counts = runner.search, list[int]()
    monkeypatch.setattr(
        runner, "search", lambda w, p, given: (counts.append(len(given)), search(w, p, given))[1]
    )
    assert invert(place, out) == DONE
    assert sum(counts) == 1  # b; c has its twin from an earlier start
    after = latents(out)
    assert after["a"] == before["a"] == after["c"]
    assert after["b"] != before["b"]


def test_hostile_members_are_listed_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write_tar(tmp_path / "set.tar", {**dict.fromkeys(HOSTILE, photo(3)), "a.png": photo(0)})
    assert invert(place, tmp_path / "out") == SOME_FAILED
    assert "1 image inverted, 6 failed" in capsys.readouterr().out
    lines = read_results(tmp_path / "out")
    reasons = [line["reason"] for line in lines if line["status"] == "skipped"]
    assert len(reasons) == len(HOSTILE)
    assert all("leads out of the archive" in one or "too long" in one for one in reasons)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.tar"]


def test_classes_come_from_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Equal pictures of two classes are two searches; one without a class costs itself."""
    gen, params = classes()
    own = {name: params[name] for name in params if name not in ("frozen", "statistics")}
    save_weights(tmp_path / "classes.safetensors", own, "generator", spec=asdict(gen.spec))
    stage = Stage((Variable("z"),), (Term("mse"),), 2, SolverSpec("adam"))
    monkeypatch.setitem(PRESETS, "pixels-z", Preset("pixels-z", (stage,), "z", "none"))
    labels = [["a.png", 0], ["b.png", 2], ["sub/c.png", 2], ["d.png", 10], ["e.png", [0.5]]]
    contents = {
        name: photo(0, 16) for name in ("a.png", "b.png", "sub/c.png", "d.png", "e.png", "f.png")
    }
    contents["dataset.json"] = json.dumps({"labels": labels}).encode()
    place = write_zip(tmp_path / "set.zip", contents)
    words = ["-g", str(tmp_path / "classes.safetensors"), "-p", "pixels-z", "--no-scores"]
    command = ["invert", str(place), *words, "--label", "dataset", "-o", str(tmp_path / "out")]
    assert main(command) == SOME_FAILED
    lines = {line["name"]: line for line in read_results(tmp_path / "out")}
    assert [name for name, line in lines.items() if line["status"] == "ok"] == ["a", "b", "c"]
    for name, said in (("d", "class 10 in"), ("e", "class [0.5]"), ("f", "class none")):
        assert said in lines[name]["reason"]
        assert "allowed: 0 to 9" in lines[name]["reason"]
    codes = latents(tmp_path / "out")
    assert codes["a"] != codes["b"] == codes["c"]
    assert "same content" in lines["c"]["warnings"][-1]
    tried = [*command[:-3], "4,2", "-o", str(tmp_path / "tried"), "--limit", "1"]
    assert main(tried) == DONE
    code, _ = load_latents(tmp_path / "tried" / "latents" / "a.safetensors")
    assert np.argmax(code["label"]) in (2, 4)
    wrong = [*command[:-3], "4,10", "-o", str(tmp_path / "wrong")]
    assert main(wrong) == USAGE
    assert "label 10; allowed: 0 to 9" in capsys.readouterr().err
    command[1] = str(write_zip(tmp_path / "bare.zip", {"a.png": photo(0, 16)}))
    assert main([*command[:-1], str(tmp_path / "other")]) == USAGE
    assert "has no labels in dataset.json" in capsys.readouterr().err


def test_an_archive_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = write_zip(tmp_path / "set.zip", {"notes.txt": b"x"})
    assert invert(place, tmp_path / "out") == 2
    assert "no image files in" in capsys.readouterr().err
