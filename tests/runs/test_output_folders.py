"""Runs never replace what they read, nor what no run has written, nor each other's results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import jaxinv
from jaxinv.cli.console import DONE, UNFINISHED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.files import find_images
from jaxinv.io.latent_files import save_latents
from jaxinv.io.output_folder import LOCK, RUN, STUDY, check_output, output_folder
from jaxinv.runs import finish
from jaxinv.runs.doctor import TINY
from jaxinv.studies.plots import PLOTS
from tests.offline import go_offline, photo, read_results, write_photos


@pytest.fixture(autouse=True)
def here(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The current folder, without a network."""
    go_offline(tmp_path_factory.getbasetemp(), monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def inside(folder: Path) -> None:
    write_photos(folder / "images", ["a.png", "b.png"])


def linked_in(folder: Path) -> None:
    write_photos(folder / "elsewhere", ["a.png"])
    (folder / "images").symlink_to("elsewhere")


def linked_out(folder: Path) -> None:
    write_photos(folder / "photos", ["a.png"])
    (folder / "out").mkdir()
    (folder / "out" / "images").symlink_to("../photos")


def linked_below(folder: Path) -> None:
    write_photos(folder / "photos", ["a.png"])
    (folder / "out" / "samples").mkdir(parents=True)
    (folder / "out" / "samples" / "a").symlink_to("../../photos")


def other_case(folder: Path) -> None:
    write_photos(folder / "Images", ["a.png"])


def masks(folder: Path) -> None:
    write_photos(folder / "photos", ["a.png"])
    write_photos(folder / "out" / "degraded", ["a.png"])


def measured(folder: Path) -> None:
    (folder / "degraded").mkdir()
    np.save(folder / "degraded" / "a.npy", np.zeros(5, np.float32))


def landmarks(folder: Path) -> None:
    write_photos(folder / "photos", ["a.png"])
    (folder / "out").mkdir()
    (folder / "out" / "run.json").write_text("{}")


INVERT = ["invert", "-g", "tiny", "-p", "pixels", "-o"]
INPAINT = ["inpaint", "-g", "tiny", "-p", "pixels", "-o"]
RECOVER = ["recover", "-g", "tiny", "-p", "pixels", "--operator", "dense:count=5,seed=1", "-o"]


@pytest.mark.parametrize(
    ("make", "command"),
    [
        (inside, [*INVERT, ".", "images"]),
        (inside, [*INVERT, "images/..", "images"]),
        (inside, [*INVERT, ".", "images/a.png"]),
        (inside, [*INVERT, ".", "."]),
        (inside, [*INVERT, "images/../../HERE", "images"]),
        (linked_in, [*INVERT, ".", "images"]),
        (linked_in, [*INVERT, ".", "elsewhere"]),
        (linked_out, [*INVERT, "out", "photos"]),
        (linked_below, [*INVERT, "out", "photos/a.png"]),
        (other_case, [*INVERT, ".", "Images"]),
        (masks, [*INPAINT, "out", "photos", "--mask", "out/degraded"]),
        (masks, [*INPAINT, "out", "photos", "--mask", "out/degraded/a.png"]),
        (measured, [*RECOVER, ".", "degraded/a.npy"]),
        (landmarks, [*INVERT, "out", "photos", "--align", "out/run.json"]),
        (inside, ["denoise", *INVERT[1:], ".", "images"]),
    ],
)
def test_no_run_replaces_what_it_reads(
    make: Callable[[Path], None],
    command: list[str],
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(here)
    before = contents(here)
    assert main([word.replace("HERE", here.name) for word in command]) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "might replace" in line
    assert contents(here) == before


def test_results_of_nobody_are_not_replaced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(here, ["a.png"])
    write_photos(here / "trip" / "images", ["a.png"])
    before = contents(here)
    assert main([*INVERT, "trip", "a.png"]) == USAGE
    assert "trip/images is there, and no earlier run wrote it" in capsys.readouterr().err
    assert contents(here) == before


def test_results_inside_the_photos_are_not_read_back(here: Path) -> None:
    photos = write_photos(here / "photos", ["a.png"])
    for out in ("photos/out", "photos/out", "photos/other", "photos"):
        assert main([*INVERT, out, "photos"]) == DONE
        assert [line["name"] for line in read_results(Path(out))] == ["a"]
    assert (photos / "a.png").read_bytes() == photo(0)
    # What is asked for by name is read, into another folder.
    assert main([*INVERT, "again", "photos/out/images"]) == DONE
    assert main([*INVERT, "photos/out", "photos/out/images"]) == USAGE


def test_links_among_results_are_replaced_and_not_followed(here: Path) -> None:
    write_photos(here / "photos", ["a.png"])
    assert main([*INVERT, "out", "photos"]) == DONE
    for name in ("results.jsonl", "report.html", "images/a.png"):
        (here / "out" / name).unlink()
        os.link(here / "photos" / "a.png", here / "out" / name)
    (here / "photos" / "b.png").symlink_to("a.png")
    assert main([*INVERT, "out", "photos/b.png"]) == USAGE  # its bytes would be lost twice
    (here / "out" / "report.html").unlink()
    for name in ("results.jsonl", "images/a.png"):
        (here / "out" / name).unlink()
        (here / "out" / name).symlink_to(here / "kept.png")
    (here / "kept.png").write_bytes(photo(7))
    assert main([*INVERT, "out", "photos/a.png"]) == DONE
    assert (here / "kept.png").read_bytes() == photo(7)
    assert (here / "photos" / "a.png").read_bytes() == photo(0)


def test_a_study_replaces_no_picture(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(here / "photos", ["seconds.png"])
    before = contents(here)
    study = ["study", "pixels", "-g", "tiny", "--images", "photos", "-o", "photos"]
    assert main(study) == USAGE
    assert "might replace photos/seconds.png" in capsys.readouterr().err
    assert contents(here) == before
    assert {f"{name}.png" for name in PLOTS} <= STUDY.names
    for name in ("study.json", "seconds.png", "mine.png"):
        (here / "photos" / name).touch()
    assert [file.name for file in find_images([here])] == ["mine.png"]


def test_drawing_replaces_neither_what_it_reads_nor_photos(
    here: Path,
) -> None:
    code = {"w": np.zeros(TINY.w_dim, np.float32)}
    save_latents(here / "a.png", code, {"generator": "tiny"})
    save_latents(here / "b.safetensors", code, {"generator": "tiny"})
    write_photos(here / "photos", ["b.png"])
    before = contents(here)
    assert main(["render", "a.png", "-o", "."]) == USAGE
    assert main(["render", "b.safetensors", "-o", "photos"]) == USAGE
    assert main(["sample", "b.safetensors", "-o", "./b.safetensors"]) == USAGE
    assert main(["sample", "tiny", "-o", "photos"]) == USAGE
    assert contents(here) == before
    for _ in range(2):
        assert main(["render", "b.safetensors", "-o", "new"]) == DONE
    assert main(["render", "b.safetensors", "-o", "photos", "--overwrite"]) == DONE
    assert contents(here / "new") == contents(here / "photos")


def test_conversion_does_not_replace_its_file(here: Path) -> None:
    (here / "a.safetensors").write_bytes(b"anything")
    assert main(["convert", "a.safetensors", "-o", "../" + here.name + "/a.safetensors"]) == USAGE
    assert (here / "a.safetensors").read_bytes() == b"anything"


def test_pictures_are_replaced_only_if_asked_for(here: Path) -> None:
    one, other = np.zeros((2, 16, 16, 3), np.uint8), np.full((2, 16, 16, 3), 9, np.uint8)
    jaxinv.write_images("photos", one, names=["a", "b"])
    jaxinv.write_images("photos", one, names=["a", "b"])
    before = contents(here)
    with pytest.raises(ValueError, match=r"b\.png is there"):
        jaxinv.write_images("photos", np.stack([one[0], other[1]]), names=["a", "b"])
    with pytest.raises(ValueError, match=r"b\.png is there"):
        jaxinv.write_images("photos", other, names=["c", "b"])
    assert contents(here) == before
    jaxinv.write_images("photos", other, names=["a", "b"], overwrite=True)
    assert contents(here) != before


HOLD = """
import signal, sys, time
from jaxinv.io.output_folder import RUN, output_folder
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
with output_folder("out", RUN):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_one_run_at_a_time_writes_into_a_folder(
    here: Path, end: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(here / "photos", ["a.png"])
    root = str(Path(jaxinv.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": root},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        before = contents(here)
        assert main([*INVERT, "out", "photos"]) == USAGE
        assert "another run is writing into out" in capsys.readouterr().err
        assert (
            main(["study", "pixels", "-g", "tiny", "--self", "1", "-o", "photos/../out"]) == USAGE
        )
        assert contents(here) == before
        other.send_signal(end)
        other.wait(60)
    assert main([*INVERT, "out", "photos"]) == DONE  # what a dead process left is no lock


def test_a_run_lets_go_however_it_ends(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(here / "photos", ["a.png"])
    for error, code in (
        (KeyboardInterrupt, UNFINISHED),
        (OSError, UNFINISHED),
        (ValueError, USAGE),
    ):

        def fail(*_: object, error: type[BaseException] = error) -> None:
            raise error("stop")

        with monkeypatch.context() as patch:
            patch.setattr(finish, "score_each", fail)
            assert main([*INVERT, "out", "photos"]) == code
        with FileLock(here / "out" / LOCK, timeout=0):
            pass
    assert main([*INVERT, "out", "photos"]) == DONE


def test_a_stale_lock_file_of_any_content_is_no_lock(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / LOCK).write_text(f"{os.getpid()}\n{time.time()}")
    with output_folder("out", RUN):
        assert (here / "out" / LOCK).read_text() != ""  # opened, never emptied
    check_output(here / "out", RUN, [here / "missing.png"])
