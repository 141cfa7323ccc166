"""Small encoders of the other families: rollouts, edits, masks, and facts that fit no network."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders import rollouts
from jaxinv.encoders.encoding import encode
from jaxinv.encoders.loading import expected_params
from jaxinv.encoders.networks import build
from jaxinv.encoders.planes import Sample
from jaxinv.specs.encoders import EncoderSpec
from jaxinv.types import Params
from tests.tiers import mostly_slow
from tests.tiny import OLD, STYLE, Pair, old, style

NARROW = ("width", 4)
ROW = EncoderSpec(
    "row",
    "pooled-blocks",
    "pooled-row",
    side=16,
    rows=STYLE.rows,
    width=STYLE.w_dim,
    facts=(NARROW,),
)
CHANGES = (
    *((0, "shared", 16, 16, 6), (1, "image", 16, 3, 6), (2, "pooled", 16, 12, 6)),
    *((3, "separable", 12, 12, 6), (6, "pooled", 8, 8, 6)),
)
FACTORS = replace(
    ROW,
    name="factors",
    head="weight-factors",
    planes=("image", "reconstruction"),
    base="before",
    passes=2,
    before=ROW,
    facts=(NARROW, ("changes", CHANGES)),
)
FUSION = replace(
    ROW,
    name="fusion",
    backbone="aligned-residual",
    head="scale-shift",
    planes=("image", "reconstruction", "edited"),
    resize_drawn="bilinear-clipped",
    base="before",
    before=ROW,
    facts=(
        *(("aligner", (2, 3)), ("consultant", (2, 3)), ("channels", 12)),
        *(("cut", "b8_conv0"), ("cut_side", 8)),
    ),
)
CONTENT = replace(
    ROW,
    name="content",
    backbone="iresnet-50",
    head="styles-content",
    side=64,
    facts=(NARROW, ("channels", 12), ("cut", "b8_conv1"), ("cut_side", 8), ("share", 0.5)),
)
MASKED = replace(
    ROW,
    name="masked",
    backbone="masked-resnet-18",
    head="pooled-dense",
    side=32,
    planes=("image", "mask"),
    base="zeros",
    resize="pool",
)
DENSE = replace(ROW, name="dense", backbone="pooled-blocks", head="dense", base="zeros")
SCALES = replace(
    ROW,
    name="scales",
    backbone="resnet-18-deeper",
    neck="fpn-aligned",
    head="style-scales",
    side=64,
    output="s",
    base="zeros",
    facts=(NARROW, ("joined", 6), ("styles", OLD.styles), ("groups", (2, 2))),
)
FEATURES = (("channels", 12), ("cut", "b8_conv0"), ("cut_side", 8))
UNITS = ("units", (1, 1, 1, 1))
MOVED = replace(
    ROW,
    name="moved",
    backbone="ir-50",
    head="moved-residual",
    base="before",
    before=ROW,
    facts=(NARROW, UNITS, *FEATURES),
)
JOINED = replace(
    CONTENT, name="joined", head="styles-fused", side=32, facts=(NARROW, UNITS, *FEATURES)
)
EDITED = replace(
    ROW,
    name="edited",
    backbone="none",
    head="edited-features",
    side=8,
    resize="pool",
    base="before",
    before=JOINED,
    facts=FEATURES,
)
RIGGED = replace(
    ROW,
    name="rigged",
    backbone="none",
    head="rig",
    planes=("attribute",),
    side=8,
    base="before",
    before=ROW,
    facts=(("narrow", 3),),
)
FAMILIES = {
    one.name: one
    for one in (FACTORS, FUSION, CONTENT, MASKED, DENSE, SCALES, MOVED, EDITED, RIGGED)
}


def generator(spec: EncoderSpec) -> Pair:
    return old() if spec.output == "s" else style()


@lru_cache
def weights(spec: EncoderSpec) -> rollouts.Weights:
    """Random parameters, with kernels small enough for nets whose statistics are not learned."""
    draws = np.random.default_rng(1)

    def one(path: Any, leaf: Any) -> Any:
        kind = path[-1].key
        drawn = draws.standard_normal(leaf.shape, dtype=np.float32)
        if kind == "kernel":
            return jnp.asarray(0.5 * drawn / np.prod(leaf.shape[:-1]) ** 0.5)
        return jnp.asarray(0.02 * drawn + (kind in ("scale", "variance")))

    shapes = jax.eval_shape(build(spec).init, jax.random.key(0))
    return rollouts.Weights(jax.tree_util.tree_map_with_path(one, shapes), generator(spec)[1])


def samples(count: int = 2) -> Sample:
    draws = np.random.default_rng(0)
    images = draws.uniform(-1, 1, (count, 16, 16, 3)).astype("f4")
    mask = jnp.asarray(draws.uniform(size=(count, 16, 16)) > 0.5)
    asked = jnp.linspace(0.2, 0.9, count)
    return Sample(jnp.asarray(images), mask=mask, attribute=asked)


def single(batch: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], batch)


@pytest.mark.parametrize("name", mostly_slow(FAMILIES, fast=("dense",)))
def test_a_batch_is_its_samples_one_by_one(name: str) -> None:
    spec = FAMILIES[name]
    encoder, (gen, _) = build(spec), generator(spec)

    def one(held: rollouts.Weights, sample: Sample) -> Any:
        latents = rollouts.encode(encoder, gen, held, sample)
        return latents, gen.synthesize(held.generator, latents)

    together, pictures = jax.jit(jax.vmap(one, (None, 0)))(weights(spec), samples())
    assert pictures.shape == (2, 16, 16, 3)
    assert np.abs(np.asarray(pictures[0] - pictures[1])).max() > 1e-5
    for index in (0, 1):
        alone, picture = jax.jit(one)(weights(spec), single(samples(), index))
        np.testing.assert_allclose(pictures[index], picture, rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(
            jax.tree.leaves(single(together, index)), jax.tree.leaves(alone), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def without_output(params: Params) -> Params:
    """The parameters of a hypernetwork whose last layers give zeros."""
    last = (".output.0", ".output.1", ".second", "kernel_linear_out")
    own = {
        layer: jax.tree.map(jnp.zeros_like, held) if layer.endswith(last) else held
        for layer, held in params["params"].items()
    }
    return {**params, "params": own}


@pytest.mark.slow
def test_a_hypernetwork_that_gives_zeros_leaves_the_generator_as_it_is() -> None:
    encoder, (gen, _), held = build(FACTORS), style(), weights(FACTORS)
    still = held._replace(encoder=without_output(held.encoder))
    sample = single(samples(), 0)

    @jax.jit
    def pictures(held: rollouts.Weights, still: rollouts.Weights, sample: Sample) -> Any:
        starts = rollouts.begin(encoder, gen, held, sample)
        ends = (rollouts.encode(encoder, gen, one, sample) for one in (still, held))
        return [gen.synthesize(held.generator, latents) for latents in (starts, *ends)]

    base, unchanged, changed = pictures(held, still, sample)
    np.testing.assert_allclose(unchanged, base, atol=1e-6)
    assert np.abs(np.asarray(changed - base)).max() > 1e-5


@pytest.mark.slow
def test_factors_of_several_passes_add_up() -> None:
    encoder, (gen, _), held = build(FACTORS), style(), weights(FACTORS)

    @jax.jit
    def passes(held: rollouts.Weights, sample: Sample) -> Any:
        start = rollouts.begin(encoder, gen, held, sample)
        first = rollouts.look(encoder, gen, held, sample, start)
        second = rollouts.look(encoder, gen, held, sample, first)
        return first, second, rollouts.encode(encoder, gen, held, sample)

    first, second, whole = passes(held, single(samples(), 0))
    np.testing.assert_allclose(whole["w+"], first["w+"])
    own, later, end = (
        one["weights"]["synthesis"]["b4_conv1"]["kernel"]["times"] for one in (first, second, whole)
    )
    assert np.abs(np.asarray(later - own)).max() > 1e-4
    np.testing.assert_allclose(end, later, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [FUSION, MOVED, EDITED], ids=lambda spec: spec.name)
def test_residuals_follow_an_edit(spec: EncoderSpec) -> None:
    encoder, (gen, _), held = build(spec), style(), weights(spec)

    @jax.jit
    def both(held: rollouts.Weights, sample: Sample, step: Any) -> Any:
        start = rollouts.begin(encoder, gen, held, sample)
        edited = {"w+": start["w+"] + step}
        return (
            rollouts.encode(encoder, gen, held, sample),
            rollouts.correct(encoder, gen, held, sample, edited),
        )

    plain, same = both(held, single(samples(), 0), jnp.zeros(8))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), plain, same)
    _, other = both(held, single(samples(), 0), jnp.ones(8))
    np.testing.assert_allclose(other["w+"], plain["w+"] + 1, rtol=1e-5)
    for shift, moved in zip(
        jax.tree.leaves(plain["features"]), jax.tree.leaves(other["features"]), strict=True
    ):
        assert not shift.ndim or np.abs(np.asarray(shift - moved)).max() > 1e-5


def test_a_known_code_takes_the_place_of_the_encoder_before() -> None:
    encoder, (gen, _), held = build(RIGGED), style(), weights(RIGGED)
    code = jnp.asarray(np.random.default_rng(5).standard_normal(RIGGED.shape), jnp.float32)
    sample = single(samples(), 0)._replace(code=code)
    found = rollouts.encode(encoder, gen, held, sample)["w+"]
    own = held.encoder["params"]
    few = code[2] @ own["encoders.2"]["kernel"] + own["encoders.2"]["bias"]
    both = jnp.append(few, sample.attribute)
    change = both @ own["decoders.2"]["kernel"] + own["decoders.2"]["bias"]
    np.testing.assert_allclose(found[2], code[2] + change, rtol=1e-5, atol=1e-5)


def test_whom_a_picture_shows_may_be_said_by_another_picture() -> None:
    facts = (NARROW, ("hidden", (6,)), ("vector", 3), ("recogniser", "attribute"))
    spec = replace(
        ROW,
        name="who",
        backbone="dcgan",
        head="identity-mlp",
        planes=("image", "identity"),
        output="w",
        rows=0,
        base="zeros",
        facts=facts,
    )
    mean = jax.tree_util.Partial(lambda image: jnp.mean(image, (0, 1)))
    params = {**weights(spec).encoder, "recogniser": mean}
    pictures = np.asarray(samples(3).image)
    own = encode(pictures, (build(spec), params))["w"]
    np.testing.assert_array_equal(
        encode(pictures, (build(spec), params), identities=pictures)["w"], own
    )
    other = encode(pictures, (build(spec), params), identities=pictures[:1])["w"]
    np.testing.assert_array_equal(other[0], own[0])
    assert np.abs(other[1:] - own[1:]).max(axis=1).min() > 1e-4
    with pytest.raises(ValueError, match=r"identities .*; allowed: \[3, h, w, 3\] or \[1, h"):
        encode(pictures, (build(spec), params), identities=pictures[:2])
    with pytest.raises(ValueError, match="'masked' sees no 'identity'"):
        encode(pictures, (build(MASKED), params), masks=np.ones((3, 16, 16)), identities=pictures)


def test_features_are_scaled_shifted_or_replaced() -> None:
    gen, params = style()
    code = {"w+": jnp.ones((STYLE.rows, STYLE.w_dim))}
    x = jnp.asarray(np.random.default_rng(3).standard_normal((8, 8, 12)), jnp.float32)
    own = gen.prefix(params, code, "b8_conv0")["x"]
    for change, expected in (
        (x, own + x),
        ({"times": x, "add": 2 * x}, own * (1 + x) + 2 * x),
        ({"times": -1.0, "add": x}, x),
    ):
        found = gen.prefix(params, {**code, "features": {"b8_conv0": change}}, "b8_conv0")
        np.testing.assert_allclose(found["x"], expected, rtol=1e-5, atol=1e-5)


def test_an_encoder_that_sees_no_edit_cannot_follow_one() -> None:
    with pytest.raises(ValueError, match=r"planes .* allowed: one with 'edited'"):
        rollouts.correct(build(ROW), style()[0], weights(ROW), single(samples(), 0), {})


def test_hidden_pixels_do_not_count() -> None:
    encoder, (gen, _) = build(MASKED), style()
    sample = single(samples(), 0)
    hidden = jnp.where(sample.mask[..., None], sample.image, 0.7)
    run = jax.jit(lambda held, one: rollouts.encode(encoder, gen, held, one))
    codes = [run(weights(MASKED), sample._replace(image=x))["w+"] for x in (sample.image, hidden)]
    np.testing.assert_array_equal(*codes)


def facts(spec: EncoderSpec, **changed: Any) -> EncoderSpec:
    return replace(spec, facts=tuple({**dict(spec.facts), **changed}.items()))


BAD = {
    "kind of change": facts(FACTORS, changes=((0, "doubled", 16, 16, 6),)),
    "change of three numbers": facts(FACTORS, changes=((0, "pooled", 16),)),
    "negative channels": facts(FACTORS, changes=((0, "pooled", -4, 16, 6),)),
    "channels of nothing": facts(FUSION, aligner=()),
    "width of words": facts(MASKED, width="wide"),
    "styles of nothing": facts(SCALES, styles=(0, -1)),
    "cut of no size": facts(CONTENT, cut_side=0),
}


@pytest.mark.parametrize("case", BAD)
def test_facts_that_fit_no_network_are_refused(case: str) -> None:
    with pytest.raises(ValueError, match=r"fit no encoder|kind of change"):
        expected_params(build(BAD[case]))
