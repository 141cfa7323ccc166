"""What a lane's result may depend on: its image, its seed, its restart; never its neighbours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion import bind, stages
from jaxinv.inversion.batch import lane_width, padded_size
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.restarts import image_key, make_lanes
from jaxinv.inversion.result import Inversion, Progress
from jaxinv.inversion.stages import init_lanes, target_features
from jaxinv.models.rendering import render
from jaxinv.specs import InitSpec, Jitter, SolverSpec, Stage, Variable
from tests.engine import one, preset, run, targets
from tests.tiny import linear, mobile

# --- neighbours -----------------------------------------------------------------------------------

SHAKEN = preset(
    one(
        Variable("w", init=InitSpec("prior")),
        Variable("noise", init=InitSpec("prior")),
        jitter=Jitter(),
    )
)


def lane(found: Inversion, index: int) -> dict[str, Any]:
    """All numbers that belong to one image."""
    return {
        "latents": jax.tree.map(lambda leaf: leaf[index], found.latents),
        "losses": found.losses[index],
        "loss": found.loss[index],
    }


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Equal to the last bit."""
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def close(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Equal to float32 rounding: programs of other shapes add in another order."""
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-3), ours["latents"], theirs["latents"])


@lru_cache
def eight(width: int) -> Inversion:
    return run(SHAKEN, targets(8), batch=8, width=width)


@pytest.mark.parametrize("width", [1, 8])
def test_a_lane_does_not_depend_on_its_neighbours(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = targets(8)
    order = np.asarray([5, 2, 7, 0, 1, 6, 3, 4])
    shuffled = run(SHAKEN, images[order], batch=8, width=width)
    sick = images.copy()
    sick[3], sick[6, 4, 4, 0] = np.nan, np.inf
    monkeypatch.setattr(bind, "read_pixels", lambda images, operator: images)  # it refuses these
    beside_sick = run(SHAKEN, sick, batch=8, width=width)
    for place, index in enumerate(order):
        same(lane(shuffled, place), lane(eight(width), index))
        if index not in (3, 6):
            same(lane(beside_sick, index), lane(eight(width), index))
    ill = {"diverged": {3, 6}, "ok": {0, 1, 2, 4, 5, 7}}
    for status, expected in ill.items():
        assert {i for i, found in enumerate(beside_sick.status) if found == status} == expected
    assert np.all(beside_sick.loss[[3, 6]] == np.inf)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(beside_sick.latents))


def test_batch_and_width_change_rounding_only() -> None:
    alone = run(SHAKEN, targets(8)[2:3])
    for other in (eight(1), eight(8), run(SHAKEN, targets(8), batch=8, width=3)):
        close(lane(alone, 0), lane(other, 2))


def test_batches_are_padded_and_cut_again() -> None:
    seen: list[Progress] = []
    found = run(SHAKEN, targets(8)[:3], batch=2, width=2, report=seen.append)
    assert found.losses.shape == (3, 1, 10)
    for index in range(3):
        close(lane(found, index), lane(eight(1), index))
    assert [len(step.losses) for step in seen] == [2, 1]
    assert [(step.finished, step.images) for step in seen] == [(0, 2), (2, 1)]
    assert [padded_size(count, 8) for count in (1, 2, 3, 5, 8)] == [1, 2, 4, 8, 8]
    assert padded_size(3, 3) == 3


def test_equal_images_and_seeds_give_equal_results_and_other_seeds_do_not() -> None:
    first, again, other = (run(SHAKEN, targets(8)[:1], seed=seed) for seed in (0, 0, 1))
    same(lane(first, 0), lane(again, 0))
    assert np.abs(other.losses[0] - again.losses[0]).max() > 1e-4
    here, there = targets(8)[:2]
    keys = [image_key(image, seed) for image, seed in ((here, 0), (here, 1), (there, 0))]
    assert len({tuple(np.asarray(jax.random.key_data(key))) for key in keys}) == 3


# --- restarts -------------------------------------------------------------------------------------


def test_the_best_restart_is_kept_and_the_first_is_the_only_one() -> None:
    # Steps too small to reach the bottom: what counts is where a restart begins.
    wide = Variable("w+", init=InitSpec(spread=1.0))
    slow = preset(one(wide, steps=5, solver=SolverSpec("sgd")), restarts=4)
    single, several = run(slow, targets(3), restarts=1), run(slow, targets(3))
    assert several.losses.shape == (3, 4, 5)
    np.testing.assert_allclose(several.losses[:, 0], single.losses[:, 0], rtol=1e-5)
    final = several.losses.min(axis=2)
    np.testing.assert_array_equal(several.best, final.argmin(axis=1))
    np.testing.assert_array_equal(several.loss, final.min(axis=1))
    assert len(np.unique(final)) == 12
    assert np.any(several.best > 0)
    drawn = render(*linear(), several.latents)
    np.testing.assert_allclose(
        np.mean((drawn - targets(3)) ** 2, (1, 2, 3)), several.loss, rtol=1e-4
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere all lanes go at once")
def test_on_cpus_the_restarts_of_an_image_go_together_where_the_network_is_small() -> None:
    small, _ = linear()
    large = small._replace(spec=replace(small.spec, resolution=128))
    lanes = {
        restarts: make_lanes(targets(3), None, 0, restarts, num_images=3) for restarts in (1, 3, 40)
    }
    own = one(Variable("w"), Variable("weights", select=("*",)))
    widths = [lane_width(small, one(), some) for some in lanes.values()]
    assert widths == [1, 3, 16]
    breeding = one(solver=SolverSpec("cma", 0.1))
    assert lane_width(large, one(), lanes[3]) == lane_width(small, own, lanes[3]) == 1
    assert lane_width(small, breeding, lanes[3]) == 1


def test_the_restarts_of_an_image_do_not_depend_on_other_images() -> None:
    shaken = replace(SHAKEN, restarts=3)
    together, alone = run(shaken, targets(8)[:4], batch=4), run(shaken, targets(8)[2:3])
    close(lane(alone, 0), lane(together, 2))


# --- the compiled program -------------------------------------------------------------------------


def compiled_stage(stage: Stage, width: int, lanes: int) -> str:
    """Text of the compiled program that advances a stage of the tiny generator."""
    gen, params = mobile()
    problem, weights = Problem(gen, stage, 16, width), NetworkParams(params, {})
    images = jnp.zeros((lanes, 16, 16, 3))
    keys = jax.random.split(jax.random.key(0), lanes)
    given = Lane(
        target_features(problem, weights, images, {}, {}), None, keys, jnp.zeros(lanes, int), {}
    )
    state = jax.eval_shape(partial(init_lanes, problem), weights, given)
    span = jnp.asarray([0, 1, 2])
    return stages.run_chunk.lower(problem, weights, given, state, span).compile().as_text() or ""


def test_lanes_side_by_side_share_ordinary_convolutions() -> None:
    text = compiled_stage(one(Variable("w+"), steps=2), 4, 4)
    convolutions = re.findall(r"^.* convolution\(.*$", text, re.M)
    assert len(convolutions) == 2, "the one full convolution, forwards and backwards"
    for line in convolutions:
        assert "feature_group_count" not in line
        assert "batch_group_count" not in line
        assert "f32[4," in line  # the lanes are the batch


# --- devices --------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
ON_DEVICES = """
import sys
import jax, numpy as np
from tests.inversion.test_independence import SHAKEN
from tests.engine import run
from jaxinv.inversion.batch import images_at_once
assert jax.local_device_count() == 8
assert images_at_once(SHAKEN, 16, None) == 8, "one for each device"
found = run(SHAKEN, np.load(sys.argv[2]), batch=8, width=1, restarts=3)
np.savez(sys.argv[1], losses=found.losses, loss=found.loss, best=found.best, w=found.latents["w"])
"""


def test_lanes_are_the_same_on_one_device_and_on_eight(tmp_path: Path) -> None:
    # The very same pictures: a start depends on every bit of them.
    np.save(tmp_path / "images.npy", targets(8))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", ON_DEVICES, "eight.npz", "images.npy"],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        check=True,
    )
    ours = run(SHAKEN, targets(8), batch=8, width=1, restarts=3)
    with np.load(tmp_path / "eight.npz") as theirs:
        np.testing.assert_allclose(ours.losses, theirs["losses"], rtol=1e-4)
        np.testing.assert_array_equal(ours.best, theirs["best"])
        np.testing.assert_allclose(ours.latents["w"], theirs["w"], atol=1e-3)
