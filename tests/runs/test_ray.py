"""Ray shares out the files: whatever dies meanwhile, the results are those of one process."""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from jaxinv.cli.console import SOME_FAILED, STOPPED, USAGE
from jaxinv.cli.main import main
from jaxinv.runs.ray_engine import Cluster, _arguments, _fitting, _usual
from tests.offline import go_offline, photo, write_photos
from tests.runs.processes import end, same, start

NAMES = [f"{name}.png" for name in "abcdefghijkl"]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = tmp_path_factory.getbasetemp()
    go_offline(base, monkeypatch)
    return base


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve files, a broken one, and one whose content is there already."""
    place = write_photos(tmp_path / "photos", NAMES)
    (place / "broken.png").write_bytes(photo(5)[:80])
    (place / os.fsdecode(b"twin\xff.png")).write_bytes(photo(1))
    return place


def words(photos: Path, out: Path, *others: object) -> list[object]:
    usual = ["invert", photos, "-g", "tiny", "-p", "pixels", "--no-scores", "-o", out]
    return [*usual, *others]


RAY = ("--engine", "ray", "--num-workers", "2")


@pytest.mark.slow
@needs_ray
def test_two_actors_one_of_them_killed(base: Path, photos: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main([str(word) for word in words(photos, whole)]) == SOME_FAILED
    child = start(base, words(photos, out, *RAY))
    killed = 0
    while child.poll() is None and not killed:
        time.sleep(0.05)
        for place in (out / "workers").glob("ray-*"):
            lines = place / "results.jsonl"
            if lines.is_file() and lines.stat().st_size:
                os.kill(killed := int(place.name.rpartition("-")[2]), signal.SIGKILL)
                break
    code, said = end(child)
    assert killed
    assert code == SOME_FAILED, said
    assert "broken.png: " in said
    same(out, whole)


@pytest.mark.slow
@needs_ray
def test_it_stops_and_goes_on(base: Path, photos: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main([str(word) for word in words(photos, whole)]) == SOME_FAILED
    child = start(base, words(photos, out, *RAY))
    while child.poll() is None and not list((out / "images").glob("*.png")):
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    code, said = end(child)
    assert code in (STOPPED, SOME_FAILED), said
    assert (out / "report.html").is_file()
    assert not (out / "workers").exists()
    assert main([str(word) for word in words(photos, out)]) == SOME_FAILED
    same(out, whole)


@pytest.mark.slow
@needs_ray
def test_what_cannot_begin_is_said(base: Path, photos: Path, tmp_path: Path) -> None:
    child = start(base, words(photos, tmp_path / "out", *RAY, "--size", "4"))
    code, said = end(child)
    assert code == USAGE
    assert "--size 4; allowed: 16 to" in said


def test_resources() -> None:
    assert _usual({"CPU": 8.0}) == {"CPU": 1.0}
    assert _usual({"CPU": 8.0, "GPU": 2.0, "TPU": 0.0}) == {"GPU": 1.0}
    assert _fitting({"CPU": 8.0, "GPU": 2.0}, {"GPU": 1.0, "CPU": 3.0}) == 2
    assert _arguments({"GPU": 1.0, "CPU": 2.0}) == {"num_gpus": 1.0, "num_cpus": 2.0}
    assert _arguments({"TPU": 4.0}) == {"resources": {"TPU": 4.0}}
    with pytest.raises(ValueError, match="--ray-resource GPU=0"):
        Cluster(None, (("GPU", 0.0),))


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (("--worker-index", 1), "--worker-index 1 with --engine ray"),
        (("--ray-resource", "GPU"), "--ray-resource"),
    ],
)
def test_wrong_usage(
    base: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    others: tuple[object, ...],
    said: str,
) -> None:
    command = words(photos, tmp_path / "out", "--engine", "ray", *others)
    assert main([str(word) for word in command]) == USAGE
    assert said in capsys.readouterr().err


def test_without_ray(
    base: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    command = words(photos, tmp_path / "out", *RAY)
    assert main([str(word) for word in command]) == USAGE
    assert "jaxinv[ray]" in capsys.readouterr().err
