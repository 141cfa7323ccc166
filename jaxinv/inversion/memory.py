"""How many lanes fit into a device's memory, by the compiled program's own figure."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.inversion.batch import initial_latents, sequential
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.restarts import Batch
from jaxinv.inversion.stages import (
    decode_lanes,
    init_lanes,
    run_chunk,
    target_features,
    with_pivots,
)

if TYPE_CHECKING:
    from jaxinv.inversion.bind import BoundProblem

USED = 0.85  # part of the free memory that a batch may take
MOST = 64  # images of a batch: beyond it nothing is gained, and results come late
UNKNOWN = 4 << 30


def room() -> int:
    """Free bytes of the first local device, or of the machine where that is its processor."""
    device = jax.local_devices()[0]
    facts: dict[str, int] = device.memory_stats() or {}
    if "bytes_limit" in facts:
        return facts["bytes_limit"] - facts.get("bytes_in_use", 0)
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return UNKNOWN


def footprint(problem: Problem, weights: NetworkParams, lanes: Lane) -> int:
    """Bytes that one compiled step of these lanes needs beside the weights."""
    state: Any = jax.eval_shape(lambda w, given: init_lanes(problem, w, given), weights, lanes)
    span = jnp.asarray([0, 1, problem.stage.steps])
    compiled = run_chunk.lower(problem, weights, lanes, state, span).compile()
    found: Any = compiled.memory_analysis()
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((lanes, state)))
    return int(found.temp_size_in_bytes) + held


def lanes_that_fit(problem: Problem, weights: NetworkParams, lane: Lane, free: int) -> int:
    """Lanes that `free` bytes hold, at least 1, from the footprints of one and of two.

    `lane` has a leading axis of 1.
    """

    def needed(count: int) -> int:
        shaped = jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype), lane)
        return footprint(problem._replace(width=count), weights, shaped)

    one, two = needed(1), needed(2)
    each = max(two - one, 1)
    return max(int((USED * free - (one - each)) // each), 1)


def automatic_batch(bound: BoundProblem, lanes: Batch) -> int:
    """Images that go together: a power of two that fits, for every stage and on every device.

    `lanes` is a batch of one image. Where lanes go one by one there is nothing to gain: 1.
    """
    gen, weights, preset = bound.gen, bound.weights, bound.preset
    fit, previous = MOST, initial_latents(bound, lanes)
    for stage in preset.stages:
        if sequential(stage):
            return jax.local_device_count()
        problem = Problem(gen, stage, lanes.size, 1, (), preset.operator).program
        first = jax.tree.map(lambda a: a[:1], (lanes.images, lanes.masks, lanes.keys, previous))
        images, masks, keys, given = first
        whole = jnp.ones((1, lanes.size, lanes.size, 1))
        named = {mask.name: whole for mask in preset.masks}
        target = target_features(
            problem, weights, images, dict.fromkeys(preset.targets, images), {}
        )
        lane = Lane(target, masks, keys, lanes.restarts[:1], given, named)
        state = init_lanes(problem, weights, lane)
        lane = with_pivots(problem, weights, lane, state[1].codes)
        fit = min(fit, lanes_that_fit(problem, weights, lane, room()) // lanes.restarts_per_image)
        previous = decode_lanes(problem, weights, lane, state[1].codes)
    return (1 << max(fit, 1).bit_length() - 1) * jax.local_device_count()
