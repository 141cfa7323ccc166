"""Runs whose disk is full: a clean error, nothing torn, and with room again the same results."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxinv.cli.console import DONE, UNFINISHED
from jaxinv.cli.main import main
from jaxinv.io.latent_files import load_latents
from tests.offline import go_offline, read_results, write_photos
from tests.tiers import mostly_slow

NAMES = [f"{i:02d}.png" for i in range(12)]
WAYS = {"single": (), "packed": ("--shard-size", "4")}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def invert(photos: Path, out: Path, *others: str) -> int:
    words = ["-g", "tiny", "-p", "pixels", "--steps", "1", "--no-scores"]
    return main(["invert", str(photos), "-o", str(out), *words, *others])


def latents(out: Path) -> dict[str, bytes]:
    """The codes of all results, wherever they lie."""
    names = [line["name"] for line in read_results(out)]
    found = {name: load_latents(out / "latents" / f"{name}.safetensors")[0] for name in names}
    return {name: code["w+"].tobytes() for name, code in found.items()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), NAMES)


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The codes of a run with room."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        go_offline(tmp_path_factory.getbasetemp(), patch)
        assert invert(photos, out) == DONE
    return latents(out)


def said_cleanly(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what was wrong; nothing else looks like an error."""
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback" not in "".join(lines)
    assert len([line for line in lines if "No space left on device" in line]) == 1


def nothing_torn(out: Path, before: dict[str, bytes]) -> None:
    """No half file lies under a final name, and what was finished is as it was."""
    assert not list(out.rglob("*.tmp"))
    for file in out.rglob("*.safetensors"):
        if file.parent.name == "latents":
            load_latents(file)
    for file in out.rglob("*.png"):
        assert file.read_bytes().endswith(b"IEND\xaeB`\x82")
    for name, code in before.items():
        assert load_latents(out / "latents" / f"{name}.safetensors")[0]["w+"].tobytes() == code


CASES = [(way, after) for way in WAYS for after in (0, 1, 2, 3, 5, 9, 14, 20, 27, 33, 40)]


@pytest.mark.parametrize(("way", "after"), mostly_slow(CASES, [("single", 9), ("packed", 20)]))
def test_a_disk_that_is_full_from_some_write_on(
    way: str, after: int, photos: Path, whole: dict[str, bytes], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Whatever is published goes through `fsync`: each such write fails from the given one on."""
    out, more, left, fsync = tmp_path / "out", WAYS[way], [10**6], os.fsync
    assert invert(photos, out, *more, "--limit", "4") == DONE
    before = latents(out)

    def full(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        left[0] = after
        capsys.readouterr()
        assert invert(photos, out, *more) == UNFINISHED
    said_cleanly(capsys)
    nothing_torn(out, before)
    assert invert(photos, out, *more) == DONE
    assert latents(out) == whole
    assert "12 of 12 files inverted" in (out / "report.html").read_text("utf-8")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory; `grow` makes it larger."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None or not mounted(place, "size=160k"):
        pytest.skip("needs the right to mount a file system in memory")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def mounted(place: Path, options: str) -> bool:
    """Whether a file system in memory lies at `place` now."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_small_file_system(
    way: str, photos: Path, whole: dict[str, bytes], small_disk: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = small_disk / "out"
    assert invert(photos, out, *WAYS[way], "--limit", "2") == DONE
    before = latents(out)
    for _ in range(2):  # again without any room
        capsys.readouterr()
        assert invert(photos, out, *WAYS[way]) == UNFINISHED
        said_cleanly(capsys)
        nothing_torn(out, before)
    assert mounted(small_disk, "remount,size=16m")
    assert invert(photos, out, *WAYS[way]) == DONE
    assert latents(out) == whole
