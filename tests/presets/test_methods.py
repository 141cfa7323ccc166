"""Every preset runs on a tiny generator, and does what its method is known by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.models.features import backbones
from jaxinv.models.generators import weight_deltas
from jaxinv.models.rendering import render
from jaxinv.presets import PRESETS
from jaxinv.solvers.hooks import hook_of
from jaxinv.solvers.registry import build
from jaxinv.solvers.schedules import schedule_value
from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable
from tests.methods import NARROW, dense, nets, pair_of, run, run_short, short
from tests.tiers import mostly_slow
from tests.tiny import chain, draw, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
PREVIOUS, ADAM = InitSpec("previous"), SolverSpec("adam", 0.01)
# Presets that cannot lower their loss in a handful of evaluations, and why.
RELUCTANT = {
    "igan-edit": "its start is at the least of its penalty, and steps of 0.1 leap past it",
    "npgd": "an encoder takes the place of a search",
}


# One or two of each file of `jaxinv/presets`, which between them move codes, noise maps, features,
# weights, mixed codes and a class, by gradients, candidates and chains. The others are slow.
FAST = (
    "z", "stylegan2-projector", "pulse", "csgm", "hmc", "aberdam", "ylg", "mganprior",
    "pix2latent-basincma", "dgp-reconstruct", "ganseeing", "pti-low-rank",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def narrow_nets() -> Iterator[None]:
    """Feature nets with few channels in place of the real ones, which have no weights here."""
    held = dict(backbones.NETS)
    backbones.NETS.update(NARROW)
    yield
    backbones.NETS.update(held)


@pytest.mark.parametrize("name", mostly_slow(PRESETS, FAST))
def test_every_preset_lowers_its_loss(name: str) -> None:
    found = run_short(name)
    assert found.status == ("ok",)
    made, first = short(PRESETS[name]), 0
    lower: list[bool] = []
    for stage in made.stages:
        curve = found.losses[0, 0, first : first + stage.steps]
        first += stage.steps
        assert np.all(np.isfinite(curve))
        lower.append(bool(np.min(curve[1:], initial=np.inf) < curve[0]))
    if made.stages[0].variables[0].init.kind == "layerwise":
        assert found.loss[0] < 1e-6
    else:
        assert any(lower) != (name in RELUCTANT)


@pytest.mark.parametrize(
    "name",
    ["stylegan2-projector", "pti-low-rank", "ganseeing", "mganprior", "dgp-reconstruct"],
)
def test_what_was_found_draws_the_same_from_the_disk(name: str, tmp_path: Path) -> None:
    gen, params = pair_of(name)
    latents = jax.tree.map(lambda a: np.asarray(a)[0], run_short(name).latents)
    save_latents(tmp_path / "l.safetensors", latents, {})
    loaded, _ = load_latents(tmp_path / "l.safetensors")
    ours, theirs = (
        render(gen, params, jax.tree.map(lambda a: a[None], some)) for some in (latents, loaded)
    )
    np.testing.assert_array_equal(ours, theirs)
    codes = {k: v[None] for k, v in latents.items() if k in ("z", "w", "label")}
    if name != "mganprior":
        assert np.any(ours != render(gen, params, codes))


# --- what methods are known by --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", mostly_slow(["stylegan2-projector", "stylegan2-projector-w+"], ["stylegan2-projector"])
)
def test_projected_noise_has_mean_0_and_variance_1(name: str) -> None:
    for grain in run_short(name).latents["noise"]:
        np.testing.assert_allclose([grain.mean(), grain.var()], [0, 1], atol=1e-5)


def test_the_ramp_of_the_projector() -> None:
    schedule = PRESETS["stylegan2-projector"].stages[0].solver.schedule
    times = np.array([0, 0.01, 0.025, 0.05, 0.5, 0.75, 0.8, 0.875, 1.0])
    rise = np.minimum(1, times / 0.05)
    fall = 0.5 - 0.5 * np.cos(np.pi * np.minimum(1, (1 - times) / 0.25))
    found = [schedule_value(schedule, jnp.asarray(t, jnp.float32)) for t in times]
    np.testing.assert_allclose(found, rise * fall, atol=1e-6)


def test_rows_of_pulse_stay_on_their_spheres() -> None:
    codes = np.random.default_rng(0).standard_normal((6, 512)).astype(np.float32)
    moved = codes + np.random.default_rng(1).standard_normal(codes.shape).astype(np.float32)
    hook = hook_of(PRESETS["pulse"].stages[1].hooks)
    assert hook is not None
    after = hook({"w+": codes}, {"w+": moved}, jax.random.key(0))["w+"]
    lengths = [np.linalg.norm(np.float64(x), axis=1) for x in (codes, after)]
    np.testing.assert_allclose(*lengths, rtol=1e-6)


def test_gaussianised_rows_are_what_a_search_moves() -> None:
    """PULSE begins at rows of their own, and moves each."""
    begun, ended = run_short("pulse", 1).latents["z+"][0], run_short("pulse").latents["w+"][0]
    assert len(np.unique(begun[:, 0])) == len(begun)
    gen, params = pair_of("pulse")
    rows = np.stack([np.asarray(gen.map(params, jnp.asarray(z))) for z in begun])
    assert np.all(np.any(rows != ended, axis=1))


def test_weights_are_released_from_the_shallow_end() -> None:
    """DGP: what is not released yet does not change, and what was released goes on."""
    name = "dgp-reconstruct"
    gen, params = pair_of(name)
    preset = short(PRESETS[name])
    still = replace(preset.stages[2], solver=SolverSpec("sgd", 1e-30), steps=1)
    second = run(name, replace(preset, stages=preset.stages[:2])).latents["weights"]
    third = run(name, replace(preset, stages=(*preset.stages[:2], still))).latents["weights"]
    free = [v for stage in preset.stages[1:] for v in stage.variables if v.space == "weights"]
    wanted = [set(weight_deltas.select(params, gen.steps, v.select, v.step_range)) for v in free]
    before, after = ({p[:-1]: a for p, a in weight_deltas.leaves(tree)} for tree in (second, third))
    assert [set(before), set(after)] == wanted
    assert set(before) < set(after)
    for path, value in after.items():
        expected = before.get(path, np.zeros_like(value))
        np.testing.assert_array_equal(value, expected)
    assert any(np.any(value) for value in before.values())


@pytest.mark.parametrize("space", ["weights", "features"])
def test_what_an_earlier_stage_changed_stays(space: str) -> None:
    gen, params = style()
    images = draw(style(), 3, 1) + np.float32(0.1)

    def stage(which: int, **others: Any) -> Stage:
        fields: dict[str, Any] = {"step_range": ((0.0, 0.4), (0.6, 1.0))[which]}
        if space == "features":
            fields = {"layers": ((0.2,), (0.8,))[which]}
        solver = SolverSpec("adam", 1e-3)
        return Stage((Variable(space, **fields, **others),), (Term("mse"),), 5, solver)

    code = Stage((Variable("w"),), (Term("mse"),), 5, ADAM)
    one, both = (
        invert(gen, params, images, preset=Preset("p", stages, "", ""), nets={})
        for stages in ((code, stage(0)), (code, stage(0), stage(1, init=PREVIOUS)))
    )
    kept = dict(weight_deltas.leaves(one.latents[space]))
    held = dict(weight_deltas.leaves(both.latents[space]))
    assert set(kept) < set(held)
    for path, value in kept.items():
        np.testing.assert_array_equal(held[path], value)
    assert both.loss[0] < one.loss[0]


def test_weights_change_in_one_form() -> None:
    images = draw(style(), 3, 1)
    stages = [
        Stage((v,), (Term("mse"),), 1, ADAM)
        for v in (
            Variable("w"),
            Variable("weights"),
            Variable("weights", form="multiply", init=PREVIOUS),
        )
    ]
    with pytest.raises(ValueError, match=r"changed by \['add'\]; allowed after them: the same"):
        invert(*style(), images, preset=Preset("p", tuple(stages), "", ""), nets={})


@pytest.mark.slow
def test_the_noise_stage_cannot_move_w() -> None:
    """Image2StyleGAN++: its second stage leaves w as it is."""
    first, both = run_short("image2stylegan++", 1), run_short("image2stylegan++")
    np.testing.assert_array_equal(first.latents["w+"], both.latents["w+"])
    assert "noise" not in first.latents
    assert "noise" in both.latents


@pytest.mark.slow
def test_low_rank_changes_are_smaller() -> None:
    sizes = [
        sum(np.size(a) for a in jax.tree.leaves(run_short(name).latents["weights"]))
        for name in ("pti-low-rank", "pti")
    ]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", ["lei-lp", "lei-lp-relaxed", "aberdam", "aberdam-nnls"])
def test_layers_give_z_back(name: str) -> None:
    z = np.random.default_rng(1).standard_normal((2, 6)).astype(np.float32)
    found = invert(*dense(), render(*dense(), {"z": z}), preset=name, nets={})
    np.testing.assert_allclose(found.latents["z"], z, atol=1e-3)


def test_the_chain_of_hmc_accepts_what_it_aims_at() -> None:
    spec = PRESETS["hmc"].stages[0].solver
    solver, target = build(spec), dict(spec.options)["target"]

    def fn(u: Any, key: Any) -> Any:
        del key
        return 0.5 * jnp.sum(jnp.square(u["z"])), {}

    def step(state: Any, number: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0), number)
        return solver.step(key, fn, state, jnp.zeros(()))[0], None

    state, _ = jax.lax.scan(step, solver.init({"z": jnp.ones(20)}), jnp.arange(4000))
    assert abs(state.accepted / state.ended - target) < 0.15


# --- what a generator lacks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("stylegan2-projector", "frees 'w', which generator 'chain' does not have"),
        ("pix2latent-cma", "frees 'embedding', which generator 'chain' does not have"),
        ("ylg", "needs a discriminator, which 'chain' lacks"),
        ("dgp-colorize", "needs a discriminator, which 'chain' lacks"),
        ("mimicgan", "needs a discriminator, which 'chain' lacks"),
        ("lei-lp", "chain of .*conv.*; allowed: dense alone"),
    ],
)
def test_what_a_generator_lacks_is_named(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        invert(*chain(), np.zeros((1, 16, 16, 3)), preset=name, nets=nets())
