"""Which of several processes this one is: as it was told, or as its launcher says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

# Launcher, the variable with the number of the process (from 0), and the one with their count.
LAUNCHERS = (
    ("jaxinv", "JAXINV_WORKER_INDEX", "JAXINV_NUM_WORKERS"),
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MVAPICH2", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("MPI", "PMI_RANK", "PMI_SIZE"),
    ("TPU hosts", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES"),
    ("torchrun", "RANK", "WORLD_SIZE"),
    ("Kubernetes", "JOB_COMPLETION_INDEX", ""),  # an indexed job does not tell how many it has
)
SLICES = ("MEGASCALE_SLICE_ID", "MEGASCALE_NUM_SLICES")  # of TPU hosts
INDEX, COUNT = "--worker-index", "--num-workers"


@dataclass(frozen=True)
class Share:
    """The part of the files that is this process's: `index`, from 0, of `count`; `told` by whom."""

    index: int = 0
    count: int = 1
    told: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"worker {self.index} of {self.count}{self._said}; allowed: {INDEX} from 0 to "
                f"{COUNT} - 1"
            )

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.count == 1

    @property
    def _said(self) -> str:
        return f" (from {self.told})" if self.told else ""

    def __str__(self) -> str:
        return f"worker {self.index} of {self.count}{self._said}"

    def takes(self, file: str) -> bool:
        """Whether a file, by its absolute path, is this process's.

        That depends on the path alone: every process sees the same, whatever was added meanwhile.
        """
        digest = hashlib.sha256(file.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


ALONE = Share()
COORDINATOR = "JAX_COORDINATOR_ADDRESS"
LAST_WAIT = 30 * 24 * 3600  # seconds that a process which is done waits for the others


def join_processes(index: int | None = None, count: int | None = None) -> Share:
    """Start `jax.distributed`: this process, and how many there are.

    Where COORDINATOR names host and port of the first process, numbers are found as `find_share`
    does; otherwise JAX asks its launcher (TPU hosts, Slurm, Open MPI, Kubernetes). Before any
    device is used. Raises `ValueError` where neither knows, `RuntimeError` where they do not meet.
    """
    import jax

    share = find_share(index, count) if os.environ.get(COORDINATOR) else ALONE
    told = (None, None) if share.alone else (share.count, share.index)
    try:
        jax.distributed.initialize(None, *told, shutdown_timeout_seconds=LAST_WAIT)
    except ValueError as error:
        raise ValueError(
            f"--engine distributed: {error}; allowed: a launcher that JAX knows, or {COORDINATOR} "
            f"with {INDEX} and {COUNT}"
        ) from error
    return Share(jax.process_index(), jax.process_count(), "jax.distributed")


def find_share(
    index: int | None = None, count: int | None = None, environment: Mapping[str, str] | None = None
) -> Share:
    """The share as it is asked for; what is left out is what the launcher says, or all.

    `environment` is that of the process. Raises `ValueError` for numbers that do not fit together,
    and for an index without a count.
    """
    given = os.environ if environment is None else environment
    if index is not None and count is not None:
        return Share(index, count)
    if count == 1:
        return Share(index or 0, 1)
    for launcher, index_name, count_name in LAUNCHERS:
        told_index = index if index is not None else _number(given, index_name)
        told_count = count if count is not None else _number(given, count_name)
        if launcher == "TPU hosts" and index is None and told_index is not None:
            told_index, told_count = _of_slices(given, told_index, told_count, count)
        if told_index is not None and told_count is not None:
            names = [index_name] * (index is None) + [count_name] * (count is None)
            return Share(told_index, told_count, f"{launcher}: {', '.join(names)}")
    if index is not None:
        raise ValueError(f"{INDEX} {index} without {COUNT}; allowed: both")
    if count is not None:
        raise ValueError(
            f"{COUNT} {count} without {INDEX}; allowed: both, or a launcher that says which worker "
            f"this is ({', '.join(one[1] for one in LAUNCHERS)})"
        )
    return ALONE


def _of_slices(
    given: Mapping[str, str], index: int, hosts: int | None, count: int | None
) -> tuple[int, int | None]:
    """Number and count over several slices of TPU hosts."""
    part, parts = (_number(given, name) for name in SLICES)
    if part is None or parts is None or hosts is None:
        return index, hosts
    per_slice = _number(given, "TPU_WORKER_HOSTNAMES") or 1
    return part * per_slice + index, parts * per_slice if count is None else count


def _number(given: Mapping[str, str], name: str) -> int | None:
    """The number in a variable, or how many names it lists; None where it says neither."""
    text = given.get(name, "").strip()
    if name == "TPU_WORKER_HOSTNAMES":
        return len(text.split(",")) if text else None
    return int(text) if text.isascii() and text.isdigit() else None
