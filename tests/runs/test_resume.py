"""Runs that end early, in every way that a process can end, and the same command again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, STOPPED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.output_folder import RUN, output_folder
from jaxinv.io.stopping import Stopped
from jaxinv.runs import runner
from tests.offline import STEPS, go_offline, photo, read_results, write_photos
from tests.runs import processes
from tests.runs.processes import CHILD, pictures

NAMES = ["a.png", "b.png", "c.png", "d.png"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good files, one that is broken, and one whose content is there already."""
    place = write_photos(tmp_path_factory.mktemp("photos"), NAMES)
    (place / "broken.png").write_bytes(photo(5)[:80])
    (place / "twin.png").write_bytes(photo(1))
    return place


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        go_offline(tmp_path_factory.getbasetemp(), patch)
        assert invert(photos, out) == SOME_FAILED
    return out


def invert(photos: Path, out: Path, *others: object) -> int:
    """The exit code of `jaxinv invert` with the tiny generator."""
    words = ["invert", photos, "-g", "tiny", "-p", "pixels", "-o", out, *others]
    return main([str(word) for word in words])


def same(out: Path, whole: Path) -> None:
    """The same files, byte for byte, one line each, and a report of all of them."""
    processes.same(out, whole)
    theirs = {line["file"]: line for line in read_results(whole)}
    for line in read_results(out):
        for key in ("psnr", "lpips_vgg"):
            assert line[key] == theirs[line["file"]][key], (line["file"], key)
    page = (out / "report.html").read_text("utf-8")
    assert "5 of 6 files inverted, 1 listed under problems" in page
    assert page.count("<article") == 5
    assert json.loads((out / "status.json").read_text())["state"] == "done"


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int, error: type[BaseException]) -> None:
    """Let runs end with `error` after so many looks at the progress."""
    seen, step = [], runner.Display.step

    def look(display: runner.Display, progress: Any) -> None:
        seen.append(progress)
        step(display, progress)
        if len(seen) > steps:
            raise error("test")

    monkeypatch.setattr(runner.Display, "step", look)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stopped, OSError, MemoryError])
def test_the_same_command_goes_on(
    error: type[BaseException], photos: Path, whole: Path, tmp_path: Path
) -> None:
    for steps in (0, 0, 1):
        with pytest.MonkeyPatch.context() as patch:
            stop_after(patch, steps, error)
            code = invert(photos, tmp_path / "out")
        assert code == (STOPPED if error is Stopped else 1)
        assert (tmp_path / "out" / "report.html").is_file()
    assert invert(photos, tmp_path / "out") == SOME_FAILED
    same(tmp_path / "out", whole)


def test_a_finished_run_searches_for_nothing(photos: Path, whole: Path, tmp_path: Path) -> None:
    assert invert(photos, tmp_path / "out") == SOME_FAILED
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "latents").iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 0, AssertionError)
        assert invert(photos, tmp_path / "out") == SOME_FAILED
    assert before == {path: path.stat().st_mtime_ns for path in before}
    same(tmp_path / "out", whole)


def test_torn_and_missing_results_are_made_again(photos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert invert(photos, out) == SOME_FAILED
    (out / "images" / "b.png").unlink()
    (out / "latents" / "c.safetensors").write_bytes(b"")
    lines = (out / "results.jsonl").read_bytes()
    (out / "results.jsonl").write_bytes(b"\xff\n[1]\n" + lines[: len(lines) - 40])
    items = (out / "report" / "items.jsonl").read_bytes()
    (out / "report" / "items.jsonl").write_bytes(items[: len(items) - 9])
    assert invert(photos, out) == SOME_FAILED
    same(out, whole)


def test_a_changed_file_and_a_new_one_are_searched_for(photos: Path, tmp_path: Path) -> None:
    place, out = write_photos(tmp_path / "in", NAMES), tmp_path / "out"
    assert invert(place, out) == DONE
    before = pictures(out)
    (place / "b.png").write_bytes(photo(7))
    (place / "sub").mkdir()
    (place / "sub" / "a.png").write_bytes(photo(8))
    assert invert(place, out) == DONE
    after = pictures(out)
    assert before["b.png"] != after["b.png"]
    assert {name: after[name] for name in before if "b." not in name} == {
        name: data for name, data in before.items() if "b." not in name
    }
    assert len(after) == len(before) + 2  # a.png kept its name, the new one has its own


def test_a_copy_of_what_was_found_before_is_not_searched_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = write_photos(tmp_path / "in", NAMES[:2]), tmp_path / "out"
    assert invert(place, out) == DONE
    (place / "twin.png").write_bytes(photo(1))
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 0, AssertionError)
        assert invert(place, out) == DONE
    assert "2 of 3 files have results from before" in capsys.readouterr().err
    *_, twin = read_results(out)
    assert twin["warnings"][-1].startswith(f"same content as {place / 'b.png'}")
    assert pictures(out)["twin.png"] == pictures(out)["b.png"]
    lines = (out / "results.jsonl").read_text().replace(twin["content"], "../x")
    (out / "results.jsonl").write_text(lines)  # what is no digest is no content
    (place / "triplet.png").write_bytes(photo(1))
    assert invert(place, out) == DONE
    assert pictures(out)["triplet.png"] == pictures(out)["b.png"]


