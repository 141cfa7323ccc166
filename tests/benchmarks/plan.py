"""A plan for very many images on machines that are taken away: time, lost work and storage.

`python -m tests.benchmarks plan --images 1e6 1e9 --rate IMAGES_AN_HOUR --run OUT`. Preemptions are
simulated: machines live for exponential times, a process that begins again first loads and
compiles, and what it did since its last checkpoint is done again. Storage is that of a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxinv.reports.markdown import head, line

HOUR = 3600.0
LIVES = (1.0, 4.0, 24.0)  # hours for which a machine lives, in the mean
INTERVALS = (5.0, 30.0, 120.0, 600.0, 3600.0)  # seconds between two checkpoints
MACHINES = 20_000  # lives that are simulated
PARTS = {
    "latents": ("latents",),
    "pictures": ("images", "degraded", "remeasured", "combined"),
    "lines": ("results.jsonl",),
    "report": ("report", "report.html"),
}


class Options(NamedTuple):
    """Seconds until a process searches, seconds that a checkpoint takes, and what is planned."""

    images: tuple[float, ...] = (1e6, 1e9)
    rate: float = 1000.0
    start: float = 60.0
    write: float = 0.1
    run: Path | None = None


def lost(life: float, interval: float, start: float, write: float, *, seed: int = 0) -> float:
    """Share of machine time that is lost: to starts, to checkpoints, and to what is done again.

    `life` is the mean time in seconds after which a machine is taken away.
    """
    lives = np.random.default_rng(seed).exponential(life, MACHINES)
    cycles = np.floor(np.maximum(lives - start, 0) / (interval + write))
    return float(1 - (cycles * interval).sum() / lives.sum())


def expected(life: float, interval: float, start: float, write: float) -> float:
    """`lost` in closed form: a geometric number of cycles survives the start."""
    cycle = interval + write
    cycles = np.exp(-start / life) / np.expm1(cycle / life)
    return float(1 - cycles * interval / life)


def best_interval(life: float, write: float) -> float:
    """The interval at which least is lost, sqrt(2 write life) (Young 1974)."""
    return float(np.sqrt(2 * write * life))


def report(options: Options) -> None:
    """Print lost work by interval and life, then device-hours and storage."""
    settings = options.start, options.write
    print(
        f"share of machine time that is lost; {options.start:g} s until a process searches, ",
        end="",
    )
    print(f"{options.write:g} s for a checkpoint; simulated (expected)\n")
    print(head(["machines live", *(f"every {interval:g} s" for interval in INTERVALS), "best"]))
    for hours in LIVES:
        cells = [
            f"{lost(hours * HOUR, interval, *settings):.1%} "
            f"({expected(hours * HOUR, interval, *settings):.1%})"
            for interval in INTERVALS
        ]
        best = f"{best_interval(hours * HOUR, options.write):.0f} s"
        print(line(f"{hours:g} h", *cells, best))
    each = {} if options.run is None else stored(options.run)
    print()
    print(head(["images", "device-hours", *(f"lost at {hours:g} h" for hours in LIVES), *each]))
    for images in options.images:
        hours = images / options.rate
        more = [hours / (1 - lost(life * HOUR, 30.0, *settings)) - hours for life in LIVES]
        sizes = [f"{images * size / 1e9:,.0f} GB" for size in each.values()]
        print(line(f"{images:,.0f}", f"{hours:,.0f}", *(f"{one:,.0f}" for one in more), *sizes))
    if options.run is not None:
        print("\nbytes an image:", ", ".join(f"{k} {size:,.0f}" for k, size in each.items()))


def stored(run: Path) -> dict[str, float]:
    """Bytes for each image of a finished run, by what they are."""
    with (run / "results.jsonl").open("rb") as lines:
        count = sum(1 for _ in lines)
    return {
        name: sum(size(run / place) for place in places) / count for name, places in PARTS.items()
    }


def size(place: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())
