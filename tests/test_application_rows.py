"""The table of applications: its rows are sound, and what was measured is not measured again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.applications import clips, faces, registry, segmentation
from tests.benchmarks.applications.rows import SIDE, Found, Missing, Row, said, write_sheet


def test_names_and_texts_of_rows_fit_a_table() -> None:
    assert all(re.fullmatch(r"[a-z0-9+-]+", name) for name in registry.ROWS)
    for row in registry.ROWS.values():
        assert row.claim
        assert not any(mark in text for text in (row[0], *row[2:]) for mark in "|\n")


def test_rows_of_every_file_of_the_folder_are_found() -> None:
    assert {"defense-gan", "styleclip"} <= set(registry.ROWS)
    with pytest.raises(ValueError, match="unknown application 'none'; allowed: "):
        registry.report(["none"], None)


def test_what_was_measured_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Path] = []

    def count(folder: Path) -> Found:
        calls.append(folder)
        return {"PSNR": 20.0 + len(calls)}, len(calls) < 2

    rows = {"one": Row("grows", count, "A 2020", "4 faces", "fine"), "two": Row("no", count)}
    monkeypatch.setattr(registry, "ROWS", rows)
    page = tmp_path / "page.md"
    for again in (False, False, True):
        registry.report(["one"], page, tmp_path / "out", again)
    assert calls == [tmp_path / "out" / "one"] * 2
    lines = [line for line in capsys.readouterr().out.splitlines() if "`one`" in line]
    assert [line.split(" | ")[3:] for line in lines] == [
        ["PSNR 21", "yes", "fine |"],
        ["PSNR 21", "yes", "fine |"],
        ["PSNR 22", "NO", "fine |"],
    ]
    text = page.read_text("utf-8")
    assert lines[-1] in text
    assert text.endswith("Not measured: `two`.\n")


def test_a_row_without_its_pictures_costs_that_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lack(folder: Path) -> Found:
        raise Missing(f"no photographs for {folder.name}")

    rows = {"one": Row("of people", lack), "two": Row("of none", lambda _: ("seen", None))}
    monkeypatch.setattr(registry, "ROWS", rows)
    registry.report([], tmp_path / "page.md", tmp_path)
    said_of = capsys.readouterr().out.splitlines()
    assert "no photographs for one" in said_of[2]
    assert "| seen | not decided |" in said_of[3]
    assert "Not measured: `one`." in (tmp_path / "page.md").read_text("utf-8")


def test_a_sheet_shows_floats_and_bytes_alike(tmp_path: Path) -> None:
    white = np.ones((32, 32, 3), np.float32)
    grey = np.full((300, 300, 3), 128, np.uint8)
    write_sheet(tmp_path, [[white, grey], [grey]], ("white", "grey"))
    seen = np.asarray(Image.open(tmp_path / "sheet.png"))
    middle = SIDE // 2
    assert (seen[16 + middle, middle] == 255).all()
    assert (seen[16 + middle, SIDE + 4 + middle] == 128).all()
    assert (seen[16 + SIDE + 4 + middle, middle] == 128).all()


def test_words_of_what_was_measured() -> None:
    assert said({"PSNR": 21.456, "faces": "4 of 4"}) == "PSNR 21.5; faces 4 of 4"
    assert said("as it is") == "as it is"


def test_a_frame_shows_its_picture_where_its_pose_says() -> None:
    picture = np.full((faces.SIZE, faces.SIZE, 3), -1.0)
    picture[98:103, 158:163] = 1.0  # around (160, 100)
    pose = clips.Pose(0.2, 1.1, 0.03, -0.02)
    seen = clips.frame(picture, pose)[..., 0] > 0
    rows, columns = np.nonzero(seen)
    middle = np.array([[columns.mean(), rows.mean()]])
    expected = clips.there(np.array([[160.0, 100.0]]), pose)
    np.testing.assert_allclose(middle, expected, atol=0.3)
    np.testing.assert_allclose(clips.back(expected, pose), [[160, 100]], atol=1e-9)


def test_regions_of_figures_are_their_colours_and_black_is_hair() -> None:
    colours = np.array([[200, 220, 250], [230, 160, 120], [120, 60, 20], [60, 200, 90]], float)
    picture = np.broadcast_to(colours[0], (64, 64, 3)).copy()
    picture[20:50, 16:48] = colours[1]
    picture[50:, 8:56] = colours[3]
    picture[8:20, 16:48] = 0  # black hair
    picture[35, 20:44] = 0  # a thin line on the skin
    picture[10:14, 20:30] = colours[3]  # a ribbon
    found = segmentation.regions(picture, colours)
    assert (found[0] == 0).all()
    assert (found[22:48, 18:46] == segmentation.SKIN).all()
    assert (found[10:18, 18:46] == segmentation.HAIR).all()
    assert (found[52:, 10:54] == segmentation.CLOTHES).all()
    assert segmentation.miou(found, found) == 1
    assert segmentation.iou(found, 3 - found, 1) == 0
