"""Parts of the training of encoders: rows in turn, masks, passes, what may be left out."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders.examples import blob_masks, examples
from jaxinv.encoders.lessons import (
    find_encoder_preset,
    for_pictures,
    prepare,
    without_terms,
)
from jaxinv.encoders.objective import Lesson, rollout, rows_that_differ
from jaxinv.presets import ENCODERS
from jaxinv.specs import EncoderPlan, EncoderPreset, PictureSource, RowsInTurn, Term
from jaxinv.training.data import Synthetic, batches
from tests.tiny import chain, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
TURN = RowsInTurn(start=0.1, every=0.01)


@pytest.mark.parametrize(
    ("progress", "last"),
    [(0.0, 0), (0.0999, 0), (0.1, 1), (0.1099, 1), (0.11, 2), (0.26, 17), (0.9, 17)],
)
def test_rows_may_differ_one_after_the_other(progress: float, last: int) -> None:
    assert rows_that_differ(TURN, 18, jnp.asarray(progress)) == last


def test_all_rows_may_differ_where_none_is_told() -> None:
    assert rows_that_differ(None, 18, jnp.zeros(())) is None


def test_blobs_hide_at_most_seven_tenths_in_whole_regions() -> None:
    shares: list[float] = []
    for seed in range(12):
        masks = np.asarray(blob_masks(jax.random.key(seed), 16, 32))
        assert set(np.unique(masks)) <= {0.0, 1.0}
        shares.append(masks.mean())
        changes = np.abs(np.diff(masks, axis=2)).mean()
        assert changes < 0.2  # pixels would change half of the time
    assert min(shares) > 0.2
    assert max(shares) > 0.8


def preset(**changes: Any) -> EncoderPreset:
    plan = EncoderPlan(
        "dcgan", "dcgan-dense", side=16, resize="area", outputs=("w+", "z"), facts=(("width", 4),)
    )
    own = replace(ENCODERS["encoder"], plan=plan, terms=(Term("mse"),), batch=4)
    return replace(own, **changes)


@lru_cache
def shown(lesson: Lesson) -> Any:
    gen, params = style()
    batch = batches(Synthetic(0), 4, seed=0)[0]
    source, space = lesson.preset.source, lesson.encoder.spec.output
    key = jax.random.key(1)
    return examples(gen, params, source, batch, key, space=space, size=lesson.size)


def loss_of(made: EncoderPreset) -> tuple[float, Any]:
    gen, params = style()
    lesson, given = prepare(gen, params, made, nets={})
    weights = lesson.encoder.init(jax.random.key(0))
    few = {name: weights[name] for name in ("params", "batch_stats")}
    total, seen = jax.jit(lambda few: rollout(lesson, given, few, shown(lesson), jnp.zeros(())))(
        few
    )
    return float(total), seen


def test_codes_of_synthetic_pictures_draw_them_again() -> None:
    gen, params = style()
    lesson, _ = prepare(gen, params, preset(), nets={})
    found = shown(lesson)
    again = jax.vmap(lambda code: gen.synthesize(params, {"w+": code}, lesson.size))(
        found.known["w+"]
    )
    np.testing.assert_allclose(again, found.target, atol=1e-5)


def given_examples(source: PictureSource, batch: Any, space: str = "w+") -> Any:
    gen, params = style()

    @jax.jit
    def made(params: Any, batch: Any, key: Any) -> Any:
        return examples(gen, params, source, batch, key, space=space, size=16)

    return made(params, batch, jax.random.key(1))


@pytest.mark.slow
def test_a_mixed_batch_knows_the_codes_of_what_is_drawn() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    both = {**batches(Synthetic(0), 2, seed=0)[0], "image": image}
    found = given_examples(PictureSource("mixed"), both)
    np.testing.assert_allclose(found.target[2], image[0] / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(found.counts["drawn"], [1.5, 1.5, 0])
    assert not np.any(found.known["w+"][2])
    gen, params = style()
    drawn = gen.synthesize(params, {"w+": found.known["w+"][1]}, 16)
    np.testing.assert_allclose(found.target[1], drawn, atol=1e-5)
    assert [PictureSource("mixed", drawn=s).of_batch(4) for s in (0.0, 0.5, 1.0)] == [1, 2, 3]


@pytest.mark.parametrize("crossed", [0.0, 1.0])
def test_identities_are_crossed_among_the_pictures(crossed: float) -> None:
    batch = batches(Synthetic(0), 3, seed=0)[0]
    found = given_examples(PictureSource("synthetic", crossed=crossed), batch)
    if not crossed:
        assert found.whose is None
        assert found.samples.identity is None
        np.testing.assert_array_equal(found.counts["same"], [1, 1, 1])
        return
    np.testing.assert_array_equal(found.whose, [2, 0, 1])
    np.testing.assert_array_equal(found.samples.identity[0], found.target[2])
    np.testing.assert_array_equal(found.counts["same"], [0, 0, 0])


@pytest.mark.slow
def test_pairs_are_pictures_before_and_after_an_edit_of_some_rows() -> None:
    batch = batches(Synthetic(0), 6, seed=0)[0]
    found = given_examples(PictureSource("synthetic", moved=1.0, pairs=True), batch)
    gen, params = style()
    moves, codes = found.samples.move, found.known["w+"]
    for target, code in ((found.target, codes), (found.samples.image, codes - moves)):
        again = jax.vmap(lambda one: gen.synthesize(params, {"w+": one}, 16))(code)
        np.testing.assert_allclose(target, again, atol=1e-5)
    moved = np.any(np.asarray(moves), axis=2)
    assert moved.any(axis=1).all()
    assert not moved.all()
    assert (np.abs(np.diff(moved.astype(int), axis=1)).sum(axis=1) <= 2).all()  # a range of rows
    some = given_examples(PictureSource("synthetic", moved=0.5), batch)
    still = ~np.any(np.asarray(some.samples.move), axis=(1, 2))
    np.testing.assert_allclose(some.counts["same"], still * 6 / max(still.sum(), 1))
    assert 0 < still.sum() < 6


@pytest.mark.slow
def test_passes_add_up_and_the_first_is_a_single_one() -> None:
    planes = ("image", "reconstruction")
    plan = replace(preset().plan, planes=planes)
    one, seen = loss_of(preset(plan=plan))
    two, _ = loss_of(preset(plan=replace(plan, passes=2)))
    assert two > one
    np.testing.assert_allclose(one, seen.terms["mse"], rtol=1e-6)


@pytest.mark.slow
def test_before_rows_differ_a_code_is_one_w() -> None:
    plan = EncoderPlan("ir-se-50", "deltas", facts=(("width", 4),))
    _, seen = loss_of(preset(plan=plan, rows=RowsInTurn(0.5, 0.1)))
    code = np.asarray(seen.codes["w+"])
    np.testing.assert_array_equal(code, np.repeat(code[:, :1], code.shape[1], axis=1))
    _, free = loss_of(preset(plan=plan))
    assert np.abs(np.diff(free.codes["w+"], axis=1)).max() > 1e-3


def test_terms_that_pictures_of_files_cannot_have_are_named() -> None:
    kept, lost = for_pictures(ENCODERS["encoder"], "real")
    assert lost == ("latent-w+",)
    assert "latent" not in {term.name for term in kept.terms}
    assert for_pictures(ENCODERS["encoder"], "synthetic")[1] == ()
    with pytest.raises(ValueError, match="'icgan-z' learns known codes"):
        for_pictures(ENCODERS["icgan-z"], "real")


def test_a_term_goes_with_its_critic() -> None:
    made = without_terms(ENCODERS["e4e"], ["code_realism-w+"])
    assert made.critics == ()
    with pytest.raises(ValueError, match="unknown term of preset 'e4e' 'identity'; allowed: mse"):
        without_terms(ENCODERS["e4e"], ["identity"])


@pytest.mark.parametrize(
    ("pair", "made", "told"),
    [
        (chain, ENCODERS["psp"], r"'psp' gives w\+, which generator 'chain' has not; it has z"),
        (style, ENCODERS["idinvert-encoder"], "needs a discriminator, which 'style' lacks"),
        (style, ENCODERS["psp"], "needs the nets alexnet, arcface-ir; given: none"),
        (
            style,
            preset(terms=(Term("embedding", net="attribute"),)),
            "needs 'attribute', a function of pictures",
        ),
        (chain, preset(terms=(Term("mse"), Term("delta_norm"))), r"with codes z; allowed: w\+"),
    ],
)
def test_what_a_generator_cannot_learn_is_said_at_once(pair: Any, made: Any, told: str) -> None:
    gen, params = pair()
    with pytest.raises(ValueError, match=told):
        prepare(gen, params, made, nets={})


def test_presets_are_found_by_name() -> None:
    assert find_encoder_preset("psp") is ENCODERS["psp"]
    assert find_encoder_preset(ENCODERS["psp"]) is ENCODERS["psp"]
    with pytest.raises(ValueError, match=r"unknown preset of an encoder 'pspp'.*nearest: psp"):
        find_encoder_preset("pspp")
    with pytest.raises(ValueError, match="unknown source of pictures 'fake'"):
        PictureSource("fake")
    with pytest.raises(ValueError, match=r"pairs of real pictures, of which 1\.0 are moved"):
        PictureSource("real", moved=1.0, pairs=True)
    with pytest.raises(ValueError, match="codes are given with mixed"):
        PictureSource("mixed", coded=True)
