"""Memory and time of converting, loading and drawing networks of published widths.

The weights are random, the files laid out as published. Every step is a process of its own, started
by the public command; its peak is that of its resident memory. This process stays small: a child's
peak starts from its parent's size.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

IMPORTS = "import jaxinv.models.loading, weights_convert"
WRITE = "import sys; from tests.benchmarks import checkpoints; checkpoints.{}(sys.argv[1])"


class Case(NamedTuple):
    """Who writes the file, what it is called, and more options of `jaxinv sample`."""

    title: str
    writer: str
    file: str
    options: tuple[str, ...] = ()


CASES = (
    Case("StyleGAN2 config-f, 1024 px, rosinality", "stylegan2", "stylegan2.pt"),
    Case(
        "BigGAN-deep, 512 px, HuggingFace", "biggan_deep", "pytorch_model.bin", ("--label", "207")
    ),
)


class Cost(NamedTuple):
    """Of one process: peak resident memory in bytes, and wall-clock seconds."""

    peak: int
    seconds: float

    def __str__(self) -> str:
        return f"peak {self.peak / 1e6:6.0f} MB, {self.seconds:5.1f} s"


def report() -> None:
    """Print the figures of all cases."""
    print(f"imports alone: {cost('-c', IMPORTS)}")
    for case in CASES:
        with TemporaryDirectory() as folder:
            measure(case, Path(folder))


def measure(case: Case, folder: Path) -> None:
    """Write, convert, load and draw one case in a folder of its own."""
    source, made = folder / case.file, folder / "made.safetensors"
    os.environ["JAXINV_CACHE"] = str(folder / "cache")
    cost("-c", WRITE.format(case.writer), str(source))
    size = source.stat().st_size
    convert = ("-m", "jaxinv", "convert", str(source), "-o", str(made))
    first = cost(*convert)
    draw = ("-m", "jaxinv", "sample", str(made), "-n", "1", "-o", str(folder / "drawn.png"))
    second = cost(*draw, *case.options)
    again = cost(*draw, *case.options)
    print(f"\n{case.title}: file of {size / 1e6:.0f} MB")
    print(f"  convert:              {first}, {first.peak / size:.1f} times the file")
    print(f"  load and draw:        {second}")
    print(f"  once it is compiled:  {again}", flush=True)


def cost(*arguments: str) -> Cost:
    """Run Python with `arguments` to its end; `CalledProcessError` if it fails."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code:
        raise subprocess.CalledProcessError(code, arguments)
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_maxrss * unit, time.perf_counter() - began)
