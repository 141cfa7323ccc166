"""Our speed, row by row: against a clean PyTorch peer, and against what batches and loops may cost.

Sides take turns in one process with equal threads; figures are medians. A row against PyTorch first
makes sure that both sides give the same images and gradients.
"""

# torch is not among what the tests need.
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

EVERY = tuple(f"{side}x{count}" for side in (32, 64, 128, 256) for count in (1, 4, 8, 16))
USUAL = ("32x8", "64x1", "64x8", "128x4", "256x1", "256x4")
COMPILED = ("64x8",)


class Options(NamedTuple):
    """What is measured; a cell is "SIDExBATCH", `compiled` those tried with torch.compile too."""

    rows: tuple[str, ...]
    cells: tuple[str, ...]
    compiled: tuple[str, ...]
    repeats: int
    threads: int
    clock: str


class Row(NamedTuple):
    """One measurement: what it says, the function that prints it, and whether it needs torch."""

    title: str
    run: Callable[[Options], None]
    torch: bool = False


def report(options: Options) -> None:
    """Print the rows that were asked for."""
    if hasattr(os, "sched_setaffinity"):  # before jax makes its threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    header(options)
    table = rows()
    for name in options.rows or tuple(table):
        row, began = table[name], time.perf_counter()
        print(f"\n== {name}: {row.title}", flush=True)
        if row.torch and find_spec("torch") is None:
            print("   skipped: torch is not installed (pip install 'jaxinv[bench]')")
            continue
        row.run(options)
        print(f"   ({time.perf_counter() - began:.0f} s)", flush=True)


def header(options: Options) -> None:
    import jax

    versions = {"jax": jax.__version__}
    if find_spec("torch"):
        import torch

        torch.set_num_threads(options.threads)
        versions["torch"] = torch.__version__
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(", ".join(f"{name} {version}" for name, version in versions.items()), end="; ")
    print(f"{jax.devices()[0].device_kind}, {platform.machine()}, {options.threads} threads a side")
    print(f"medians of {options.repeats} turns in {options.clock} seconds; load {load:.1f}.")
    print("The machine must be quiet: a busy neighbour slows PyTorch's OpenMP more than XLA,")
    print("which would flatter us. Only ratios within one run count.", flush=True)


def rows() -> dict[str, Row]:
    """Rows by name. Imported here, so that the thread count is settled before jax starts."""
    from tests.benchmarks import guards

    def peer(name: str) -> Callable[[Options], None]:
        def run(options: Options) -> None:
            from tests.benchmarks import against_torch

            getattr(against_torch, name)(options)

        return run

    def training(options: Options) -> None:
        from tests.benchmarks import training_speed

        training_speed.training(options)

    return {
        "synthesis": Row(
            "forward and gradient by W+ of StyleGAN2, over PyTorch (goal 1.0, batch 8 1.2)",
            peer("synthesis"),
            torch=True,
        ),
        "projector": Row(
            "Adam, pixels and LPIPS-VGG, 64 px, 8 images, over PyTorch (goal 1.2)",
            peer("projector"),
            torch=True,
        ),
        "quality": Row(
            "to the loss of PyTorch's Adam, pixels and LPIPS-VGG, 32 px, 8 images (goal 3)",
            peer("quality"),
            torch=True,
        ),
        "training": Row(
            "an encoder's training step, 64 px, 8 pictures, over PyTorch (goal 1.2, compiled 1.0)",
            training,
            torch=True,
        ),
        "batch": Row("many lanes against one, StyleGAN2 64 px", guards.batch),
        "loop": Row("the engine's loop against Python's (goal 1.05)", guards.loop),
        "search": Row("evaluations that a batch makes and lanes alone need", guards.search),
        "start": Row("a second process to its first step (goal 1.5 s)", guards.start),
        "memory": Row("temporary memory at 1024 px, float32 (goal 0.9 GiB)", guards.memory),
    }


ROWS = (
    "synthesis",
    "projector",
    "quality",
    "training",
    "batch",
    "loop",
    "search",
    "start",
    "memory",
)
