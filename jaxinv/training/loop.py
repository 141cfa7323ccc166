"""The training loop of all trainers: a run is a pure function of its seed and its step.

A run can be killed at any moment: given the same command it goes on from its last checkpoint and
ends with the same weights.
"""

from __future__ import annotations

import contextlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.differences import differences, told
from jaxinv.io.files import atomic_write, write_json
from jaxinv.io.images import encode_png
from jaxinv.io.output_folder import TRAINING, output_folder
from jaxinv.io.progress import TimeLeft
from jaxinv.io.stopping import Stopping, stop_signals
from jaxinv.reports.training import write_training_report
from jaxinv.specs.checks import check_whole
from jaxinv.training.checkpoints import FOLDER, Checkpoints
from jaxinv.training.devices import all_devices, check_batch, on_each, shared_out
from jaxinv.training.logs import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxinv.types import Key, Metrics, Tree

MANIFEST = "run.json"
SCHEMA = 1
AGREE_EVERY = 10  # steps after which several processes agree whether to stop
Found = tuple[dict[str, float], dict[str, np.ndarray]]


class Job(NamedTuple):
    """What is trained, as pure functions; a state is a tree of arrays.

    init(key) -> state. step(state, batch, key, number) -> (state, metrics): it jits what it runs;
    `number` is a plain int from 0, so that a lazy term can be a program of its own. Metrics are
    scalars; a step may leave some out. validate(state) -> (numbers, pictures uint8 [h, w, 3] by
    name). export(state, folder) writes what others read, after each validation. `best` names the
    number of `validate` that is to be low.
    """

    init: Callable[[Key], Tree]
    step: Callable[[Tree, Tree, Key, int], tuple[Tree, Metrics]]
    validate: Callable[[Tree], Found] | None = None
    export: Callable[[Tree, Path], object] | None = None
    best: str = ""


@dataclass(frozen=True)
class Run:
    """Where and how long: a folder, steps, a seed, and how often something is written.

    Attributes:
        folder: of the run; one that holds the same run is resumed.
        steps: in all.
        seed: of the initial state and of all draws.
        log_every, validate_every, save_every: in steps; validation saves too.
        facts: what else the run is a function of; kept in `run.json`, and compared on resuming.
        notes: what is kept there too, but may differ.
    """

    folder: str | Path
    steps: int
    seed: int = 0
    log_every: int = 50
    validate_every: int = 1000
    save_every: int = 500
    facts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "validate_every", "save_every"):
            check_whole(name, getattr(self, name), 1)


def train(
    job: Job,
    batches: Sequence[Tree],
    run: Run,
    report: Callable[[str], object],
    problems: Callable[[], dict[str, str]] = dict,
) -> Tree:
    """The state after all steps of `run`; `batches[i]` is what step i is given.

    Lines about the progress go to `report`; `problems` gives files that could not be used, and why.
    Of several processes (`jax.distributed`), who all call this, the first one writes.

    Raises:
        ValueError: the folder holds another run, or something that no run wrote.
        RuntimeError: a number is not finite any more; the last good checkpoint stays.
        OSError: nothing more can be written; the last good checkpoint stays.
        Stopped: a signal asked for it, and the state is kept.
    """
    if jax.process_index():  # the first process writes and speaks for all
        report = _silent
    with _folder(run.folder) as folder, stop_signals(report) as stopping:
        _check_same(folder, run)
        return _Training(job, batches, run, folder, report, problems, stopping).finish()


def _silent(text: str) -> None:
    del text


@contextlib.contextmanager
def _folder(place: str | Path) -> Iterator[Path]:
    """The folder of a run, which one process holds for all."""
    if jax.process_index():
        yield Path(place)
    else:
        with output_folder(place, TRAINING) as folder:
            yield folder


def _check_same(folder: Path, run: Run) -> None:
    """Write the manifest of a new run, or compare that of an old one."""
    facts = json.loads(json.dumps({"seed": run.seed, **run.facts}))
    path = folder / MANIFEST
    if path.is_file():
        try:
            held = json.loads(path.read_text("utf-8"))["facts"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no manifest of a training run; use a new folder"
            ) from error
        if found := list(differences(held, facts)):
            raise ValueError(
                f"{folder} holds another run: {told(found)}; allowed: the same, or another folder"
            )
    if jax.process_index() == 0:
        (folder / FOLDER).mkdir(exist_ok=True)
        write_json(path, {"schema": SCHEMA, "steps": run.steps, "facts": facts, "notes": run.notes})


