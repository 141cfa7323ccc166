"""Two processes of `jax.distributed` on this machine: the results of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxinv.cli.console import DONE, SOME_FAILED
from jaxinv.cli.main import main
from jaxinv.specs.serialization import to_json
from jaxinv.training.logs import read_log
from tests.cli.test_train_encoder import PLAIN
from tests.offline import go_offline, photo, write_photos
from tests.runs.processes import end, same, start, together

NAMES = [f"{name}.png" for name in "abcdef"]


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = tmp_path_factory.getbasetemp()
    go_offline(base, monkeypatch)
    return base


@pytest.mark.slow
def test_inversion_by_two_processes(base: Path, tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", NAMES), tmp_path / "out"
    (photos / "broken.png").write_bytes(photo(5)[:80])
    words = ["invert", photos, "-g", "tiny", "-p", "pixels", "--no-scores"]
    assert main([*map(str, words), "-o", str(tmp_path / "whole")]) == SOME_FAILED
    found = together(base, [*words, "-o", out, "--engine", "distributed"])
    assert sorted(code for code, _ in found) == [DONE, SOME_FAILED], found
    same(out, tmp_path / "whole")


@pytest.mark.slow
def test_training_by_two_processes(base: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text(to_json(PLAIN), "utf-8")
    words: list[object] = ["train-encoder", tmp_path / "plain.json", "-g", "tiny", "--held", "16"]
    words += ["--steps", "30", "--log-every", "1", "--validate-every", "15", "--save-every", "10"]
    one = end(start(base, [*words, "-o", tmp_path / "one"]))
    assert one[0] == DONE, one
    found = together(base, [*words, "-o", tmp_path / "two", "--engine", "distributed"])
    assert [code for code, _ in found] == [DONE, DONE], found
    logs = [read_log(tmp_path / name) for name in ("one", "two")]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]
    for name in ("loss", "validation", "psnr"):
        curves = [[line[name] for line in log if name in line] for log in logs]
        np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4, err_msg=name)
    for name in ("encoder.safetensors", "report.html", "checkpoints"):
        assert (tmp_path / "two" / name).exists()
    # It goes on, by itself or with others, and there is nothing left to do.
    code, said = end(start(base, [*words, "-o", tmp_path / "two"]))
    assert code == DONE
    assert "finished: 30 steps" in said
