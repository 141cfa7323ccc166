"""Searches that end by themselves make room for others, and none of them notices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.inversion import batch, refilling, stages
from jaxinv.inversion.result import Inversion
from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.specs import InitSpec, Stop, Term, Variable
from tests.engine import one, preset, run, targets

ROOT = Path(__file__).parents[2]
WIDTH, STEPS = 4, 60
PLATEAU = Stop(kind="plateau", patience=5, gain=0.02)
BELOW = Stop("mse", below=0.012)


def pictures() -> np.ndarray:
    """Some that are found at once, and some that never are."""
    found = targets(11).copy()
    found[::3] += 0.3 * np.random.default_rng(2).standard_normal(found[::3].shape)
    return found.astype(np.float32)


def same(found: Inversion, other: Inversion) -> None:
    for name in ("latents", "loss", "losses", "evaluations", "status", "terms"):
        pairs = jax.tree.leaves(getattr(found, name)), jax.tree.leaves(getattr(other, name))
        assert len(pairs[0]) == len(pairs[1])
        for a, b in zip(*pairs, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


def by_fours(made: Any, images: np.ndarray, **others: Any) -> list[Inversion]:
    """The same searches, four at a time, each four in a call of its own."""
    parts = [np.resize(images[i : i + WIDTH], (WIDTH, *images.shape[1:])) for i in (0, 4, 8)]
    return [run(made, part, width=WIDTH, batch=WIDTH, **others) for part in parts]


@pytest.mark.parametrize(
    "made",
    [
        preset(one(steps=STEPS, stop=PLATEAU)),
        preset(one(steps=STEPS, stop=BELOW)),
        preset(
            one(Variable("w", init=InitSpec("best-of", count=4)), steps=STEPS, stop=PLATEAU),
            one(Variable("w+"), steps=STEPS, stop=BELOW),
        ),
    ],
    ids=["plateau", "below", "two stages"],
)
def test_results_are_those_of_full_batches(made: Any) -> None:
    images = pictures()
    found = run(made, images, width=WIDTH, batch=len(images), record_terms=("mse",))
    parts = by_fours(made, images, record_terms=("mse",))
    assert len(set(found.evaluations.tolist())) > 1, "all take as long: nothing to refill"
    for index in range(len(images)):
        part, row = parts[index // WIDTH], index % WIDTH
        for name in ("loss", "evaluations", "status"):
            assert getattr(found, name)[index] == getattr(part, name)[row], (index, name)
        np.testing.assert_array_equal(found.losses[index], part.losses[row])
        np.testing.assert_array_equal(found.terms["mse"][index], part.terms["mse"][row])
        for space, code in found.latents.items():
            np.testing.assert_array_equal(code[index], part.latents[space][row])


def test_fewer_chunks_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks: list[int] = []
    original = refilling.run_chunk

    def counted(*arguments: Any) -> Any:
        chunks.append(1)
        return original(*arguments)

    monkeypatch.setattr(refilling, "run_chunk", counted)
    monkeypatch.setattr(stages, "run_chunk", counted)
    made, images = preset(one(steps=STEPS, stop=PLATEAU)), pictures()
    found = run(made, images, width=WIDTH, batch=len(images))
    together = len(chunks)
    by_fours(made, images)
    assert together < len(chunks) - together
    # No search holds another: at least as much is done in a chunk as the longest one needs.
    needed = np.ceil(found.evaluations / refilling.CHUNK)
    assert together <= needed.sum() / WIDTH + needed.max() + 1


def test_a_search_that_ended_early_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, images = preset(one(steps=STEPS, stop=PLATEAU)), pictures()
    usual = {"width": WIDTH, "batch": len(images), "record_terms": ("mse",)}
    whole = run(made, images, **usual)
    kept = SearchCheckpoints(tmp_path, every=0.0)
    for after in (1, 3, 6):
        seen: list[Any] = []

        def stop(progress: Any, seen: list[Any] = seen, after: int = after) -> None:
            seen.append(progress)
            if len(seen) == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(made, images, report=stop, checkpoints=kept, **usual)
    same(run(made, images, checkpoints=kept, **usual), whole)


def test_progress_goes_up_to_the_end() -> None:
    said: list[Any] = []
    made, images = preset(one(steps=STEPS, stop=PLATEAU)), pictures()
    run(made, images, width=WIDTH, batch=len(images), report=said.append)
    steps = [progress.step for progress in said]
    assert steps == sorted(steps)
    assert steps[-1] == STEPS
    assert len(said[-1].losses) == len(images)
    assert np.isfinite(said[-1].losses).all()


def test_where_several_batches_are_given_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, plain = preset(one(stop=BELOW)), preset(one())
    assert batch.batches_given(ends, 8) == 1  # on a CPU images are searched for one by one
    both = Variable("w"), Variable("weights", shared=True)
    shared = preset(one(*both, stop=BELOW))
    monkeypatch.setattr(batch.jax, "local_device_count", lambda: 4)
    assert batch.batches_given(ends, 8) == batch.REFILLS  # one on each device
    assert batch.batches_given(plain, 8) == batch.batches_given(shared, 8) == 1
    assert [batch.padded_size(count, 4) for count in (1, 4, 5, 8, 15)] == [4, 4, 8, 8, 16]
    monkeypatch.setattr(batch.jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(batch.jax, "default_backend", lambda: "gpu")
    assert batch.batches_given(ends, 8) == batch.REFILLS
    assert batch.batches_given(ends, 1) == 1
    assert batch.batches_given(plain, 8) == 1
    own = preset(one(Variable("weights"), Variable("w"), terms=(Term("mse"),), stop=BELOW))
    assert batch.batches_given(own, 8) == 1


def test_images_are_given_together_and_searched_for_by_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, images = preset(one(steps=STEPS, stop=PLATEAU)), pictures()
    alone = [run(made, images[i : i + 1], width=1) for i in range(len(images))]
    monkeypatch.setattr(batch, "sequential", lambda stage: False)
    slots: list[tuple[int, int]] = []
    original = refilling.slots_of

    def noted(problem: Any, count: int) -> int:
        slots.append((original(problem, count), count))
        return slots[-1][0]

    monkeypatch.setattr(batch, "slots_of", noted)
    found = run(made, images, batch=WIDTH)
    assert slots == [(WIDTH, len(images))]
    for index, one_alone in enumerate(alone):
        np.testing.assert_allclose(found.loss[index], one_alone.loss[0], rtol=1e-4)


ON_DEVICES = """
import jax, numpy as np
from jaxinv.inversion import refilling
from tests.engine import one, preset, run
from tests.inversion.test_refilling import PLATEAU, STEPS, pictures
assert jax.local_device_count() == 8
began, chunks, original = [], [], (refilling._begin, refilling.run_chunk)
refilling._begin = lambda *given: began.append(given[-1].tolist()) or original[0](*given)
refilling.run_chunk = lambda *given: chunks.append(1) or original[1](*given)
made = preset(one(steps=STEPS, stop=PLATEAU), one(steps=4))
for restarts in (1, 2):
    found = run(made, np.load("images.npy"), batch=16, restarts=restarts)
    assert all(len(rows) == 8 * restarts for rows in began), began
    assert began[0] == list(range(8 * restarts)) and len(began) > 1, "nothing was refilled"
    np.savez(f"{restarts}.npz", chunks=len(chunks), loss=found.loss, w=found.latents["w"],
             evaluations=found.evaluations)
    began.clear(), chunks.clear()
"""


@pytest.mark.slow
def test_a_device_that_is_done_takes_the_next_image(tmp_path: Path) -> None:
    images = np.concatenate([pictures(), 0.9 * pictures()])  # 22: the last batch is not full
    np.save(tmp_path / "images.npy", images)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", ON_DEVICES],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=True,
    )
    made = preset(one(steps=STEPS, stop=PLATEAU), one(steps=4))
    for restarts in (1, 2):
        ours = run(made, images, restarts=restarts)
        with np.load(tmp_path / f"{restarts}.npz") as theirs:
            np.testing.assert_allclose(ours.loss, theirs["loss"], rtol=1e-4)
            np.testing.assert_allclose(ours.latents["w"], theirs["w"], atol=1e-3)
            np.testing.assert_array_equal(ours.evaluations, theirs["evaluations"])
            chunks = int(theirs["chunks"])
        if restarts == 1:
            each = np.ceil((ours.evaluations - 4) / refilling.CHUNK)
            held = sum(each[first : first + 8].max() for first in range(0, len(images), 8))
            assert chunks < held, "a slow image holds the other devices"