@dataclass
class _Training:
    job: Job
    batches: Sequence[Tree]
    run: Run
    folder: Path
    report: Callable[[str], object]
    problems: Callable[[], dict[str, str]]
    stopping: Stopping

    def __post_init__(self) -> None:
        self.mesh = all_devices()
        self.checkpoints = Checkpoints(self.folder)
        self.pending: list[Metrics] = []
        self.left, self.told = TimeLeft(), 0
        self.first = jax.process_index() == 0

    def finish(self) -> Tree:
        """Go on from the last checkpoint to the end."""
        run = self.run
        state = on_each(self.mesh, self.job.init(jax.random.key(run.seed)))
        start = self.checkpoints.latest() or 0
        if start:
            state = self.checkpoints.load(start, state)
            self.report(f"goes on from step {start}")
            if start == run.steps or start % run.validate_every == 0:
                self._export(state)  # it may have been stopped just before
        if start >= run.steps:
            self.report(f"finished: {start} steps")
            return state
        self.log = Log(self.folder, start, self.report, writes=self.first)
        base = jax.random.fold_in(jax.random.key(run.seed), 1)
        for number, batch in self._prefetched(start):
            for rows in sorted({len(leaf) for leaf in jax.tree.leaves(batch)}):
                check_batch(self.mesh, rows * jax.process_count())
            key = on_each(self.mesh, jax.random.fold_in(base, number))
            state, metrics = self._step(state, shared_out(self.mesh, batch), key, number)
            self.pending.append(metrics)
            saved = self._after(number + 1, state)
            if asked_to_stop(self.stopping, number):
                if not saved:
                    self._check_finite(number + 1, state)
                    self.checkpoints.save(number + 1, state, self._best())
                self.stopping.asked = True  # of several processes it may have been another one
                self.stopping.check()
        self.log.close()
        return state

    def _step(self, state: Tree, batch: Tree, key: Key, number: int) -> tuple[Tree, Metrics]:
        try:
            return self.job.step(state, batch, key, number)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise MemoryError(
                "a step does not fit into the memory of the device: lower the batch, or make it "
                "in more parts"
            ) from error

    def _prefetched(self, start: int) -> Iterator[tuple[int, Tree]]:
        """Batches by number, the next of which is made while one is used."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.batches.__getitem__, start)
            for number in range(start, self.run.steps):
                batch = waiting.result()
                if number + 1 < self.run.steps:
                    waiting = pool.submit(self.batches.__getitem__, number + 1)
                yield number, batch

    def _best(self) -> tuple[int, ...]:
        best = self.log.best(self.job.best)
        return () if best is None else (best,)

    def _after(self, done: int, state: Tree) -> bool:
        """Write what is due after a step; returns whether the state is saved."""
        run, last = self.run, done == self.run.steps
        validates = last or done % run.validate_every == 0
        saves = validates or done % run.save_every == 0
        if not (saves or done % run.log_every == 0):
            return False
        numbers = self._numbers(done)
        if saves:
            self._check_finite(done, state)
        pictures: dict[str, np.ndarray] = {}
        if validates and self.job.validate is not None:
            found, pictures = self.job.validate(state)
            numbers |= check_numbers(found, done)
        self.log.write(done, numbers)
        if self.first:
            self._tell(done, numbers)
        if saves:
            self.checkpoints.save(done, state, self._best())
        if validates and self.first:
            self._show(done, state, pictures)
        return saves

    def _numbers(self, done: int) -> dict[str, float]:
        """Means of what the steps since the last line have told."""
        held = jax.device_get(self.pending)
        first, self.pending = done - len(held), []
        found: dict[str, list[float]] = {}
        for number, metrics in enumerate(held, first + 1):
            for name, value in check_numbers(metrics, number).items():
                found.setdefault(name, []).append(value)
        return {name: math.fsum(values) / len(values) for name, values in found.items()}

    def _check_finite(self, done: int, state: Tree) -> None:
        if not bool(_all_finite(state)):
            raise RuntimeError(
                f"weights are not finite after step {done}; the last good checkpoint is that of "
                f"step {self.checkpoints.latest() or 'none'}: lower the learning rate"
            )

    def _tell(self, done: int, numbers: dict[str, float]) -> None:
        bad, left = len(self.problems()), self.left(done, self.run.steps)
        words = [f"step {done} of {self.run.steps}", *(f"{k} {v:.4g}" for k, v in numbers.items())]
        words += [f"{bad} bad files"] if bad else []
        self.report(", ".join([*words, left] if left else words))

    def _export(self, state: Tree) -> None:
        if self.job.export is not None and self.first:
            self.job.export(state, self.folder)

    def _show(self, done: int, state: Tree, pictures: dict[str, np.ndarray]) -> None:
        encoded = {name: encode_png(pixels) for name, pixels in pictures.items()}
        for name, data in encoded.items():
            for file in (f"{name}.png", f"{name}-{done:08d}.png"):
                atomic_write(self.folder / "pictures" / file, lambda f, data=data: f.write(data))
            self.log.picture(done, name, pictures[name])
        self._export(state)
        facts = {"steps": f"{done} of {self.run.steps}", **self.run.facts, **self.run.notes}
        path = self.folder / "report.html"
        write_training_report(path, facts, self.log.lines, encoded, self.problems())


def asked_to_stop(stopping: Stopping, number: int) -> bool:
    """Whether a run shall end after step `number`: of several processes, any was asked to.

    They agree now and then, for that makes all of them wait.
    """
    if jax.process_count() == 1:
        return stopping.asked
    if (number + 1) % AGREE_EVERY:
        return False
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(stopping.asked))))


@jax.jit
def _all_finite(state: Tree) -> Any:
    floats = [a for a in jax.tree.leaves(state) if jnp.issubdtype(a.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(a)) for a in floats]))


def check_numbers(numbers: Any, step: int) -> dict[str, float]:
    """The numbers as floats; `RuntimeError` naming the step unless all are finite."""
    found = {name: float(value) for name, value in numbers.items()}
    for name, value in found.items():
        if not math.isfinite(value):
            raise RuntimeError(
                f"{name} is {value} at step {step}; the last good checkpoint stays: lower the "
                f"learning rate, or look at the data"
            )
    return found
