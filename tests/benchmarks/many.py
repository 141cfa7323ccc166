"""A long run of small pictures: what memory does, and how near the run comes to its engine's rate.

`python -m tests.benchmarks many --count 20000`. Pictures are drawn by the digits generator and
written as files; the run is `jaxinv invert` of their folder. Its rate is held against that of
`jaxinv.invert` on some of the same pictures as one array, in the same process, before and after, by
the time of all its threads: others may keep the machine busy. Then Chromium opens the report.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.benchmarks import forks

PRESET, GENERATOR = "z", "mnist28"
WARM_UP = 0.1  # share of the run after which memory counts
ALONE = 64  # pictures that the engine is given as one array


class Options(NamedTuple):
    """How many pictures, and evaluations of each."""

    count: int = 20_000
    steps: int = 50
    scores: bool = False


def report(options: Options) -> None:
    """Print memory at several moments, both rates, and how long the report takes to be read."""
    with TemporaryDirectory() as folder:
        forks.done(partial(prepare, Path(folder), options))
        forks.done(partial(measure, Path(folder), options))
        page = Path(folder) / "out" / "report.html"
        pages = 1 + len(list((page.parent / "report").glob("page-*.html")))
        print(f"report: {pages} pages, the first one of {page.stat().st_size / 1e6:.1f} MB")
        print(f"report: {opened(page)}; load {os.getloadavg()[0]:.1f}")


def opened(page: Path) -> str:
    """How long a headless Chromium takes to open a page and to lay it out, three times."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return "not opened: playwright is not installed"
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
    told: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for _ in range(3):
            tab = browser.new_page()
            measured = tab.context.new_cdp_session(tab)
            measured.send("Performance.enable")
            began = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="load")
            tab.evaluate("document.body.getBoundingClientRect().height")  # laid out
            seconds = time.perf_counter() - began
            facts = measured.send("Performance.getMetrics")["metrics"]
            busy = next(one["value"] for one in facts if one["name"] == "TaskDuration")
            told.append(f"{seconds:.2f} s ({busy:.2f} s of work)")
            tab.close()
        browser.close()
    return f"opened in {', '.join(told)}"


def prepare(folder: Path, options: Options) -> None:
    """A generator, and pictures of its own."""
    from jaxinv.io.image_ops import to_uint8
    from jaxinv.io.images import encode_png
    from jaxinv.models.loading import load_generator
    from tests.benchmarks.methods.sources import FILES, WEIGHTS, drawn
    from weights_convert import convert

    file = folder / "generator.safetensors"
    convert(WEIGHTS / FILES[GENERATOR][0], name=GENERATOR, out=file)
    pair = load_generator(str(file))
    for first in range(0, options.count, 1000):
        place = folder / "photos" / f"{first // 1000:03d}"
        place.mkdir(parents=True)
        pictures = to_uint8(drawn(pair, min(1000, options.count - first), seed=first))
        for number, picture in enumerate(pictures, first):
            (place / f"{number:06d}.png").write_bytes(encode_png(picture))


def measure(folder: Path, options: Options) -> None:
    """Run, and look at this process meanwhile."""
    import jax

    from jaxinv.cli.main import main
    from jaxinv.inversion.presets import find_preset, with_steps
    from jaxinv.io.files import find_images
    from jaxinv.io.images import read_images
    from jaxinv.models.loading import load_generator
    from jaxinv.runs import runner

    pair = load_generator(str(folder / "generator.safetensors"))
    some = find_images([str(folder / "photos")], limit=ALONE)
    pictures = read_images(some, size=pair[0].spec.resolution, align="none")
    preset = with_steps(find_preset(PRESET), options.steps)

    def alone() -> float:
        from jaxinv.inversion.invert import invert

        began = time.process_time()
        invert(*pair, pictures, preset=preset, nets={})
        return len(pictures) / (time.process_time() - began)

    alone()  # compiles
    before = alone()
    seen: list[tuple[float, float]] = []
    patched: Any = runner
    patched.StatusFile.add = watched(runner.StatusFile.add, seen)
    words = ["invert", str(folder / "photos"), "-g", str(folder / "generator.safetensors")]
    words += ["-o", str(folder / "out"), "-p", PRESET, "--steps", str(options.steps)]
    words += ["--align", "none", *([] if options.scores else ["--no-scores"])]
    code = main(words)
    after = alone()
    warm = seen[int(len(seen) * WARM_UP) :]
    rate = (len(warm) - 1) / (warm[-1][0] - warm[0][0])
    rates = f"{rate:.2f} images per second of CPU, the engine alone {before:.2f} before and "
    rates += f"{after:.2f} after"
    print(
        f"{len(seen)} images, exit code {code}: {rates}: {rate / mean((before, after)):.2f} of it"
    )
    for share in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0):
        at = seen[min(int(len(seen) * share), len(seen) - 1)]
        print(f"memory after {share:4.0%} of the images: {at[1] / 1e6:.1f} MB")
    growth = warm[-1][1] - warm[0][1]
    print(
        f"after warm-up: {growth / warm[0][1]:+.1%}, {growth / len(warm) / 1e3:.2f} kB an image; "
        f"{len(jax.live_arrays())} arrays live"
    )


def watched(add: Callable[..., Any], seen: list[tuple[float, float]]) -> Callable[..., Any]:
    """`StatusFile.add` that also notes the time and this process's memory in bytes."""

    def call(*arguments: Any) -> None:
        add(*arguments)
        seen.append((time.process_time(), resident()))

    return call


def resident() -> float:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
