"""The table of scores: every entry measures what it says, and nothing else has to know of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jaxinv.metrics import table
from jaxinv.metrics.table import METRICS, Metric
from jaxinv.models.loading import load_features
from jaxinv.reports.html import report_html
from jaxinv.reports.items import ReportItem
from jaxinv.runs.results import ImageResult
from tests.benchmarks import tables
from tests.offline import SIDE, go_offline

# What equal pictures score. A new metric is one line here.
EQUAL = {"psnr": np.inf, "ssim": 1.0, "ms_ssim": 1.0, "lpips_alex": 0.0, "lpips_vgg": 0.0}
EQUAL |= {"mse": 0.0, "l1": 0.0, "identity": 0.0}
MEASURED = {name for name, metric in METRICS.items() if metric.measure}


def pair(amount: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 [1, h, w, 3], and the same with noise."""
    draws = np.random.default_rng(0)
    clean = draws.integers(64, 192, (1, SIDE, SIDE, 3))
    noise = draws.integers(-amount, amount + 1, clean.shape)
    return clean.astype(np.uint8), (clean + noise).astype(np.uint8)


@pytest.fixture
def nets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> dict:
    go_offline(tmp_path_factory.getbasetemp(), monkeypatch)
    return load_features(table.NETS)


def test_equal_pictures_score_best(nets: dict) -> None:
    assert set(EQUAL) == MEASURED
    equal, faint, loud = (table.measure(*pair(amount), nets) for amount in (0, 8, 60))
    small = {name for name in table.ALWAYS if METRICS[name].least <= SIDE}
    assert set(equal) == small  # no dlib files in this cache folder
    for name, value in equal.items():
        assert value == pytest.approx(EQUAL[name], abs=1e-6)
        assert (loud[name] > faint[name] > value) == METRICS[name].lower_is_better
        assert (loud[name] < faint[name] < value) != METRICS[name].lower_is_better


def test_a_new_score_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(METRICS):
        monkeypatch.delitem(METRICS, name)
    found = Metric("mean <error>", ".1f", " levels", True, lambda x, y, _: abs(1.0 * x - y).mean(1))
    monkeypatch.setitem(METRICS, "error", found)
    black = np.zeros((1, 1), np.uint8)
    scores = table.measure(black, black + 3, {})
    assert scores == {"error": 3.0}
    assert ImageResult("a.png", "a", "ok", scores=scores).record()["error"] == 3.0
    page = report_html({}, [ReportItem("a.png", "ok", metrics=scores)], METRICS)
    assert "mean mean &lt;error&gt;</span><b>3.0 levels</b>" in page


def test_files_that_are_missing_leave_a_score_out(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Metric("a", measure=lambda x, y, _: x[:, 0], available=lambda: True)
    for name in tuple(METRICS):
        monkeypatch.delitem(METRICS, name)
    monkeypatch.setitem(METRICS, "here", here)
    monkeypatch.setitem(METRICS, "away", Metric("b", measure=here.measure, available=bool))
    assert table.measure(np.ones((1, 1), np.uint8), np.ones((1, 1), np.uint8), {}) == {"here": 1.0}


def test_a_line_without_a_target_has_null_for_what_everybody_can_measure() -> None:
    line = ImageResult("a.png", "a", "skipped").record()
    assert {"psnr", "ssim", "lpips_alex", "lpips_vgg"} <= set(table.ALWAYS)
    assert all(line[name] is None for name in table.ALWAYS)
    assert not {"identity", "misfit", "noise", "psnr_missing"} & set(line)


def test_finished_runs_make_one_table(tmp_path: Path) -> None:
    scored = [{"psnr": 20.0, "lpips_alex": 0.25}, {"psnr": 30.0, "lpips_alex": 0.75}]
    lines = [
        ImageResult("a.png", "a", "ok", scores=scores, evaluations=50, seconds=3.0).record()
        for scores in scored
    ]
    lines.append(ImageResult("b.png", "b", "skipped").record())
    text = "".join(json.dumps(line | {"preset": "quick"}) + "\n" for line in lines)
    (tmp_path / "results.jsonl").write_text(text)
    cells = dict(zip(tables.HEAD, tables.row(tmp_path), strict=True))
    assert (cells["preset"], cells["evaluations"], cells["ok"]) == ("quick", "50", "2 of 3")
    assert cells["PSNR mean / worst"] == "25.00 / 20.00"
    assert cells["LPIPS (Alex) mean / worst"] == "0.500 / 0.750"
    assert cells["SSIM mean / worst"] == ""
    assert cells["seconds per image"] == "3.0"
