"""Which share of the files a process takes, by what it is told and by what its launcher says."""

from __future__ import annotations

import pytest

from jaxinv.io.launchers import ALONE, Share, find_share

SAYS = {
    "srun": ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"}, (3, 8)),
    # A batch script that is no step of its own has these, and is one process.
    "sbatch": ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, (0, 1)),
    "mpirun": ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, (1, 2)),
    "hydra": ({"PMI_RANK": "0", "PMI_SIZE": "4"}, (0, 4)),
    "torchrun": ({"RANK": "5", "WORLD_SIZE": "6"}, (5, 6)),
    "tpu": ({"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "a,b,c,d"}, (1, 4)),
    "tpu slices": (
        {
            "TPU_WORKER_ID": "1",
            "TPU_WORKER_HOSTNAMES": "a,b",
            "MEGASCALE_SLICE_ID": "2",
            "MEGASCALE_NUM_SLICES": "3",
        },
        (5, 6),
    ),
    "own before others": (
        {"JAXINV_WORKER_INDEX": "1", "JAXINV_NUM_WORKERS": "3", "RANK": "0", "WORLD_SIZE": "9"},
        (1, 3),
    ),
    "indexed job, no count": ({"JOB_COMPLETION_INDEX": "2"}, (0, 1)),
    "no numbers": ({"RANK": "first", "WORLD_SIZE": ""}, (0, 1)),
    "none": ({}, (0, 1)),
}


@pytest.mark.parametrize("name", SAYS)
def test_launchers_say_which_share(name: str) -> None:
    environment, (index, count) = SAYS[name]
    found = find_share(environment=environment)
    assert (found.index, found.count) == (index, count)
    assert bool(found.told) == (count > 1)


def test_what_is_asked_for_comes_first() -> None:
    environment = {"RANK": "1", "WORLD_SIZE": "2", "JOB_COMPLETION_INDEX": "4"}
    assert find_share(2, 3, environment) == Share(2, 3)
    assert find_share(None, 1, environment) == ALONE
    assert find_share(None, 8, {"JOB_COMPLETION_INDEX": "4"}).index == 4
    assert find_share(0, None, environment).count == 2


@pytest.mark.parametrize(
    ("index", "count", "environment", "said"),
    [
        (3, 3, {}, "worker 3 of 3; allowed"),
        (1, 1, {}, "worker 1 of 1; allowed"),
        (2, None, {}, "--worker-index 2 without --num-workers"),
        (None, 2, {}, "--num-workers 2 without --worker-index"),
        (None, None, {"RANK": "2", "WORLD_SIZE": "2"}, "from torchrun: RANK, WORLD_SIZE"),
    ],
)
def test_numbers_that_do_not_fit(
    index: int | None, count: int | None, environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        find_share(index, count, environment)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_file_is_taken_once_and_about_evenly(count: int) -> None:
    files = [f"/data/{i}\udcff.png" for i in range(2000)]
    taken = [[f for f in files if Share(i, count).takes(f)] for i in range(count)]
    assert sorted(f for part in taken for f in part) == sorted(files)
    expected = len(files) / count
    # Six standard deviations of a binomial count.
    assert all(abs(len(part) - expected) <= 6 * expected**0.5 for part in taken)
