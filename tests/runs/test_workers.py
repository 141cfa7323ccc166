"""Several processes that share the files of one run: together they leave what one would have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jaxinv.cli.console import DONE, SOME_FAILED, STOPPED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.launchers import Share
from jaxinv.io.output_folder import RUN, hold, output_folder
from jaxinv.io.stopping import Stopped
from jaxinv.runs import runner
from jaxinv.runs.status import read_status
from tests.offline import go_offline, photo, write_photos
from tests.runs import processes
from tests.runs.processes import pictures

NAMES = [f"{name}.png" for name in "abcdef"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good files, a broken one, and two of the same name in folders of their own."""
    place = write_photos(tmp_path_factory.mktemp("photos"), NAMES)
    (place / "broken.png").write_bytes(photo(5)[:80])
    for number, folder in enumerate(("one", "two")):
        (place / folder).mkdir()
        (place / folder / "same.png").write_bytes(photo(20 + number))
    return place


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one process."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        go_offline(tmp_path_factory.getbasetemp(), patch)
        assert invert(photos, out) == SOME_FAILED
    return out


def invert(photos: Path, out: Path, *others: object) -> int:
    """The exit code of `jaxinv invert` with the tiny generator."""
    words = ["invert", photos, "-g", "tiny", "-p", "pixels", "-o", out, "--no-scores", *others]
    return main([str(word) for word in words])


def worker(photos: Path, out: Path, index: int, count: int, *others: object) -> int:
    """The exit code of one worker."""
    return invert(photos, out, "--worker-index", index, "--num-workers", count, *others)


def same(out: Path, whole: Path) -> None:
    """What one process leaves, and that it is done."""
    processes.same(out, whole)
    page = (out / "report.html").read_text("utf-8")
    assert "8 of 9 files inverted, 1 listed under problems" in page
    assert read_status(out)["state"] == "done"
    assert read_status(out)["done"] == 9


def stop_after(monkeypatch: pytest.MonkeyPatch, images: int, error: type[BaseException]) -> None:
    """Let runs end with `error` once that many images are written."""
    seen, add = [], runner.StatusFile.add

    def count(status: Any, found: str) -> None:
        add(status, found)
        seen.append(found)
        if len(seen) == images:
            raise error("test")

    monkeypatch.setattr(runner.StatusFile, "add", count)


def test_workers_leave_what_one_process_would_have(
    photos: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    codes = [worker(photos, out, index, 3) for index in range(3)]
    assert sorted(codes) == [DONE, DONE, SOME_FAILED]
    assert "worker 2 of 3: " in capsys.readouterr().out
    same(out, whole)


def test_the_last_one_to_leave_gathers(photos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with hold_worker(out, "00000"):  # it has begun
        assert worker(photos, out, 1, 2) in (DONE, SOME_FAILED)
        assert (out / "workers" / "00001" / "results.jsonl").is_file()
        assert not (out / "report.html").exists()
        assert read_status(out)["files"] == 9
        assert invert(photos, out) == USAGE  # nobody works alone beside workers
    worker(photos, out, 0, 2)
    same(out, whole)


def hold_worker(out: Path, name: str) -> Any:
    (out / "workers" / name).mkdir(parents=True)
    return hold(out / "workers" / name)


def test_another_number_of_workers_goes_on(photos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = [str(path) for path in photos.rglob("*.png")]
    # The worker with most files has two to stop between: shares go by the path, which is random.
    most, more, least = sorted(range(3), key=lambda i: -sum(map(Share(i, 3).takes, files)))
    with pytest.MonkeyPatch.context() as patch, hold_worker(out, f"{least:05d}"):
        stop_after(patch, 1, Stopped)
        assert worker(photos, out, most, 3) == STOPPED
        assert worker(photos, out, more, 3) in (DONE, SOME_FAILED, STOPPED)
    before = pictures(out)
    assert before
    stamps = {path: path.stat().st_mtime_ns for path in (out / "latents").iterdir()}
    for index in range(4):
        worker(photos, out, index, 4)
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    same(out, whole)


def test_one_process_takes_over(photos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with hold_worker(out, "00001"):
        worker(photos, out, 0, 2)
    assert (out / "workers").exists()
    assert invert(photos, out) == SOME_FAILED
    same(out, whole)


def test_a_killed_gathering_is_done_again(photos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    worker(photos, out, 0, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "forget_workers", lambda _: None)
        worker(photos, out, 1, 2)
    assert (out / "workers").exists()
    assert worker(photos, out, 0, 2) in (DONE, SOME_FAILED)
    same(out, whole)


def test_status_is_the_sum(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with hold_worker(out, "00002"):
        worker(photos, out, 0, 3)
        worker(photos, out, 1, 3)
        found = read_status(out)
        shares = [Share(index, 3) for index in (0, 1)]
        files = [str(path.absolute()) for path in photos.rglob("*.png")]
        assert found["done"] == sum(share.takes(file) for share in shares for file in files)
        assert found["files"] == 9
        facts = json.loads((out / "workers" / "00001" / "status.json").read_text("utf-8"))
        running = json.dumps(facts | {"state": "running"})
        (out / "workers" / "00001" / "status.json").write_text(running)
        assert read_status(out)["state"] == "killed"
        with hold(out / "workers" / "00001"):
            assert read_status(out)["state"] == "running"
        far = json.dumps(facts | {"state": "running", "host": "elsewhere"})
        (out / "workers" / "00001" / "status.json").write_text(far)
        assert read_status(out)["state"] == "running"
        (out / "workers" / "00001" / "status.json").write_text('{"state": [], "files": "\\u001b"}')
        assert read_status(out)["state"] == "done"


def test_a_silent_worker_of_another_machine_is_not_gathered(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    worker(photos, out, 0, 2)
    (out / "workers" / "00009").mkdir(parents=True)
    far = json.dumps({"state": "running", "host": "elsewhere"})
    (out / "workers" / "00009" / "status.json").write_text(far)
    worker(photos, out, 1, 2)
    assert (out / "workers" / "00009").exists()


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (("--fresh",), "--fresh by worker 0 of 2; allowed: a run of one process"),
        (("--seed", 3), "holds another run: seed is 0, not 3"),
    ],
)
def test_workers_do_not_disagree(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    others: tuple[object, ...],
    said: str,
) -> None:
    out = tmp_path / "out"
    with hold_worker(out, "00001"):
        worker(photos, out, 0, 2, "--limit", 2)
        assert worker(photos, out, 0, 2, *others) == USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("how", [("--worker-index", 0, "--num-workers", 2), ("--engine", "ray")])
def test_what_images_share_is_searched_for_by_one_process(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: tuple[object, ...]
) -> None:
    out = tmp_path / "out"
    assert invert(photos, out, "-p", "mimicgan", *how) == USAGE
    said = capsys.readouterr().err
    assert "'mimicgan', whose images share surrogate; allowed: one process" in said
    assert not out.exists()


def test_two_processes_cannot_be_one_worker(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    out = tmp_path / "out"
    with hold_worker(out, "00001"):
        assert worker(photos, out, 1, 2) == USAGE
    assert "another run is writing into" in capsys.readouterr().err
    monkeypatch.setattr("jaxinv.runs.tables.WAIT", 0.1)
    with output_folder(out, RUN):
        assert worker(photos, out, 0, 2) == USAGE
