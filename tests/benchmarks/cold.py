"""The first picture of the README's first command, and the same command again, in one run.

The weights are fetched already; what is measured once per generator and what is compiled is not
there. What is said of the time left is held against what then came.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from jaxinv.io.checkpoints import cache_dir

PHOTO = "notebooks/photos/astronaut.png"
OVER = re.compile(r"(images|.*?)(?: .*, scoring|: (\d+) of \2)$")
LEFT = re.compile(r"(.*?): \d+ of \d+, (\d+) s left|(images) .*?, (\d+) s left")


def report() -> None:
    """Print seconds of both commands, of the search alone, their ratio, and the times left."""
    with TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        for file in cache_dir().iterdir():
            if file.is_file():
                os.link(file, cache / file.name)
        pull, _ = run(cache, "pull", "ffhq", "lpips", "landmarks")
        cold, said = run(cache, "invert", PHOTO, "-o", f"{folder}/cold")
        again, _ = run(cache, "invert", PHOTO, "-o", f"{folder}/again")
        (line,) = Path(folder, "again", "results.jsonl").read_text().splitlines()
        search = json.loads(line)["seconds"]
        print(f"pull {pull:.1f} s, first picture {cold:.1f} s, the same again {again:.1f} s")
        print(f"its search {search:.1f} s; pull and first picture over search: ", end="")
        print(f"{(pull + cold) / search:.2f}")
        for label, told, came in said:
            print(f"{label}: {told:.0f} s left were said, {came:.0f} s came")


def run(cache: Path, *words: str) -> tuple[float, list[tuple[str, float, float]]]:
    """Seconds of a command in a process of its own; (what, time left, what came) as it said."""
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "jaxinv", *words],
        env=os.environ | {"JAXINV_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    told: list[tuple[str, float, float]] = []
    ends: dict[str, float] = {}
    for line in child.stderr or ():
        now = time.monotonic() - began
        print(f"{now:6.1f} {line.rstrip()}", flush=True)
        found = LEFT.match(line)
        if found:
            label = found[1] or found[3]
            told.append((label, now, float(found[2] or found[4])))
        if end := OVER.match(line):
            ends[end[1]] = now
    if child.wait():
        raise SystemExit(f"jaxinv {' '.join(words)} ended with {child.returncode}")
    whole = time.monotonic() - began
    return whole, [(label, left, ends.get(label, whole) - at) for label, at, left in told]
