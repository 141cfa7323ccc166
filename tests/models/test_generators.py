"""The surface of every generator; parity of the FFHQ generator with the runtime it comes from."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.io.latent_files import fit_latents
from jaxinv.latents.spaces import draw_prior
from jaxinv.models import loading
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.generators.base import convert, space_path
from jaxinv.models.generators.mobilestylegan import build
from jaxinv.models.rendering import render
from jaxinv.models.zoo import ZOO
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.nn.resample import area_reduce
from jaxinv.runs.doctor import random_params
from jaxinv.specs import GeneratorSpec
from jaxinv.specs.vocabulary import LATENT_SPACES
from jaxinv.types import Array, Latents, Params
from tests.goldens import make_ffhq
from tests.tiers import mostly_slow
from tests.tiny import Pair, chain, classes, grown, linear, mobile, old, style, third, tree
from tests.tiny_decoders import MAKERS
from tests.weights import need
from weights_convert.networks.mobilestylegan import mapping_rules, synthesis_rules

PAIRS = {
    "mobilestylegan": mobile,
    "stylegan1": old,
    "stylegan2": style,
    "stylegan3": third,
    "linear": linear,
}


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]()


@lru_cache
def codes(make: Any) -> dict[str, Latents]:
    """One sample in every space of the chain."""
    gen, params = make()
    z = jnp.asarray(np.random.default_rng(3).standard_normal(gen.spec.z_dim), jnp.float32)
    return {space: {space: convert(gen, params, {"z": z}, space)} for space in LATENT_SPACES}


def chain_of(pair: Pair) -> dict[str, Latents]:
    return codes({id(make()[0]): make for make in PAIRS.values()}[id(pair[0])])


def picture(pair: Pair, latents: Latents, size: int | None = None) -> np.ndarray:
    return render(*pair, jax.tree.map(lambda leaf: leaf[None], latents), size=size)[0]


# --- every generator ------------------------------------------------------------------------------


def test_codes_of_the_chain_have_the_shapes_of_the_spec(pair: Pair) -> None:
    spec = pair[0].spec
    for latents in chain_of(pair).values():
        assert fit_latents(spec, latents) is latents
    assert chain_of(pair)["w+"]["w+"].shape == (spec.rows, spec.w_dim)


def test_every_space_of_the_chain_draws_the_same_picture(pair: Pair) -> None:
    pictures = [picture(pair, latents) for latents in chain_of(pair).values()]
    side = pair[0].spec.resolution
    assert pictures[0].shape == (side, side, 3)
    assert pictures[0].std() > 0.1
    for other in pictures[1:]:
        np.testing.assert_allclose(other, pictures[0], atol=2e-6 * np.abs(other).max())


def test_w_is_the_same_row_of_w_plus_and_every_row_counts(pair: Pair) -> None:
    chain = chain_of(pair)
    plus = np.asarray(chain["w+"]["w+"])
    np.testing.assert_array_equal(plus, np.tile(chain["w"]["w"], (len(plus), 1)))
    reference = picture(pair, chain["w+"])
    for row in range(len(plus)):
        moved = plus.copy()
        moved[row] += 1
        assert np.abs(picture(pair, {"w+": moved}) - reference).max() > 1e-3, row


def test_the_latest_space_decides(pair: Pair) -> None:
    chain = chain_of(pair)
    both = {"w": jnp.zeros(pair[0].spec.w_dim), **chain["w+"]}
    np.testing.assert_array_equal(picture(pair, both), picture(pair, chain["w+"]))


@pytest.mark.parametrize(("held", "wanted"), [("w", "z"), ("s", "w+"), ("noise", "w")])
def test_the_chain_cannot_be_walked_back(pair: Pair, held: str, wanted: str) -> None:
    gen, params = pair
    allowed = re.escape(", ".join(name for name in LATENT_SPACES if space_path(name, wanted)))
    with pytest.raises(ValueError, match=rf"latents with {held} cannot give .*: {allowed}$"):
        convert(gen, params, {held: jnp.zeros(3)}, wanted)


@pytest.mark.parametrize("side", [16, 12, 8])
def test_a_smaller_picture_is_the_reduced_one(pair: Pair, side: int) -> None:
    latents = chain_of(pair)["w+"]
    size = min(side, pair[0].spec.resolution)
    full = jnp.asarray(picture(pair, latents))
    np.testing.assert_allclose(picture(pair, latents, size), area_reduce(full, size), atol=1e-5)


def test_stored_noise_given_is_stored_noise_left_out(pair: Pair) -> None:
    gen, params = pair
    latents = chain_of(pair)["w"]
    stored = gen.stored_noise(params)
    assert tuple(m.shape for m in stored) == tuple((side, side) for side in gen.spec.noise)
    np.testing.assert_allclose([float(jnp.mean(m * m)) for m in stored], 1, atol=0.2)
    left_out = picture(pair, latents)
    np.testing.assert_allclose(picture(pair, {**latents, "noise": stored}), left_out, atol=1e-5)
    for index in range(len(stored)):
        moved = (*stored[:index], stored[index] + 1, *stored[index + 1 :])
        assert np.abs(picture(pair, {**latents, "noise": moved}) - left_out).max() > 1e-3, index


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("w", np.zeros(3), r"cannot draw 'w' of shape \(3,\)"),
        ("w+", np.zeros((2, 16)), r"cannot draw 'w\+' of shape \(2, 16\); allowed: \(\d, \d+\)"),
        ("noise", (np.zeros((4, 4)),) * 2, "cannot draw 'noise'"),
        ("theta", np.zeros(3), "allowed: only z, z"),
    ],
)
def test_other_shapes_are_refused(pair: Pair, name: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        picture(pair, {**chain_of(pair)["w"], name: value})


def test_pictures_do_not_depend_on_what_is_drawn_beside_them(pair: Pair) -> None:
    w = np.asarray(chain_of(pair)["w"]["w"])
    several = render(*pair, {"w": np.stack([w + 1, w, w - 1])})
    np.testing.assert_array_equal(several[1], picture(pair, {"w": w}))
    with pytest.raises(ValueError, match=r"one common leading axis, got lengths \[2, 3\]"):
        render(*pair, {"w": np.stack([w] * 3), "z": np.zeros((2, pair[0].spec.z_dim))})


# --- MobileStyleGAN -------------------------------------------------------------------------------


def ffhq_spec() -> GeneratorSpec:
    facts: dict[str, Any] = dict(ZOO["ffhq"].outputs[0].spec)
    return GeneratorSpec(**facts)


def test_parameters_are_those_that_the_converter_writes() -> None:
    made = jax.eval_shape(build(ffhq_spec()).init, jax.random.key(0))
    paths = jax.tree_util.tree_flatten_with_path(made)[0]
    shapes = {"/".join(part.key for part in path): leaf.shape for path, leaf in paths}
    rules = (*mapping_rules(), *synthesis_rules())
    assert shapes == {rule.target: tuple(rule.shape) for rule in rules}


def test_gradients_with_and_without_backward_kernels_agree() -> None:
    gen, params = mobile()
    w = chain_of((gen, params))["w+"]["w+"]

    def energy(params: Params, w: Array) -> Array:
        return jnp.mean(jnp.square(gen.synthesize(params, {"w+": w}, 16)))

    gradient = jax.jit(jax.grad(energy, argnums=1))
    plain = gradient({k: v for k, v in params.items() if k != BACKWARD_KERNELS}, w)
    np.testing.assert_allclose(gradient(params, w), plain, rtol=1e-4, atol=1e-6)
    assert np.abs(plain).max() > 1e-4


# --- the FFHQ generator against its own runtime ---------------------------------------------------


@pytest.fixture(scope="module")
def ffhq() -> Pair:
    need("ffhq")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "use_compilation_cache", lambda: None)
        return loading.load_generator("ffhq")


def test_ffhq_draws_the_golden_pictures(ffhq: Pair) -> None:
    gen, params = ffhq
    golden = np.load(make_ffhq.GOLDEN)
    z = jnp.stack([make_ffhq.latent(seed) for seed in make_ffhq.SEEDS])
    w = jax.vmap(lambda one: gen.map(params, one))(z)
    np.testing.assert_allclose(w[:, :8], golden["w"], atol=2e-5)
    pictures = render(gen, params, {"w": w})
    coarse = [make_ffhq.coarse(one) for one in pictures]
    np.testing.assert_allclose(coarse, golden["coarse"], atol=1e-4)
    patches = [make_ffhq.patches(one) for one in pictures]
    np.testing.assert_allclose(patches, golden["patches"], atol=1e-3)


def test_ffhq_agrees_with_openvino_on_whole_pictures(ffhq: Pair) -> None:
    pytest.importorskip("openvino")
    gen, params = ffhq
    mapping, synthesis = make_ffhq.networks()
    z = np.stack([make_ffhq.latent(seed) for seed in range(10, 14)])
    w = np.stack([mapping(one) for one in z])
    np.testing.assert_allclose(
        jax.vmap(lambda one: gen.map(params, one))(jnp.asarray(z)), w, atol=1e-4
    )
    for one, ours in zip(w, render(gen, params, {"w": w}), strict=True):
        theirs = synthesis(one)
        assert np.abs(theirs).max() > 0.5
        np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=0)


# --- cuts -----------------------------------------------------------------------------------------

EVERY = {**PAIRS, "pggan": grown, "dcgan": chain, "biggan": classes, "treegan": tree, **MAKERS}


def prior(pair: Pair, seed: int = 0) -> Latents:
    return draw_prior(pair[0].spec, jax.random.key(seed))


@pytest.mark.parametrize("name", mostly_slow(EVERY, [name for name in EVERY if name not in MAKERS]))
def test_a_prefix_and_its_suffix_make_the_whole_picture(name: str) -> None:
    gen, params = EVERY[name]()
    latents = prior(EVERY[name]())
    whole = np.asarray(gen.synthesize(params, latents))
    features = gen.features(params, latents)
    assert tuple(features) == gen.steps
    for cut in gen.steps:
        state = gen.prefix(params, latents, cut)
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), state, features[cut])
        again = gen.suffix(params, latents, cut, state, None)
        np.testing.assert_allclose(again, whole, atol=1e-5)


def test_features_of_one_picture_in_the_middle_of_another_change_it() -> None:
    gen, params = style()
    ours, theirs = prior(style(), 0), prior(style(), 1)
    mixed = gen.suffix(params, ours, "b8_conv1", gen.prefix(params, theirs, "b8_conv1"), None)
    for latents in (ours, theirs):
        assert np.abs(mixed - gen.synthesize(params, latents)).max() > 0.1


def test_a_cut_that_there_is_not_is_refused_with_those_there_are() -> None:
    gen, params = style()
    with pytest.raises(ValueError, match=r"b5.*allowed: b4_conv1, b8_conv0"):
        gen.prefix(params, prior(style()), "b5")


# --- classes --------------------------------------------------------------------------------------


def test_a_class_its_vector_and_a_mixture_of_one_class_draw_the_same() -> None:
    gen, params = classes()
    z, label = jnp.ones(9), jax.nn.one_hot(3, 10)
    one = gen.synthesize(params, {"z": z, "label": label})
    vector = gen.embed(params, label)
    assert vector.shape == (4,)
    np.testing.assert_allclose(
        gen.synthesize(params, {"z": z, "embedding": vector}), one, atol=1e-6
    )
    other = gen.synthesize(params, {"z": z, "label": jax.nn.one_hot(4, 10)})
    assert np.abs(other - one).max() > 0.01


def test_a_class_is_asked_for_where_there_are_classes() -> None:
    gen, params = classes()
    with pytest.raises(ValueError, match=r"classes: latents with z need a 'label' \[10\]"):
        gen.synthesize(params, {"z": jnp.ones(9)})


def test_attention_maps_are_among_the_features() -> None:
    gen, params = classes()
    weights = gen.features(params, prior(classes()))["attention0"]["attention"]
    assert weights.shape == (64, 16)  # every pixel of 8x8 looks at 4x4 pooled ones
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


# --- discriminators -------------------------------------------------------------------------------


@lru_cache
def judging() -> tuple[Any, Params]:
    """The discriminator of the small StyleGAN2, with random weights."""
    judge: Any = style()[0].discriminator
    return judge, {DISCRIMINATOR: random_params(judge)}


def test_a_score_depends_on_the_group_alone() -> None:
    judge, params = judging()
    images = jax.random.uniform(jax.random.key(1), (8, 16, 16, 3), minval=-1.0)
    score = jax.jit(judge.scores)
    scores = score(params, images)
    assert scores.shape == (8,)
    # Sample i stands with i + 2, i + 4 and i + 6.
    group = score(params, images[::2])
    np.testing.assert_allclose(group, scores[::2], atol=1e-5)
    assert np.abs(score(params, images[:1])[0] - scores[0]) > 1e-4
    with pytest.raises(ValueError, match="6 images; allowed: up to 4, or a multiple of 4"):
        score(params, images[:6])


def test_features_of_a_discriminator_shrink_from_step_to_step() -> None:
    judge, params = judging()
    found = jax.eval_shape(judge.features, params, jnp.zeros((16, 16, 3)))
    shapes = {name: state["x"].shape for name, state in found.items()}
    assert shapes == {"image": (16, 16, 6), "b16": (8, 8, 8), "b8": (4, 4, 8)}
