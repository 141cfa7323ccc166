"""`--engine ray`: Ray shares out the files of a run, an actor for each device.

Scheduling, retries and more machines are Ray's. What an actor writes depends on the file alone, and
is written whole: a block of files that is done twice changes nothing. The process that was started
gathers in the end, as the last of several workers does.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.io.launchers import ALONE
from jaxinv.io.output_folder import SEARCHES, WORKERS, hold
from jaxinv.io.progress import announce
from jaxinv.io.stopping import Stopping, stop_signals
from jaxinv.reports.items import ItemFile
from jaxinv.runs.earlier import Earlier, set_aside
from jaxinv.runs.inputs import check_mask, files_read, list_files, shown
from jaxinv.runs.job import check_one_process, prepare_job
from jaxinv.runs.progress import Display
from jaxinv.runs.runner import Work, begin, files_left, gather, record
from jaxinv.runs.status import Count, StatusFile
from jaxinv.runs.tables import Tables, open_tables

if TYPE_CHECKING:
    from jaxinv.runs.manifest import Manifest
    from jaxinv.runs.request import Request
    from jaxinv.runs.results import ImageResult
    from jaxinv.specs import Preset

LARGEST_BLOCK = 64  # files that are done again, at most, where an actor dies
BLOCKS_EACH = 4  # at least, for every actor, so that none waits long for the last one
RESOURCES = ("GPU", "TPU", "CPU")  # the first that the cluster has, one of it for an actor
TOLD = ("file", "status", "reason")  # of every file, by the actor that did it
OWN_VARIABLES = ("JAXINV_", "JAX_", "XLA_")


@dataclass(frozen=True)
class Cluster:
    """Actors at most, and what each of them needs of a machine; None: as many as there are."""

    actors: int | None = None
    needs: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, amount in self.needs:
            if not name or not amount > 0:
                raise ValueError(f"--ray-resource {name}={amount:g}; allowed: NAME=N, N above 0")


class Actor:
    """A process of Ray that has the weights, and does one block of files after another."""

    def __init__(self, request: Request, preset: Preset) -> None:
        import ray

        self.job = prepare_job(request, preset)
        out = self.job.manifest.out
        name = f"ray-{ray.get_runtime_context().get_node_id()[:12]}-{os.getpid()}"
        self.tables = Tables(out, out / WORKERS / name)
        self.tables.items.parent.mkdir(parents=True, exist_ok=True)
        self.held = contextlib.ExitStack()  # until the process ends
        self.held.enter_context(hold(self.tables.place))
        self.items = ItemFile(self.tables.items)
        self.status = StatusFile(self.tables.place, Count(0, 0, 0))

    def __call__(self, block: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Do the files of a block; a row for each says what became of it."""
        files = [
            (Path(os.fsdecode(file)), str(name))
            for file, name in zip(block["file"], block["name"], strict=True)
        ]
        found: list[ImageResult] = []
        work = Work(
            self.job,
            self.tables,
            Display(len(files), self.job.manifest.preset.steps, quiet=True),
            self.status,
            Stopping(),
            SearchCheckpoints(self.job.manifest.out / SEARCHES),
            tell=found.append,
        )
        record(work, files, self.items)
        return {name: [getattr(one, name) for one in found] for name in TOLD}


def run_with_ray(
    request: Request,
    preset: Preset,
    cluster: Cluster = Cluster(),
    *,
    fresh: bool = False,
    retry_failed: bool = False,
) -> tuple[int, int]:
    """`runner.run` on a Ray cluster: the one that runs here or at RAY_ADDRESS, or a new one.

    All machines must see the files, `out` and the weights at the same places. Raises what `run`
    raises; `RuntimeError` if Ray gives up.
    """
    check_one_process(preset, "--engine ray")
    files = list_files(request)
    with (
        open_tables(request.out, ALONE, files_read(request, files)) as tables,
        _connected() as resources,
        stop_signals(announce) as stopping,  # Ray has set its own, which end the process
    ):
        check_mask(request, files)
        needs = dict(cluster.needs) or _usual(resources)
        manifest = _described(request, preset, needs)
        stopping.check()
        if fresh:
            set_aside(tables.out)
        earlier = begin(manifest, tables, retry_failed=retry_failed)
        left = files_left(files, earlier)
        actors = cluster.actors or max(_fitting(resources, needs), 1)
        return _go_through(manifest, left, earlier, (actors, needs, stopping))


