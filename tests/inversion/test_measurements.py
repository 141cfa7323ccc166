"""The engine between a render and what was measured of it: operators, reaches, sweeps, memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion import memory, stages
from jaxinv.inversion.invert import invert
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.stages import target_features
from jaxinv.models.loading import build
from jaxinv.models.rendering import render
from jaxinv.operators import build as build_operator
from jaxinv.specs import (
    GeneratorSpec,
    InitSpec,
    OperatorSpec,
    SolverSpec,
    Stage,
    Stop,
    Term,
    Variable,
)
from tests.engine import MSE, one, preset, run, targets
from tests.tiny import Pair, draw, linear, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
LBFGS = SolverSpec("lbfgs")
DENSE = OperatorSpec("dense", count=40)
DOWN = OperatorSpec("down", factor=2)
OPERATORS = [
    DOWN,
    OperatorSpec("half", side="left"),
    OperatorSpec("gray"),
    OperatorSpec("luma"),
    DENSE,
    OperatorSpec(
        "compose", parts=(OperatorSpec("blur", sigma=1.0), OperatorSpec("down", factor=2))
    ),
]


def measure(operator: OperatorSpec, images: np.ndarray) -> np.ndarray:
    made = build_operator(operator, images.shape[1:])
    return np.stack([np.asarray(made.apply(jnp.asarray(image))) for image in images])


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.name)
def test_a_code_is_found_from_what_is_left_of_its_image(operator: OperatorSpec) -> None:
    clean = draw(linear(), 3, 2)
    stage = one(Variable("w"), solver=LBFGS, steps=40)
    found = run(replace(preset(stage), operator=operator), measure(operator, clean))
    np.testing.assert_allclose(render(*linear(), found.latents), clean, atol=2e-3)


def test_projected_gradients_reach_the_image_of_dense_measurements() -> None:
    clean = draw(linear(), 5, 1)
    begin = one(Variable("w"), solver=LBFGS, steps=1)
    previous = Variable("w", init=InitSpec("previous"))
    inner = one(previous, solver=LBFGS, steps=12, pgd_step_size=0.6)
    made = preset(begin, *[inner] * 25)
    found = run(replace(made, operator=DENSE), measure(DENSE, clean))
    first = run(replace(preset(begin), operator=DENSE), measure(DENSE, clean))
    error, before = (
        float(np.mean(np.square(render(*linear(), one.latents) - clean))) for one in (found, first)
    )
    assert error < 1e-3 * before


def test_measurements_that_do_not_fit_are_refused() -> None:
    stage = one(Variable("w"))
    wrong = replace(preset(stage), operator=DENSE)
    with pytest.raises(ValueError, match=r"'dense' and images \[41\]; allowed: 16 px give \[40\]"):
        run(wrong, np.zeros((1, 41)))
    down = replace(preset(stage), operator=OperatorSpec("down", factor=3))
    with pytest.raises(ValueError, match=r"16 px: .*3"):
        run(down, np.zeros((1, 5, 5, 3)))
    gray = replace(
        preset(one(terms=(Term("lpips", net="alexnet"),))), operator=OperatorSpec("luma")
    )
    with pytest.raises(ValueError, match=r"looks with alexnet at 1 channels|sees 16x16"):
        run(gray, np.zeros((1, 16, 16, 1)), nets={"alexnet": {}})
    noisy = OperatorSpec("quantize")
    reach = preset(stage, one(Variable("w", init=InitSpec("previous")), pgd_step_size=0.5))
    with pytest.raises(ValueError, match="has a pgd_step_size, and operator 'quantize' no adjoint"):
        run(replace(reach, operator=noisy), np.zeros((1, 16, 16, 3)))
    with pytest.raises(ValueError, match="stage 1 has a pgd_step_size, but no image before it"):
        preset(one(pgd_step_size=0.5))


# --- layers from the image back to z --------------------------------------------------------------

DENSE_NET = GeneratorSpec(
    name="dense",
    architecture="dcgan",
    resolution=8,
    z_dim=6,
    facts=(("layers", (("dense", 24, "relu"), ("dense", 3, "none", 8))),),
)


def dense_net() -> Pair:
    gen = build(DENSE_NET)
    draws = np.random.default_rng(0)
    tree = {
        "layer0": {"kernel": draws.standard_normal((6, 24)), "bias": np.zeros(24)},
        "layer1": {"kernel": draws.standard_normal((24, 192)) / 10, "bias": np.zeros(192)},
    }
    return gen, {"synthesis": jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)}


@pytest.mark.parametrize("method", ["lp", "lp-relaxed", "nnls", "ista"])
def test_layer_by_layer_inversion_is_an_initialiser(method: str) -> None:
    pair = dense_net()
    z = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    images = render(*pair, {"z": z})
    layerwise = Variable("z", init=InitSpec("layerwise", method=method))
    made = preset(Stage((layerwise,), MSE, 1))
    found = invert(*pair, images, preset=made, nets={})
    np.testing.assert_allclose(found.latents["z"], z, atol=1e-3)
    assert np.all(found.loss < 1e-6)
    assert found.status == ("ok",) * 3
    # Half of the picture is enough, and the other half may be anything.
    masks = np.zeros((3, 8, 8))
    masks[:, :4] = 1
    torn = np.where(masks[..., None] > 0, images, 0.9)
    again = invert(*pair, torn, preset=made, nets={}, masks=masks)
    np.testing.assert_allclose(again.latents["z"], z, atol=5e-3)
    # A search may go on from there: here from answers to noisy pictures.
    noisy = (images + 0.1 * np.random.default_rng(2).standard_normal(images.shape)).clip(-1, 1)
    further = preset(Stage((layerwise,), MSE, 15, SolverSpec("lbfgs")))
    begun, ended = (
        invert(*pair, noisy.astype(np.float32), preset=one, nets={}).loss for one in (made, further)
    )
    assert np.all(ended <= begun)
    assert ended.sum() < begun.sum() or method in ("nnls", "ista")


def test_layerwise_starts_refuse_what_has_no_dense_layers() -> None:
    layerwise = Variable("z", init=InitSpec("layerwise"))
    made = preset(Stage((layerwise,), MSE, 1))
    with pytest.raises(ValueError, match="generator 'style' is a stylegan2; allowed: dcgan"):
        invert(*style(), np.zeros((1, 16, 16, 3)), preset=made, nets={})
    with pytest.raises(ValueError, match="start of 'w' 'layerwise'; allowed: mean, prior"):
        Variable("w", init=InitSpec("layerwise"))
    with pytest.raises(ValueError, match="option of method 'lp' 'sparsity'; allowed: tolerance"):
        InitSpec("layerwise", options=(("sparsity", 1.0),))
    pair, second = dense_net(), preset(Stage((Variable("z"),), MSE, 1), Stage((layerwise,), MSE, 1))
    with pytest.raises(ValueError, match="stage 2 starts at 'layerwise': images of 8 px"):
        invert(*pair, np.zeros((1, 8, 8, 3)), preset=second, nets={})


# --- starts, stops, lanes that leave --------------------------------------------------------------


def test_the_best_of_many_draws_is_where_a_search_begins() -> None:
    images = targets(2)
    best = Variable("w", init=InitSpec("best-of", count=30))
    still = SolverSpec("sgd", 1e-12)
    found = run(preset(one(best, solver=still, steps=1)), images)
    prior = Variable("w", init=InitSpec("prior"))
    draws = run(
        preset(one(prior, solver=still, steps=1)), images, restarts=8, keep_all_restarts=True
    )
    assert draws.all_restarts is not None
    assert np.all(found.loss < np.median(draws.all_restarts.loss, axis=1))
    np.testing.assert_array_equal(found.evaluations, 31)


def test_a_search_sets_out_from_given_latents() -> None:
    images = targets(2)
    held = run(preset(one(steps=5)), images).latents
    still = SolverSpec("sgd", 1e-12)
    again = run(preset(one(Variable("w+"), solver=still, steps=1)), images, starts=held)
    np.testing.assert_allclose(
        again.latents["w+"], np.tile(held["w"][:, None], (1, 3, 1)), atol=1e-6
    )
    with pytest.raises(ValueError, match=r"starts of \[1\] images; allowed: 2"):
        run(preset(one()), images, starts={"w": held["w"][:1]})
    noise = preset(one(Variable("noise")))
    with pytest.raises(ValueError, match="preset 'p' needs starts"):
        run(noise, images)
    assert run(noise, images, starts=held).loss.shape == (2,)


def test_a_plateau_ends_a_lane() -> None:
    stop = Stop(kind="plateau", patience=5, gain=1e-3)
    found = run(preset(one(solver=LBFGS, steps=200, stop=stop)), targets(2))
    assert np.all(found.evaluations < 100)
    whole = run(preset(one(solver=LBFGS, steps=200)), targets(2))
    np.testing.assert_allclose(found.loss, whole.loss, rtol=1e-2)


def test_lanes_that_are_over_leave_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    advance = stages.run_chunk

    def counted(problem: Problem, weights: NetworkParams, lanes: Lane, *rest: Any) -> Any:
        sizes.append(len(lanes.restart))
        return advance(problem, weights, lanes, *rest)

    monkeypatch.setattr(stages, "run_chunk", counted)
    # Pictures within reach end at once; the last one never gets there.
    images = np.concatenate([draw(linear(), 1, 7), targets(1)[:1] + np.float32(0.3)])
    stop = Stop("mse", 1e-6)
    stage = one(solver=LBFGS, steps=120, stop=stop)
    found = run(preset(stage), images, batch=8, width=8)
    assert sizes[0] == 8
    assert sizes[-1] == 1
    for index in (0, 7):
        alone = run(preset(stage), images[index : index + 1])
        np.testing.assert_allclose(found.loss[index], alone.loss[0], rtol=1e-3, atol=1e-8)
    assert found.evaluations[7] == 120 > found.evaluations[0]


def test_the_batch_is_what_fits() -> None:
    gen, params = style()
    stage = one(Variable("w+"))
    problem = Problem(gen, stage, 16, 1)
    weights = NetworkParams(params, {})
    images = jnp.asarray(draw(style(), 1, 1))
    lane = Lane(
        target_features(problem, weights, images, {}, {}),
        None,
        jax.random.split(jax.random.key(0), 1),
        jnp.zeros(1, jnp.int32),
        {},
    )
    one_lane = memory.footprint(problem, weights, lane)
    many = memory.lanes_that_fit(problem, weights, lane, 100 * one_lane)
    few = memory.lanes_that_fit(problem, weights, lane, 10 * one_lane)
    assert 1 <= few < many
    assert 5 * few < many < 20 * few
    assert memory.lanes_that_fit(problem, weights, lane, 1) == 1
    assert memory.room() > 0
    found = run(preset(one(steps=2)), targets(2), batch="auto")
    np.testing.assert_array_equal(found.loss, run(preset(one(steps=2)), targets(2)).loss)
    with pytest.raises(ValueError, match="unknown batch 'most'; allowed: a whole number, auto"):
        run(preset(one(steps=2)), targets(2), batch="most")
