"""The training loop: exact resuming, what it leaves, and how it ends when something is wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.io.stopping import Stopped
from jaxinv.training.checkpoints import Checkpoints
from jaxinv.training.logs import EVENTS, LOG, read_log
from jaxinv.training.loop import MANIFEST, Job
from tests.training import toy


class Killed(BaseException):
    """What stands for a kill inside one process."""


def dying(at: int) -> Job:
    def step(state: Any, batch: Any, key: Any, number: int) -> Any:
        if number == at:
            raise Killed
        return toy.step(state, batch, key, number)

    return toy.job(step=step)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("run") / "whole"
    return folder, toy.fit(folder)


def test_it_learns_and_leaves_what_the_contract_says(whole: tuple[Path, Any]) -> None:
    folder, state = whole
    np.testing.assert_allclose(state["w"], toy.TRUE, atol=0.05)
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names - {EVENTS} == {MANIFEST, LOG, "checkpoints", "pictures", "report.html"}
    assert (EVENTS in names) == (find_spec("tensorboardX") is not None)
    lines = read_log(folder)
    assert [line["step"] for line in lines] == [5, 7, 10, 14, 15, 20, 21, 25, 28, 30, 35, 40]
    assert {line["step"] for line in lines if "error" in line} == {10, 20, 30, 40}
    assert [line["tenth"] for line in lines if "tenth" in line] == [0, 10, 20, 30]
    page = (folder / "report.html").read_text("utf-8")
    assert all(text in page for text in ("error", "data:image/png", "40 of 40"))
    best = min((line for line in lines if "error" in line), key=lambda line: line["error"])
    assert set(Checkpoints(folder).steps()) == {35, 40, best["step"]}


@pytest.mark.parametrize("moments", [(3,), (7,), (12, 24, 36), (10, 11, 12), (39,)])
def test_a_run_that_dies_ends_with_the_same_weights(
    moments: tuple[int, ...], whole: tuple[Path, Any], tmp_path: Path
) -> None:
    for moment in moments:
        with pytest.raises(Killed):
            toy.fit(tmp_path / "run", own=dying(moment))
    found = toy.fit(tmp_path / "run")
    np.testing.assert_array_equal(found["w"], whole[1]["w"])
    assert int(found["steps"]) == 40
    assert (tmp_path / "run" / LOG).read_bytes() == (whole[0] / LOG).read_bytes()


def test_a_finished_run_goes_on_when_more_steps_are_asked_for(
    whole: tuple[Path, Any], tmp_path: Path
) -> None:
    toy.fit(tmp_path / "run", 20)
    assert int(toy.fit(tmp_path / "run", 20)["steps"]) == 20
    np.testing.assert_array_equal(toy.fit(tmp_path / "run", 40)["w"], whole[1]["w"])


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_weights(
    whole: tuple[Path, Any], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.training.toy", str(tmp_path / "run"), "4000"]
    draws, kills = random.Random(5), 0
    while kills < 5:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        while not (tmp_path / "run" / LOG).exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draws.uniform(0, 2 + 0.2 * (time.monotonic() - began)))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    last = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    assert kills
    expected = toy.fit(tmp_path / "other", 4000)["w"]
    assert last == np.asarray(expected).tobytes().hex()


def test_what_was_not_written_before_the_end_is_written_later(tmp_path: Path) -> None:
    written: list[Any] = []
    own = toy.job(export=lambda state, folder: written.append(np.asarray(state["w"])))
    found = toy.fit(tmp_path / "run", 40, own)
    count = len(written)
    toy.fit(tmp_path / "run", 40, own)
    assert len(written) == count + 1
    np.testing.assert_array_equal(written[-1], found["w"])


def test_a_signal_keeps_the_step_that_was_reached(whole: tuple[Path, Any], tmp_path: Path) -> None:
    def step(state: Any, batch: Any, key: Any, number: int) -> Any:
        if number == 11:
            os.kill(os.getpid(), signal.SIGTERM)
        return toy.step(state, batch, key, number)

    with pytest.raises(Stopped):
        toy.fit(tmp_path / "run", own=toy.job(step=step))
    assert Checkpoints(tmp_path / "run").latest() == 12
    np.testing.assert_array_equal(toy.fit(tmp_path / "run")["w"], whole[1]["w"])


@pytest.mark.parametrize("harm", ["cut", "changed", "no seal", "no arrays", "another step"])
def test_a_torn_checkpoint_is_not_trusted(
    harm: str, whole: tuple[Path, Any], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        toy.fit(tmp_path / "run", own=dying(30))
    held = Checkpoints(tmp_path / "run")
    before, last = held.steps()[-2:]
    place = held.place(last)
    data = max(
        (f for f in (place / "state").rglob("*") if f.is_file()), key=lambda f: f.stat().st_size
    )
    if harm == "cut":
        data.write_bytes(data.read_bytes()[:-3])
    elif harm == "changed":
        raw = bytearray(data.read_bytes())
        raw[len(raw) // 2] ^= 1
        data.write_bytes(bytes(raw))
    elif harm == "no seal":
        (place / "sha256.json").unlink()
    elif harm == "no arrays":
        data.unlink()
    else:
        place.rename(held.place(last + 1))
    assert held.latest() == before
    np.testing.assert_array_equal(toy.fit(tmp_path / "run")["w"], whole[1]["w"])


def test_without_any_checkpoint_that_is_whole_it_starts_again(
    whole: tuple[Path, Any], tmp_path: Path
) -> None:
    toy.fit(tmp_path / "run", 15)
    for seal in (tmp_path / "run").rglob("sha256.json"):
        seal.write_text("{")
    np.testing.assert_array_equal(toy.fit(tmp_path / "run")["w"], whole[1]["w"])


def broken(at: int, where: str) -> Job:
    """Something is not finite from step `at` on: what it tells, or its weights."""

    def step(state: Any, batch: Any, key: Any, number: int) -> Any:
        state, metrics = toy.step(state, batch, key, number)
        if number >= at and where == "loss":
            metrics = {**metrics, "loss": jnp.asarray(jnp.nan)}
        if number >= at and where == "weights":
            state = {**state, "w": state["w"].at[1].set(jnp.inf)}
        return state, {} if where == "weights" else metrics

    return toy.job(step=step)


@pytest.mark.parametrize("where", ["loss", "weights", "validation"])
def test_it_stops_where_a_number_is_not_finite(where: str, tmp_path: Path) -> None:
    own = broken(15, where)
    if where == "validation":
        own = toy.job(validate=lambda state: ({"error": float("nan")}, {}))
    told = {"loss": "loss is nan at step 16", "validation": "error is nan at step 10"}
    with pytest.raises(RuntimeError, match=told.get(where, "weights are not finite after step 20")):
        toy.fit(tmp_path / "run", own=own)
    last = Checkpoints(tmp_path / "run").latest()
    assert last == {"loss": 14, "weights": 14, "validation": 7}[where]


def full(place: Any, state: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["arrays", "seal"])
def test_a_full_disk_leaves_the_last_good_checkpoint(
    where: str, whole: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.fit(tmp_path / "run", 14)
    with monkeypatch.context() as patch:
        if where == "arrays":
            import orbax.checkpoint as ocp

            patch.setattr(ocp.StandardCheckpointer, "save", lambda self, *given: full(*given))
        else:
            patch.setattr("jaxinv.training.checkpoints.write_json", full)
        with pytest.raises(OSError, match=r"step 20 .*No space left.* last good one \(14\)"):
            toy.fit(tmp_path / "run")
    assert Checkpoints(tmp_path / "run").latest() == 14
    np.testing.assert_array_equal(toy.fit(tmp_path / "run")["w"], whole[1]["w"])


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    toy.fit(tmp_path / "run", 5)
    with pytest.raises(ValueError, match='what is "toy", not "other"'):
        toy.fit(tmp_path / "run", 5, facts={"what": "other"})
    with pytest.raises(ValueError, match="seed is 3, not 4"):
        toy.fit(tmp_path / "run", 5, seed=4)
    other = tmp_path / "strange"
    other.mkdir()
    (other / MANIFEST).write_text(json.dumps({"schema": 2}))
    with pytest.raises(ValueError, match=r"run\.json"):
        toy.fit(other, 5)


@pytest.mark.parametrize("name", ["steps", "log_every", "validate_every", "save_every"])
def test_counts_below_one_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got 0"):
        toy.run(tmp_path, **{name: 0})