def _go_through(
    manifest: Manifest,
    left: list[tuple[Path, str]],
    earlier: Earlier,
    how: tuple[int, dict[str, float], Stopping],
) -> tuple[int, int]:
    """Let the actors do what is left; returns (files done, files failed), of all in the folder."""
    actors, needs, stopping = how
    count = Count(len(earlier.lines) + len(left), len(earlier.lines), earlier.failed)
    display = Display(count.files, manifest.preset.steps, finished=count.done)
    status = StatusFile(manifest.out, count)
    at_once = False
    try:
        with display, status:
            for row in _rows(manifest, left, actors, needs):
                status.add(row["status"])
                if row["reason"]:
                    display.say(f"warning: {row['file']}: {row['reason']}")
                display.done()
                status.write()
                stopping.check()
    except KeyboardInterrupt:
        at_once = True
        raise
    finally:
        if not at_once:
            gather(manifest, count.files)
    return status.done - status.failed, status.failed


def _rows(
    manifest: Manifest, left: list[tuple[Path, str]], actors: int, needs: dict[str, float]
) -> Iterator[dict[str, Any]]:
    """What became of every file, in the order in which blocks are done."""
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    if not left:
        return
    context = DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context.execution_options.preserve_order = False
    size = min(LARGEST_BLOCK, max(1, -(-len(left) // (actors * BLOCKS_EACH))))
    rows = [{"file": os.fsencode(path), "name": name} for path, name in left]
    actors = min(actors, -(-len(left) // size))
    done = ray.data.from_items(rows, override_num_blocks=-(-len(left) // size)).map_batches(
        Actor,
        fn_constructor_args=(manifest.request, manifest.preset),
        batch_size=size,
        compute=ActorPoolStrategy(min_size=1, max_size=actors),
        **_arguments(needs),
    )
    try:
        yield from done.iter_rows()
    except RayError as error:
        raise RuntimeError(f"Ray gave up ({_reason(error)}); what is finished is kept") from error


def _described(request: Request, preset: Preset, needs: dict[str, float]) -> Manifest:
    """The manifest of the run as an actor has it: this process may have no such device."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    def describe() -> Manifest:
        return prepare_job(request, preset).manifest

    try:
        return ray.get(ray.remote(**_arguments(needs))(describe).remote())
    except RayTaskError as error:
        if isinstance(error.cause, ValueError | OSError):
            raise error.cause from error
        raise RuntimeError(f"no actor can begin ({_reason(error)})") from error
    except RayError as error:
        raise RuntimeError(f"no actor can begin ({_reason(error)})") from error


@contextlib.contextmanager
def _connected() -> Iterator[Mapping[str, float]]:
    """What a cluster has, until the block ends; a cluster that is there already stays."""
    try:
        import ray
    except ImportError as error:
        raise ValueError("--engine ray needs ray; allowed: pip install 'jaxinv[ray]'") from error
    variables = {k: v for k, v in os.environ.items() if k.startswith(OWN_VARIABLES)}
    ray.init(
        runtime_env={"env_vars": variables},
        log_to_driver=False,
        logging_level=logging.ERROR,
        include_dashboard=False,
        ignore_reinit_error=True,
    )
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def _usual(resources: Mapping[str, float]) -> dict[str, float]:
    """One accelerator for an actor, or one CPU where the cluster has none."""
    return {next((name for name in RESOURCES if resources.get(name)), "CPU"): 1.0}


def _fitting(resources: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many actors the cluster has room for now."""
    return min(int(resources.get(name, 0) // amount) for name, amount in needs.items())


def _arguments(needs: Mapping[str, float]) -> dict[str, Any]:
    """What an actor needs, as Ray is told."""
    named = {"CPU": "num_cpus", "GPU": "num_gpus"}
    found: dict[str, Any] = {named[k]: v for k, v in needs.items() if k in named}
    rest = {k: v for k, v in needs.items() if k not in named}
    return found | ({"resources": rest} if rest else {})


def _reason(error: BaseException) -> str:
    """The last line of what Ray says."""
    return shown(Path((str(error).strip() or type(error).__name__).splitlines()[-1]))[:300]
