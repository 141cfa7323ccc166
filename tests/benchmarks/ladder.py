"""Scores of quick, default and fine in one search per photo.

The three presets have the same stage and differ in its steps alone, so the first 50 evaluations of
`fine` are `quick`, bit for bit; this checks that they are the same data and scores one search for
all three.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import jax
import jax.numpy as jnp

from jaxinv.encoders.ridge_regression import learned_init
from jaxinv.inversion.arguments import loss_side, upsampled
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.restarts import make_lanes
from jaxinv.inversion.stages import CHUNK, decode_lanes, init_lanes, run_chunk, target_features
from jaxinv.inversion.statistics import with_statistics
from jaxinv.io import images
from jaxinv.metrics.table import NETS
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render_uint8
from jaxinv.presets import PRESETS
from jaxinv.reports.markdown import markdown
from jaxinv.runs.results import score
from tests.benchmarks.tables import HEADS, cells

NAMES = ("quick", "default", "fine")


def steps() -> dict[int, str]:
    """Evaluations -> preset; `ValueError` unless the presets differ in nothing else."""
    stages = [PRESETS[name].stages[0] for name in NAMES]
    if any(replace(stage, steps=1) != replace(stages[0], steps=1) for stage in stages):
        raise ValueError("quick, default and fine no longer share one stage: run them one by one")
    return {stage.steps: name for stage, name in zip(stages, NAMES, strict=True)}


def report(folder: Path, limit: int, size: int) -> None:
    """Search every photo once and print a line per photo and preset, then the table."""
    marks, preset = steps(), PRESETS["fine"]
    gen, params = load_generator("ffhq")
    nets = load_features(tuple({*NETS, *preset.nets}))
    params = with_statistics(gen, params, preset, nets, report=print)
    weights = NetworkParams(params, nets)
    side = loss_side(gen, preset, size)
    problem = Problem(gen, preset.stages[0], side, 1)
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for file in images.find_images([folder], limit=limit):
        photo = images.read_photo(file, size=size, align="auto")
        grown, _ = upsampled(photo.pixels[None], None, side)
        lanes = make_lanes(grown, None, 0, 1, num_images=1)
        target = target_features(problem, weights, lanes.images, {}, {})
        guessed = learned_init(gen, params, preset, nets, lanes.images)
        lane = Lane(target, None, lanes.keys, lanes.restarts, guessed)
        state, spent, last = init_lanes(problem, weights, lane), 0.0, max(marks)
        for first in range(0, last, CHUNK):
            began = time.monotonic()
            span = jnp.asarray([first, first + CHUNK, last])
            state, _ = run_chunk(problem, weights, lane, state, span)
            jax.block_until_ready(state[1].loss)
            spent += time.monotonic() - began
            if first + CHUNK in marks:
                name = marks[first + CHUNK]
                found = decode_lanes(problem, weights, lane, state[1].codes)
                full = render_uint8(gen, params, jax.tree.map(lambda a: a[0], found))
                row = score(nets, full, photo.pixels) | {"seconds": spent}
                scores[name].append(row)
                print(file.name, name, {k: round(v, 4) for k, v in row.items()}, flush=True)
    print(table(scores))


def table(scores: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: mean and worst of every score, and the mean of the seconds, per preset."""
    rows = (
        (name, *cells(found), f"{mean(row['seconds'] for row in found):.0f}")
        for name, found in scores.items()
    )
    return markdown(("preset", *HEADS, "seconds"), rows)
