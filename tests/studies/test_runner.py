"""`jaxinv study`: files, plots and refusals of the verb; what it measures is `test_study`'s."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.metrics.convergence import log_spaced_counts
from jaxinv.studies.plots import PLOTS
from tests.offline import go_offline, write_photos

pytestmark = pytest.mark.usefixtures("quick_compilation")

SPEC = """
from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable

W = (Variable("w", init=InitSpec("prior")),)
PRESETS = {
    name: Preset(name, (Stage(W, (Term("mse"),), 12, SolverSpec(name)),), "", "")
    for name in ("adam", "adamax")
}
"""


@pytest.fixture
def place(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    go_offline(tmp_path_factory.getbasetemp(), monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.py").write_text(SPEC)
    folder = write_photos(tmp_path / "photos", ["a.png", "b.png"])
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.png").write_bytes((folder / "a.png").read_bytes())
    (tmp_path / "mixed" / "b.png").write_bytes((folder / "b.png").read_bytes()[:90])
    return tmp_path


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_study_from_the_command_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["study", "spec.py", "pixels", "-g", "tiny", "--images", "photos", "--seeds", "2"]
    assert main([*command, "--rates", "0.1,0.01", "--steps", "11"]) == DONE
    said = capsys.readouterr()
    table = (place / "study" / "summary.md").read_text("utf-8")
    assert said.out.startswith(table)
    names = [f"{name} {rate}" for name in ("adam", "adamax", "pixels") for rate in ("0.1", "0.01")]
    assert [line.split(" | ")[0][2:] for line in table.splitlines()[4:]] == names
    finals = lines(place / "study" / "finals.jsonl")
    assert {(r["image"], r["seed"]) for r in finals} == {
        (str(Path("photos", file)), seed) for file in ("a.png", "b.png") for seed in (0, 1)
    }
    assert len(lines(place / "study" / "curves.jsonl")) == len(finals) * len(log_spaced_counts(11))
    assert {row["from_truth"] for row in finals} == {None}
    assert {path.stem for path in (place / "study").glob("*.png")} == set(PLOTS)
    facts = json.loads((place / "study" / "study.json").read_text("utf-8"))
    assert facts["plan"]["rates"] == [0.1, 0.01]
    assert [one["name"] for one in facts["presets"]] == names


def test_draws_of_the_generator_are_searched_for_without_matplotlib(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["study", "pixels", "-g", "tiny", "--self", "3", "--size", "16", "-o", "o"]) == DONE
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "no plots: matplotlib is not installed; pip install 'jaxinv[notebook]'"
    finals = lines(place / "o" / "finals.jsonl")
    assert [row["image"] for row in finals[::4]] == ["draw-0", "draw-1", "draw-2"]
    assert all(row["from_truth"] > 0 for row in finals)
    assert list((place / "o").glob("*.png")) == []


def test_a_broken_file_is_told_and_left_out(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["study", "pixels", "-g", "tiny", "--images", "mixed", "--seeds", "1", "--steps", "2"]
    assert main(command) == SOME_FAILED
    broken = str(Path("mixed", "b.png"))
    assert f"warning: {broken}: " in capsys.readouterr().err
    assert list(json.loads((place / "study" / "study.json").read_text())["skipped"]) == [broken]
    assert [row["image"] for row in lines(place / "study" / "finals.jsonl")] == [
        str(Path("mixed", "a.png"))
    ]
    (place / "mixed" / "a.png").unlink()
    assert main(command) == USAGE
    assert f"no image can be used: {broken}: " in capsys.readouterr().err


GOOD = ["study", "pixels", "-g", "tiny", "--images", "photos"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "best", *GOOD[2:]], ["unknown preset 'best'", "quick"]),
        (["study", "none.py", *GOOD[2:]], ["none.py", "no such file", "PRESETS"]),
        (["study", "empty.py", *GOOD[2:]], ["empty.py defines no PRESETS", "tuple, list or dict"]),
        (["study", "wrong.py", *GOOD[2:]], ["wrong.py", "3 in PRESETS", "objects of Preset"]),
        (["study", "broken.py", *GOOD[2:]], ["broken.py", "ZeroDivisionError"]),
        (["study", "pixels", *GOOD[1:]], ["presets pixels, pixels", "each name once"]),
        ([*GOOD[:-2]], ["--images and --self", "neither", "one of them"]),
        ([*GOOD, "--self", "2"], ["--images and --self", "both", "one of them"]),
        ([*GOOD[:-1], "nothing"], ["no image files in nothing"]),
        ([*GOOD, "--seeds", "0"], ["--seeds", "at least 1, got 0"]),
        ([*GOOD, "--rates", "0.1,fast"], ["--rates", "0.1,fast"]),
        ([*GOOD, "--rates", "0"], ["learning rate must be above 0.0", "got 0.0"]),
        ([*GOOD, "--target", "adam"], ["--target 'adam'", "a number of dB, pixels"]),
        ([*GOOD, "--size", "64"], ["--size 64", "16 to 32"]),
        (["study", "pixels", "--self", "2"], ["required", "-g"]),
    ],
)
def test_wrong_use_is_refused_in_one_line(
    arguments: list[str], words: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "nothing").mkdir()
    (place / "empty.py").write_text("X = 1\n")
    (place / "wrong.py").write_text("PRESETS = (3,)\n")
    (place / "broken.py").write_text("PRESETS = (1 / 0,)\n")
    assert main(arguments) == USAGE
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert [word for word in words if word not in line] == []
    assert not list(place.glob("study/*.jsonl"))


def test_the_help_says_that_a_file_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["study", "--help"])
    assert "YOUR code and is executed" in " ".join(capsys.readouterr().out.split())
