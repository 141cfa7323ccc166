"""Narrow members of the presets that change a generator's inside, or ask for more, learn."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders.alignment import aligner
from jaxinv.encoders.collaboration import Search
from jaxinv.encoders.examples import asked
from jaxinv.encoders.lessons import for_pictures, prepare
from jaxinv.encoders.networks import build
from jaxinv.encoders.objective import Given, Lesson, show, way_back
from jaxinv.encoders.perspective import UNMOVED, moved, perspectives
from jaxinv.encoders.plans import encoder_spec
from jaxinv.encoders.training import encoder_job, unchanging
from jaxinv.presets import ENCODERS
from jaxinv.specs import EncoderPlan, EncoderPreset, PictureSource, SolverSpec, TargetSearch, Term
from jaxinv.training.data import Synthetic, batches
from tests.tiny import style

pytestmark = pytest.mark.usefixtures("quick_compilation")
NARROW = (("width", 4),)
CHANGES: dict[str, dict[str, Any]] = {
    "lsap": {"neck": "none"},
    "guan": {"neck": "none"},
    "hyperstyle": {"passes": 2},
    "hfgi": {"facts": (("aligner", (4, 6)), ("consultant", (4, 6)))},
}


def brightness(image: Any) -> Any:
    """An attribute of a picture, in [0, 1]."""
    return jnp.clip((jnp.mean(image) + 1) / 2, 0, 1)


NETS = {"attribute": jax.tree_util.Partial(brightness)}


def narrow(name: str, **others: Any) -> EncoderPreset:
    """The preset, narrow, for pictures of 16 px, with terms that need no net but a function."""
    made = ENCODERS[name]
    plan = replace(made.plan, **{"facts": NARROW, **CHANGES.get(name, {})})
    own = ("aside", "norm_from", "style_alignment")
    terms: list[Term] = [Term("mse")]
    for term in made.terms:
        if term.name in own:
            terms.append(term)
        elif term.name in ("embedding_at_gap", "attribute"):
            terms.append(Term(term.name, term.weight, net="attribute"))
    solver = SolverSpec("adam", 2e-3)
    source = replace(made.source, kind="synthetic", flip=False)
    made = replace(made, plan=plan, terms=tuple(terms), solver=solver, source=source)
    return replace(made, batch=4, steps=60, **others)


@lru_cache
def before(name: str) -> Any:
    """A narrow encoder with random weights, the mean code of the generator in its place."""
    gen, params = style()
    output = "w" if ENCODERS[name].plan.outputs == ("w",) else "w+"
    plan = EncoderPlan(
        "dcgan", "dcgan-dense", side=16, outputs=(output,), facts=(("width", 4), ("last", 4))
    )
    spec = encoder_spec(replace(ENCODERS["encoder"], plan=plan, terms=(Term("mse"),)), gen.spec)
    made = build(spec).init(jax.random.key(3))
    return build(spec), {**made, **unchanging(gen, params, spec)}


def lesson_of(made: EncoderPreset) -> tuple[Lesson, Given]:
    gen, params = style()
    first = before(made.before) if made.before else None
    return prepare(gen, params, made, nets=NETS, before=first)


def losses(made: EncoderPreset, steps: int) -> list[float]:
    """The loss of every step, always of the same batch."""
    lesson, given = lesson_of(made)
    batch = batches(Synthetic(0), made.batch, seed=0)[0]
    job = encoder_job(lesson, given, made.steps, [])
    state, found = job.init(jax.random.key(0)), []
    for number in range(steps):
        state, metrics = job.step(state, batch, jax.random.key(7), number)
        found.append(float(metrics["loss"]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "share"),
    [("hyperstyle", 0.8), ("hfgi", 0.8), ("featurestyle", 0.7), ("sam", 0.8), ("lsap", 0.8)],
)
def test_a_narrow_one_learns(name: str, share: float) -> None:
    found = losses(narrow(name), 40)
    assert np.isfinite(found).all()
    assert np.mean(found[-5:]) < share * found[0], found[::8]


@pytest.mark.slow
def test_an_encoder_learns_what_a_search_from_its_code_finds() -> None:
    made = narrow("guan")
    search = TargetSearch((Term("mse"),), SolverSpec("adam", 0.3), 8)
    made = replace(made, terms=(Term("latent", variable="w+"), Term("mse")), search=search)
    lesson, given = lesson_of(made)
    batch = batches(Synthetic(0), made.batch, seed=0)[0]
    job = encoder_job(lesson, given, made.steps, [batch])
    state = job.init(jax.random.key(0))
    assert job.validate is not None
    numbers, _ = job.validate(state)
    shown = jax.jit(lambda given: show(lesson, given, batch, jax.random.key(7)))(given)
    params = {**given.encoder, "params": state["solver"].u, "batch_stats": state["batch_stats"]}
    found = Search(lesson, search)(given, params, shown, jax.random.key(0))
    gen = lesson.gen
    again = jax.vmap(lambda w: gen.synthesize(given.generator, {"w+": w}, 16))(found.known["w+"])
    np.testing.assert_allclose(again, found.target, atol=1e-5)

    def error(pictures: Any) -> float:
        return float(jnp.mean(jnp.square(pictures - shown.target)))

    first = Search(lesson, replace(search, steps=1))(given, params, shown, jax.random.key(0))
    assert error(found.target) < 0.7 * error(first.target)
    for number in range(40):
        state, _ = job.step(state, batch, jax.random.key(7), number)
    later, _ = job.validate(state)
    assert later["validation"] < 0.7 * numbers["validation"]


def test_codes_that_a_search_finds_are_known_of_files_too() -> None:
    kept, lost = for_pictures(ENCODERS["guan"], "real")
    assert lost == ()
    assert [term.name for term in kept.terms] == ["latent", "mse", "lpips"]


def test_codes_of_the_mapping_are_better_aligned_than_others() -> None:
    gen, params = style()
    measure = jax.jit(jax.vmap(aligner(gen, params)))
    draws = jax.random.normal(jax.random.key(4), (64, gen.spec.z_dim))
    mapped = jax.vmap(lambda z: gen.map(params, z))(draws)
    rows = jnp.repeat(mapped[:, None], gen.spec.rows, axis=1)
    far = measure({"w+": 3 * rows})
    close = measure({"w+": rows})
    np.testing.assert_allclose(close, measure({"w": mapped}), rtol=1e-4, atol=1e-5)
    assert 0 < close.mean() < 0.8 * far.mean()
    assert far.max() <= 2 * gen.spec.rows


def test_pictures_that_are_not_moved_stay_as_they_are() -> None:
    x = np.random.default_rng(0).standard_normal((9, 7, 2)).astype("f4")
    np.testing.assert_allclose(moved(jnp.asarray(x), jnp.asarray(UNMOVED)), x, atol=1e-5)
    still = perspectives(jax.random.key(0), 3, PictureSource(warp=0.4, warped=0.0))
    np.testing.assert_array_equal(still, np.tile(UNMOVED, (3, 1)))


@pytest.mark.parametrize("warp", [0.15, 0.5])
def test_corners_move_inwards(warp: float) -> None:
    numbers = perspectives(jax.random.key(1), 16, PictureSource(warp=warp))
    shapes = np.asarray(jax.vmap(lambda one: moved(jnp.ones((65, 65, 1)), one))(numbers))[..., 0]
    edge = int(np.ceil(warp * 32)) + 1
    assert (shapes[:, edge:-edge, edge:-edge] > 0.999).all()  # the middle is always covered
    covered = shapes.mean((1, 2))
    assert covered.max() < 1
    assert covered.min() > (1 - warp) ** 2 - 0.05
    assert len(np.unique(covered)) == 16


def test_the_attribute_that_is_asked_for_is_a_percentage_or_their_own() -> None:
    lesson, given = lesson_of(narrow("sam"))
    batch = batches(Synthetic(0), 4, seed=0)[0]
    shown = show(lesson, given, batch, jax.random.key(0))
    own = np.asarray(jax.vmap(brightness)(shown.target))
    assert shown.own is not None
    np.testing.assert_allclose(shown.own, own, rtol=1e-6)
    kept = asked(shown, shown.own, 1.0, jax.random.key(1)).samples.attribute
    np.testing.assert_array_equal(kept, shown.own)
    own = shown.own
    there = asked(shown, own, 0.0, jax.random.key(2))
    back = way_back(there, 0 * shown.target)
    np.testing.assert_array_equal(back.samples.attribute, own)
    assert not np.any(back.samples.image)
    wanted = np.asarray(there.samples.attribute)
    for one in (there, back):  # what is kept of the identity counts as little on the way back
        np.testing.assert_allclose(np.asarray(one.gap), wanted - own, atol=1e-6)
    drawn = np.array(
        [asked(shown, own, 0.0, jax.random.key(k)).samples.attribute for k in range(200)]
    )
    np.testing.assert_allclose(drawn * 100, np.rint(drawn * 100), atol=1e-4)
    assert drawn.min() == 0
    assert drawn.max() == 1
    assert abs(drawn.mean() - 0.5) < 0.05


@pytest.mark.parametrize(
    ("name", "output", "told"),
    [
        ("hyperstyle", "z", "encoder before 'hyperstyle' gives z; allowed: w or w+"),
        ("hfgi", "s", r"encoder before 'hfgi' gives s; allowed: w\+ or w"),
    ],
)
def test_what_corrects_no_such_code_is_refused(name: str, output: str, told: str) -> None:
    first = replace(before(ENCODERS[name].before)[0].spec, output=output)
    with pytest.raises(ValueError, match=told):
        encoder_spec(ENCODERS[name], style()[0].spec, first)
