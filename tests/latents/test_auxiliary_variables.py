"""Unknowns that are no codes: without effect at their neutral value, and movable from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.latents.auxiliary_variables import (
    apply_output_variables,
    apply_transform,
    identity_value,
    step_names,
)
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.generators import weight_deltas
from jaxinv.models.rendering import render
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable
from tests.tiers import mostly_slow
from tests.tiny import Pair, chain, classes, draw, grown, mobile, style, third

pytestmark = pytest.mark.usefixtures("quick_compilation")
KEY = jax.random.key(0)
PREVIOUS = InitSpec("previous")
ADAM = SolverSpec("adam", 0.03)
NETWORKS: dict[str, Callable[[], Pair]] = {
    "mobile": mobile, "style": style, "third": third, "chain": chain, "classes": classes,
}  # fmt: skip
VARIABLES = [
    Variable("features", layers=(0.4, 0.8)),
    Variable("weights"),
    Variable("weights", form="multiply", step_range=(0.5, 1.0)),
    Variable("weights", form="replace"),
    Variable("weights", form="low-rank", rank=2, select=("*kernel*",)),
    Variable("transform"),
    Variable("surrogate"),
]


def named(variable: Variable) -> str:
    return f"{variable.space}-{variable.form}" if variable.space == "weights" else variable.space


def image(pair: Pair, latents: dict[str, Any]) -> np.ndarray:
    gen, params = pair
    return np.asarray(apply_output_variables(latents, gen.synthesize(params, latents)))


# Every network with all that changes inside it; what stands behind the render once.
INSIDE = [(name, v) for name in NETWORKS for v in (VARIABLES[0], VARIABLES[1], VARIABLES[4])]
ONCE = [("style", v) for v in (VARIABLES[2], VARIABLES[3], *VARIABLES[5:])]
CASES = [*INSIDE, *ONCE]
ON_STYLE = [("style", v) for v in VARIABLES if v.form != "replace"]  # other networks are slow


@pytest.mark.parametrize(("network", "variable"), mostly_slow(CASES, ON_STYLE))
def test_the_neutral_value_changes_nothing_but_can_be_moved(
    network: str, variable: Variable
) -> None:
    gen, params = pair = NETWORKS[network]()
    latents = draw_prior(gen.spec, jax.random.key(4))
    value = identity_value(gen, params, variable, KEY)
    plain = image(pair, latents)
    np.testing.assert_allclose(image(pair, {**latents, variable.space: value}), plain, atol=2e-5)

    def loss(value: Any) -> Any:
        drawn = gen.synthesize(params, {**latents, variable.space: value})
        return jnp.mean(jnp.square(apply_output_variables({variable.space: value}, drawn) - 0.3))

    slopes = jax.tree.leaves(jax.grad(loss)(value))
    assert all(np.all(np.isfinite(slope)) for slope in slopes)
    moving = [bool(np.any(slope)) for slope in slopes]
    # Not every weight is felt (a bias before a norm, dead units); factors of rank start at 0.
    assert np.mean(moving) > 0.4


def test_a_changed_kernel_has_the_gradient_of_a_plain_network() -> None:
    gen, params = style()
    latents = draw_prior(gen.spec, KEY)
    variable = Variable("weights", select=("*/kernel",))
    change = identity_value(gen, params, variable, KEY)

    def loss(change: Any, params: Any) -> Any:
        return jnp.mean(jnp.square(gen.synthesize(params, {**latents, "weights": change})))

    def plainly(synthesis: Any) -> Any:
        bare = {name: value for name, value in params.items() if name != BACKWARD_KERNELS}
        return jnp.mean(jnp.square(gen.synthesize({**bare, "synthesis": synthesis}, latents)))

    ours = dict(weight_deltas.leaves(jax.grad(loss)(change, params)))
    theirs = dict(weight_deltas.leaves(jax.grad(plainly)(params["synthesis"])))
    assert ours
    for path, slope in ours.items():
        np.testing.assert_allclose(slope, theirs[path[1:-1]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "make", mostly_slow([chain, grown, style], [chain]), ids=["chain", "grown", "style"]
)
def test_one_code_with_share_one_is_that_code_alone(make: Callable[[], Pair]) -> None:
    gen, params = pair = make()
    latents = draw_prior(gen.spec, KEY)
    mix = identity_value(gen, params, Variable("mix", layers=(0.6,), num_codes=1), KEY)
    several = {"z": latents["z"][None], "mix": mix}
    np.testing.assert_allclose(image(pair, several), image(pair, latents), atol=1e-5)
    (shares,) = mix.values()
    half = {
        "z": jnp.tile(latents["z"], (2, 1)),
        "mix": {next(iter(mix)): jnp.tile(shares / 2, (2, 1))},
    }
    np.testing.assert_allclose(image(pair, half), image(pair, latents), atol=1e-5)


def test_cuts_are_names_or_fractions() -> None:
    gen, _ = style()
    assert step_names(gen, ("b4_conv1", 0.01, 1.0)) == (gen.steps[0], gen.steps[0], gen.steps[-1])
    with pytest.raises(ValueError, match=r"'b5'; allowed: b4_conv1"):
        step_names(gen, ("b5",))


def test_weights_are_selected_by_name_and_by_part() -> None:
    gen, params = style()
    every = weight_deltas.select(params, gen.steps, ("*",), (0.0, 1.0))
    assert len(every) == len(list(weight_deltas.leaves(params["synthesis"])))
    late = weight_deltas.select(params, gen.steps, ("*kernel",), (0.6, 1.0))
    assert {path[1] for path in late} == {"b16_conv0", "b16_conv1"} | {
        path[1] for path in every if "torgb" in path[1] and path[-1] == "kernel"
    }
    with pytest.raises(ValueError, match=r"no weights match nothing.*names below b16_conv0"):
        weight_deltas.select(params, gen.steps, ("nothing",), (0.0, 1.0))


def test_a_transform_moves_enlarges_and_colours() -> None:
    picture = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 8, 3)), jnp.float32)
    moved = apply_transform({"shift": jnp.asarray([0.25, -0.125])}, picture)
    np.testing.assert_allclose(moved[2:, :-1], picture[:-2, 1:], atol=1e-6)
    np.testing.assert_allclose(moved[0, :-1], picture[0, 1:], atol=1e-6)  # the edge is repeated
    ramp = jnp.tile(jnp.arange(9.0)[:, None, None], (1, 9, 3))
    double = apply_transform({"scale": jnp.log(2.0)}, ramp)
    np.testing.assert_allclose(double[:, 0, 0], 4 + (np.arange(9) - 4) / 2, atol=1e-5)
    tint = apply_transform({"color": jnp.asarray([[0.0, jnp.log(2.0), 0], [0.5, 0, 0]])}, picture)
    np.testing.assert_allclose(
        tint, picture * np.array([1, 2, 1]) + np.array([0.5, 0, 0]), atol=1e-6
    )


def search(pair: Pair, images: np.ndarray, *stages: Stage, **others: Any) -> Any:
    preset = Preset("p", stages, "", "")
    return invert(*pair, images, preset=preset, nets={}, **others)


def first(*variables: Variable, steps: int = 20) -> Stage:
    return Stage(variables, (Term("mse"),), steps, SolverSpec("lbfgs"))


# Added features, changed weights (the form with most parts), and one behind the render.
@pytest.mark.parametrize(
    "variable", mostly_slow(VARIABLES, (VARIABLES[0], VARIABLES[4], VARIABLES[5])), ids=named
)
def test_a_second_stage_moves_it_alone_and_lowers_the_loss(variable: Variable) -> None:
    pair = style()
    images = np.clip(draw(pair, 3, 2) * np.array([1.2, 0.9, 1]) + 0.1, -1, 1).astype(np.float32)
    alone = search(pair, images, first(Variable("w")))
    rate = 1e-3 if variable.space in ("weights", "surrogate") else 0.03
    second = Stage((variable,), (Term("mse"),), 30, SolverSpec("adam", rate))
    both = search(pair, images, first(Variable("w")), second)
    np.testing.assert_array_equal(both.latents["w"], alone.latents["w"])
    assert np.all(both.loss < 0.97 * alone.loss)
    # What is found draws, and is kept, like any other latents.
    lens = variable.space in ("transform", "surrogate")
    drawn = render(*pair, both.latents)
    seen = np.stack(
        [
            np.asarray(
                apply_output_variables(
                    jax.tree.map(lambda a, i=i: a[i], both.latents), jnp.asarray(d)
                )
            )
            for i, d in enumerate(drawn)
        ]
    )
    np.testing.assert_allclose(np.mean(np.square(seen - images), (1, 2, 3)), both.loss, rtol=1e-3)
    assert lens or np.any(drawn != render(*pair, alone.latents))


def test_weights_of_a_lane_do_not_depend_on_its_neighbours() -> None:
    pair = style()
    images = draw(pair, 3, 3) + np.float32(0.1)
    stages = (first(Variable("w"), steps=5), Stage((VARIABLES[2],), (Term("mse"),), 5, ADAM))
    together = search(pair, images, *stages, batch=3)
    alone = search(pair, images[1:2], *stages)
    for a, b in zip(jax.tree.leaves(together.latents), jax.tree.leaves(alone.latents), strict=True):
        np.testing.assert_array_equal(a[1], b[0])


def test_several_codes_reach_more_than_one() -> None:
    gen, params = pair = chain()
    mix = Variable("mix", layers=(0.5,), num_codes=6)
    z = np.random.default_rng(1).uniform(-1, 1, (6, 8)).astype(np.float32)
    # Blended of six codes: out of the reach of one.
    images = image(pair, {"z": z, "mix": identity_value(gen, params, mix, KEY)})[None]
    start = InitSpec("prior")
    one = search(pair, images, first(Variable("z", init=start), steps=60))
    six = search(pair, images, first(Variable("z", init=start, num_codes=6), mix, steps=60))
    assert six.latents["z"].shape == (1, 6, 8)
    assert six.loss[0] < 0.5 * one.loss[0]


def test_a_class_is_found_as_vector_and_as_probabilities() -> None:
    pair = classes()
    z, names = draw_prior(pair[0].spec, KEY)["z"], jnp.eye(10)
    starts = {"z": jnp.stack([z, z])}
    between = 0.95 * names[5] + 0.05 * names[jnp.asarray([2, 7])]
    images = render(*pair, {**starts, "label": between})
    others = render(*pair, {**starts, "label": names[jnp.asarray([5, 5])]})
    plain = np.mean(np.square(others - images), (1, 2, 3))
    for space, codec in (("embedding", "identity"), ("label", "softmax")):
        # Small steps: the landscape of random weights is rough.
        rate = 0.01 if space == "embedding" else 0.1
        stage = Stage((Variable(space, codec),), (Term("mse"),), 200, SolverSpec("adam", rate))
        found = search(pair, images, stage, labels=[5, 5], starts=starts)
        assert np.all(found.loss < 0.2 * plain), (space, found.loss / plain)


def test_what_is_added_survives_the_disk(tmp_path: Any) -> None:
    gen, params = pair = style()
    latents: dict[str, Any] = {"w": params["statistics"]["mean"]}
    for variable in (VARIABLES[0], VARIABLES[4], VARIABLES[5]):
        value = identity_value(gen, params, variable, KEY)
        latents[variable.space] = jax.tree.map(lambda a: a + 0.01, value)
    save_latents(tmp_path / "l.safetensors", latents, {})
    loaded, _ = load_latents(tmp_path / "l.safetensors")
    np.testing.assert_allclose(image(pair, latents), image(pair, loaded), atol=1e-5)


def test_a_transform_of_other_words_is_refused() -> None:
    with pytest.raises(ValueError, match="transform 'colour'; allowed: shift, scale, color"):
        apply_transform({"colour": jnp.zeros((2, 3))}, jnp.zeros((8, 8, 3)))
