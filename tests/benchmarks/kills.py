"""A run that is killed again and again, and what it leaves: the results of one that was not.

`python -m tests.benchmarks kills --count 200`. Every child is ended by SIGKILL at a random moment,
counted in its own time of the processors: others may keep the machine busy. After each kill every
picture and every file of latents that has its final name must be, byte for byte, that of the whole
run; what is lost is the time since the last moment that was kept.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from jaxinv.cli.main import main
from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.runs import runner
from tests.benchmarks import forks

WORK, KEPT = b"w", b"k"
LOOK = 0.01  # seconds between two looks at a process that is to be killed
FOLDERS = ("latents", "images")


class Options(NamedTuple):
    """How many kills of runs over how many images, `every` seconds between two checkpoints.

    After so many `minutes` there are no more.
    """

    count: int = 200
    images: int = 64
    generator: str = "celeba32"
    steps: int = 400
    every: float = 1.0
    minutes: float = math.inf
    seed: int = 0


class Found(NamedTuple):
    """Runs that were finished, kills before and after the first result of their process,

    seconds that were lost by each kill, and the most that one chunk of evaluations took.
    """

    runs: int
    kills: int
    searching: int
    lost: list[float]
    chunk: float


def report(options: Options) -> None:
    """Print what `measure` finds."""
    with TemporaryDirectory() as folder:
        found = measure(Path(folder), options)
    lost = sorted(found.lost)
    print(
        f"{found.kills} kills, {found.searching} of them while something was searched for; "
        f"{found.runs} runs of {options.images} images ended, each equal to the whole run byte for "
        f"byte; no torn file under a final name"
    )
    print(
        f"lost by a kill: median {lost[len(lost) // 2]:.2f} s, at most {lost[-1]:.2f} s; a "
        f"checkpoint every {options.every:g} s, a chunk of evaluations took at most "
        f"{found.chunk:.2f} s"
    )


def measure(folder: Path, options: Options) -> Found:
    """Kill as often as asked for; `SystemExit` where anything differs from the whole run."""
    draws, log = random.Random(options.seed), folder / "log"
    forks.done(partial(prepare, folder, options))
    words = ["invert", str(folder / "photos"), "-g", str(folder / "generator.safetensors")]
    words += ["--steps", str(options.steps), "--no-scores", "--align", "none", "-o"]
    quiet = partial(attempt, log, options.every)
    forks.done(partial(quiet, [*words, str(folder / "whole")]))
    longest = reach(log, options.images)
    wanted = results(folder / "whole")
    found = Found(0, 0, 0, [], 0.0)
    out = folder / "out"
    until = time.monotonic() + 60 * options.minutes
    while True:
        log.unlink(missing_ok=True)
        child = forks.start(partial(quiet, [*words, str(out)]))
        over = found.kills >= options.count or time.monotonic() > until
        if not over:
            moment = draws.uniform(0.0, longest)
            while (used := processor_seconds(child)) is not None and used < moment:
                time.sleep(LOOK)
            os.kill(child, signal.SIGKILL)
        killed, code = time.monotonic(), forks.end(child)
        check(out, wanted, whole=code == 0)
        if code == -signal.SIGKILL:
            found = counted(found, log, killed)
            continue
        if code:
            raise SystemExit(f"a run ended with {code}")
        found = found._replace(runs=found.runs + 1)
        if over:
            return found
        shutil.rmtree(out)


def reach(log: Path, images: int) -> float:
    """Seconds of the processors in which a process begins and then finishes about three images."""
    at = [float(line.split()[2]) for line in log.read_bytes().splitlines() if line[:1] == WORK]
    return at[1] + 3 * (at[-1] - at[1]) / images


def processor_seconds(process: int) -> float | None:
    """What a process has used of the processors; None once it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ended = fields[0] == "Z"
    return None if ended else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepare(folder: Path, options: Options) -> None:
    """A generator, and pictures that it has drawn with some noise."""
    import numpy as np

    from jaxinv.io.image_ops import to_uint8
    from jaxinv.io.images import encode_png
    from tests.benchmarks.methods.sources import FILES, WEIGHTS, drawn
    from weights_convert import convert

    file = folder / "generator.safetensors"
    convert(WEIGHTS / FILES[options.generator][0], name=options.generator, out=file)
    from jaxinv.models.loading import load_generator

    pictures = drawn(load_generator(str(file)), options.images)
    noise = np.random.default_rng(0).standard_normal(pictures.shape)
    (folder / "photos").mkdir()
    for number, picture in enumerate(to_uint8(np.clip(pictures + 0.05 * noise, -1, 1))):
        (folder / "photos" / f"{number:05d}.png").write_bytes(encode_png(picture))


def attempt(log: Path, every: float, words: list[str]) -> int:
    """One process of the run; what it does and what it keeps goes to `log`, with the time."""
    descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def noted(kind: bytes, of: Any) -> Any:
        def call(*arguments: Any, **others: Any) -> Any:
            result = of(*arguments, **others)
            times = time.monotonic(), time.process_time()
            os.write(descriptor, b"%s %.4f %.4f\n" % (kind, *times))
            return result

        return call

    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    patched: Any = runner
    patched.Display.step = noted(WORK, runner.Display.step)
    patched.begin = noted(WORK, runner.begin)
    patched.SearchCheckpoints = partial(SearchCheckpoints, every=every)
    checkpoints: Any = SearchCheckpoints
    checkpoints.save = noted(KEPT, SearchCheckpoints.save)
    checkpoints.forget = noted(KEPT, SearchCheckpoints.forget)  # after results are written
    return main(words)


def counted(found: Found, log: Path, killed: float) -> Found:
    """With one more kill: what was lost by it."""
    lines = log.read_bytes().splitlines() if log.is_file() else []
    events = [(line[:1], float(line.split()[1])) for line in lines if line.count(b" ") == 2]
    work = [at for kind, at in events if kind == WORK]
    gaps = [late - early for early, late in itertools.pairwise(work[1:])]
    kept = [at for kind, at in events if kind == KEPT]
    # Before the first chunk nothing was searched for: it starts, or loads its program.
    since = max([*kept, *work[1:2]]) if len(work) > 1 else killed
    return found._replace(
        kills=found.kills + 1,
        searching=found.searching + (len(work) > 1),
        lost=[*found.lost, killed - since],
        chunk=max([found.chunk, *gaps]),
    )


def results(out: Path) -> dict[str, bytes]:
    """All files with a final name, by place."""
    found = [path for name in FOLDERS for path in (out / name).glob("[!.]*")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def check(out: Path, wanted: dict[str, bytes], *, whole: bool) -> None:
    """`SystemExit` unless what is there is what the whole run has; all of it, if it is `whole`."""
    found = results(out)
    other = [name for name, data in found.items() if wanted.get(name) != data]
    if other or (whole and found.keys() != wanted.keys()):
        raise SystemExit(f"{other or wanted.keys() - found.keys()} differ from the whole run")
    for name in ("run.json", "status.json"):
        if (out / name).exists():
            json.loads((out / name).read_bytes())
    if whole:
        lines = (out / "results.jsonl").read_bytes().splitlines()
        if len({json.loads(line)["file"] for line in lines}) != len(wanted) // len(FOLDERS):
            raise SystemExit(f"{len(lines)} lines of results")
