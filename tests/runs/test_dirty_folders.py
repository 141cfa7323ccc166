"""Folders in which a tenth of the files is broken: every good one is done, every bad one listed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaxinv.cli.console import SOME_FAILED
from jaxinv.cli.main import main
from jaxinv.runs.inputs import shown
from tests.dirty import ways, write_dirty_folder
from tests.offline import go_offline, photo, read_results
from tests.tiers import mostly_slow

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, sockets and names of bytes")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def invert(place: Path, out: Path, *others: str) -> int:
    words = ["-g", "tiny", "-p", "pixels", "--steps", "1", "--no-scores", "--batch", "8"]
    return main(["invert", str(place), "-o", str(out), *words, *others])


def check(out: Path, place: Path, good: list[str], bad: list[str]) -> None:
    """One line for every file; reasons are one printable line each, and in the report."""
    lines = {line["file"]: line for line in read_results(out)}
    assert lines.keys() == {shown(place / name) for name in (*good, *bad)}
    for name in good:
        assert lines[shown(place / name)]["status"] == "ok"
    page = (out / "report.html").read_text("utf-8")
    for name in bad:
        line = lines[shown(place / name)]
        assert (line["status"], bool(line["reason"])) == ("skipped", True), name
        assert line["reason"].isprintable()
        assert len(line["reason"]) < 300
    assert "\x1b" not in page
    assert "<b>tag" not in page
    assert f"{len(good)} of {len(good) + len(bad)} files inverted" in page


def test_there_are_twenty_ways() -> None:
    assert len(ways()) >= 20


@pytest.mark.parametrize("count", mostly_slow((70, 1000), (70,)))
def test_a_dirty_folder(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, out = tmp_path / "photos", tmp_path / "out"
    good, bad = write_dirty_folder(place, count)
    assert invert(place, out, "--shard-size", "500") == SOME_FAILED
    assert f"{len(good)} images inverted, {len(bad)} failed" in capsys.readouterr().out
    check(out, place, good, bad)
    # Those that are mended are done by the same command; nothing else is.
    (place / bad[0]).unlink()
    (place / bad[0]).write_bytes(photo(1))
    assert invert(place, out, "--shard-size", "500") == SOME_FAILED
    check(out, place, [*good, bad[0]], bad[1:])


@pytest.mark.parametrize("name", mostly_slow(ways(), ("outside.png", "bomb.png")))
def test_each_way_costs_one_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "photos"
    place.mkdir()
    ways()[name](place / name)
    (place / "good.png").write_bytes(photo(3))
    assert invert(place, tmp_path / "out") == SOME_FAILED
    check(tmp_path / "out", place, ["good.png"], [name])
    assert "Traceback" not in capsys.readouterr().err
