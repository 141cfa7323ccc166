"""What the commands about long runs say: kills, lost work, and memory."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import plan
from tests.weights import ROOT, SHARED


@pytest.mark.parametrize("life", [600.0, 3600.0, 86400.0])
@pytest.mark.parametrize("interval", [1.0, 30.0, 900.0])
def test_lost_work_is_as_expected(life: float, interval: float) -> None:
    found = plan.lost(life, interval, 60.0, 0.1)
    # Four standard deviations of the mean of so many exponential lives.
    margin = 4 / math.sqrt(plan.MACHINES)
    assert found == pytest.approx(plan.expected(life, interval, 60.0, 0.1), abs=margin)


def test_lost_work_in_cases_that_are_known() -> None:
    assert plan.expected(1e9, 10.0, 0.0, 0.0) == pytest.approx(0.0, abs=1e-6)
    assert plan.expected(3600.0, 1e5, 0.0, 0.0) == pytest.approx(1.0, abs=1e-6)
    # Half an interval, the start, and the time of checkpoints, where all are short.
    short = 5.0 / 1e5 / 2 + 20.0 / 1e5 + 0.01 / 5.01
    assert plan.expected(1e5, 5.0, 20.0, 0.01) == pytest.approx(short, rel=0.01)
    best = plan.best_interval(3600.0, 0.1)
    others = [plan.expected(3600.0, best * factor, 0.0, 0.1) for factor in (0.5, 1.0, 2.0)]
    assert min(others) == others[1]


def test_storage_is_that_of_the_run(tmp_path: Path) -> None:
    for folder in ("latents", "images", "report"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(bytes(300))
    (tmp_path / "results.jsonl").write_bytes(b"{}\n{}\n")
    found = plan.stored(tmp_path)
    assert found == {"latents": 150, "pictures": 150, "lines": 3, "report": 150}


def said(*words: str) -> str:
    command = [sys.executable, "-m", "tests.benchmarks", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "weights").is_dir(), reason="needs JAXINV_SHARED")
def test_runs_that_are_killed() -> None:
    text = said("kills", "--count", "4", "--images", "3", "--steps", "60", "--every", "0.2")
    assert "4 kills" in text
    assert "equal to the whole run byte for byte; no torn file" in text


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "weights").is_dir(), reason="needs JAXINV_SHARED")
def test_a_run_of_many() -> None:
    text = said("many", "--count", "20", "--steps", "10")
    assert "20 images, exit code 0" in text
    assert "memory after 100% of the images" in text