def test_other_photos_join_those_of_before(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert invert(photos / "a.png", out) == DONE
    before = pictures(out)
    assert invert(photos / "b.png", out) == DONE
    assert "2 images inverted, 0 failed" in capsys.readouterr().out
    assert {name: pictures(out)[name] for name in before} == before
    assert [line["name"] for line in read_results(out)] == ["a", "b"]
    assert "2 of 2 files inverted" in (out / "report.html").read_text("utf-8")


def test_files_are_known_by_their_place_and_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, out = write_photos(tmp_path / "in", NAMES), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    assert invert(Path("in"), out) == DONE
    before = pictures(out)
    monkeypatch.chdir(place)
    with monkeypatch.context() as patch:
        stop_after(patch, 0, AssertionError)
        assert invert(place, out) == DONE
        (place / "a.png").unlink()
        assert invert(Path("b.png"), out) == DONE
    assert [line["name"] for line in read_results(out)] == ["a", "b", "c", "d"]
    assert pictures(out) == before


def test_another_run_is_refused_with_the_differences(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert invert(photos, out, "--limit", 1) == DONE
    before = pictures(out)
    assert invert(photos, out, "--seed", 3, "--steps", STEPS + 1) == USAGE
    said = capsys.readouterr().err
    for part in ("another run: steps is null, not 4; seed is 0, not 3;", "--fresh"):
        assert part in said
    assert pictures(out) == before
    assert invert(photos, out, "--seed", 3, "--limit", 1, "--fresh") == DONE
    assert pictures(out) != before
    assert pictures(out / "earlier" / "001") == before


def test_what_failed_is_tried_again_when_asked(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(runner, "preset_for", refuse)
        assert invert(photos, out, "--limit", 2) == SOME_FAILED
    assert invert(photos, out, "--limit", 2) == SOME_FAILED
    assert [line["status"] for line in read_results(out)] == ["skipped", "skipped"]
    assert invert(photos, out, "--limit", 2, "--retry-failed") == DONE
    assert [line["status"] for line in read_results(out)] == ["ok", "ok"]


def refuse(*_: object) -> None:
    raise ValueError("no")


def test_status_tells_how_a_run_ended(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 0, Stopped)
        assert invert(photos, out) == STOPPED
    assert "stopped, 0 of 6 files, 0 failed" in told(out, capsys)
    facts = json.loads((out / "status.json").read_text("utf-8"))
    (out / "status.json").write_text(json.dumps(facts | {"state": "running", "seconds_left": 9}))
    assert "killed, 0 of 6 files" in told(out, capsys)
    with output_folder(out, RUN):
        assert told(out, capsys).endswith("9 s left")
    assert invert(photos, out) == SOME_FAILED
    assert "done, 6 of 6 files, 1 failed" in told(out, capsys)
    assert main(["status", str(photos)]) == USAGE
    (out / "status.json").write_text('{"state": "\\u001b[2J", "done": {}}')
    assert "\x1b" not in told(out, capsys)


def told(out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["status", str(out)]) == DONE
    return capsys.readouterr().out.strip()


def test_no_scores(photos: Path, tmp_path: Path) -> None:
    assert invert(photos, tmp_path / "out", "--limit", 1, "--no-scores") == DONE
    (line,) = read_results(tmp_path / "out")
    assert line["status"] == "ok"
    assert line["psnr"] is None
    assert np.isfinite(line["loss"])
    facts = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert "alexnet" not in facts["nets_sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_processes(
    end: signal.Signals,
    photos: Path,
    whole: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    out, base, codes = tmp_path / "out", tmp_path_factory.getbasetemp(), []
    words = ["invert", photos, "-g", "tiny", "-p", "pixels", "-o", out]
    for wait in (3.0, 5.0, 6.0, 7.0, 8.0, 120.0):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(base), *map(str, words)])
        try:
            codes.append(child.wait(wait))
        except subprocess.TimeoutExpired:
            child.send_signal(end)
            codes.append(child.wait(60))
        assert not [path for path in out.rglob("*.png") if path.stat().st_size == 0]
        time.sleep(0.1)
    assert codes[-1] == SOME_FAILED
    same(out, whole)
