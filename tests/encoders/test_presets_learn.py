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
from jaxinv.encoders.networks import Encoder, build
from jaxinv.encoders.objective import Given, Lesson, Seen, show, way_back
from jaxinv.encoders.perspective import UNMOVED, moved, perspectives
from jaxinv.encoders.plans import encoder_spec
from jaxinv.encoders.training import encoder_job, unchanging
from jaxinv.models.generators.base import Generator
from jaxinv.presets import ENCODERS
from jaxinv.specs import EncoderPlan, EncoderPreset, PictureSource, SolverSpec, TargetSearch, Term
from jaxinv.training.data import Synthetic, batches
from jaxinv.types import Params
from tests.tiny import classes, grown, old, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
NARROW: dict[str, Any] = {"width": 4}
SMALL_UNITS = (1, 1, 1, 1)
# What makes a plan small: its facts, and other fields. By its head, then by its backbone.
HEADS: dict[str, dict[str, Any]] = {
    "added-weights": {"hidden": 8},
    "scale-shift": {"aligner": (4, 6), "consultant": (4, 6)},
    "identity-mlp": {"hidden": (32,), "recogniser": "attribute"},
}
WITHOUT_UNITS = ("dcgan", "pooled-blocks", "aligned-residual", "none")
# Slow to compile, whatever their width, and what stands for them.
SIMPLER = {
    "ir-se-50": "ir-50",
    "inception-v3": "resnet-18",
    "resnet-50-deeper": "resnet-18-deeper",
    "alexnet": "resnet-18",
}
# Terms that need no net but a function, and those whose net a function stands for.
OWN = (
    *("aside", "redrawn", "norm_from", "style_alignment", "latent", "delta_norm", "code_realism"),
)
ASKED = ("embedding_at_gap", "attribute", "identity")


def brightness(image: Any) -> Any:
    """An attribute of a picture, in [0, 1]."""
    return jnp.clip((jnp.mean(image) + 1) / 2, 0, 1)


NETS = {"attribute": jax.tree_util.Partial(brightness)}


def narrow(name: str, **others: Any) -> EncoderPreset:
    """The preset, narrow, for pictures of 16 px, with terms that need no net but a function."""
    made = ENCODERS[name]
    plan = made.plan
    facts = {**dict(plan.facts), **NARROW, **HEADS.get(plan.head, {})}
    facts.pop("pretrained", None)
    if plan.backbone not in WITHOUT_UNITS:
        facts["units"] = SMALL_UNITS
    small: dict[str, Any] = {"passes": min(plan.passes, 2)}
    small |= {"neck": "none"} if plan.neck == "fpn" else {}
    small |= {"backbone": SIMPLER.get(plan.backbone, plan.backbone)}
    plan = replace(plan, facts=tuple(facts.items()), **small)
    terms: list[Term] = [] if plan.outputs == ("label",) else [Term("mse")]
    for term in made.terms:
        if term.name in OWN:
            terms.append(term)
        elif term.name in ASKED:
            terms.append(Term(term.name, term.weight, net="attribute"))
    source = replace(made.source, kind="synthetic", flip=False)
    critics = tuple(one for one in made.critics if one.judges == "codes")
    made = replace(made, plan=plan, terms=tuple(terms), source=source, critics=critics)
    rest: dict[str, Any] = {"solver": SolverSpec("adam", 3e-3), "batch": 4, "steps": 60}
    rest |= (
        {"search": TargetSearch((Term("mse"),), SolverSpec("adam", 0.3), 4)} if made.search else {}
    )
    return replace(made, **{**rest, **others})


@lru_cache
def before(name: str) -> Any:
    return narrow_before(name, *style())


def narrow_before(name: str, gen: Generator, params: Params) -> tuple[Encoder, Params]:
    """A narrow encoder with random weights, the mean code of the generator in its place."""
    output = "w" if ENCODERS[name].plan.outputs == ("w",) else "w+"
    plan = EncoderPlan(
        "dcgan", "dcgan-dense", side=16, outputs=(output,), facts=(("width", 4), ("last", 4))
    )
    spec = encoder_spec(replace(ENCODERS["encoder"], plan=plan, terms=(Term("mse"),)), gen.spec)
    made = build(spec).init(jax.random.key(3))
    return build(spec), {**made, **unchanging(gen, params, spec)}


def generator(made: EncoderPreset) -> Any:
    """The small generator that has the space of a preset's codes."""
    pairs = {"z": grown, "s": old, "label": classes}
    return pairs.get(made.plan.outputs[0], style)()


def lesson_of(made: EncoderPreset) -> tuple[Lesson, Given]:
    gen, params = generator(made)
    first = before(made.before) if made.before else None
    return prepare(gen, params, made, nets=NETS, before=first)


def losses(made: EncoderPreset, steps: int) -> list[float]:
    """The loss of every step, each of pictures that no step before has seen.

    Of presets in `MEMORISED` they are always the same.
    """
    lesson, given = lesson_of(made)
    given_batches = batches(Synthetic(0), made.batch, seed=0)
    job = encoder_job(lesson, given, made.steps, [])
    state, found = job.init(jax.random.key(0)), []
    for number in range(steps):
        which = 0 if made.name in MEMORISED else number
        key = jax.random.key(which)
        state, metrics = job.step(state, given_batches[which], key, number)
        found.append(float(metrics["loss"]))
    return found


# Presets that differ from one of the others in nets, weights and names alone.
SAME = {
    "psp-moco": "psp",
    "e4e-moco": "e4e",
    "hyperstyle-moco": "hyperstyle",
    "restyle-psp-moco": "restyle-psp",
    "restyle-e4e-moco": "restyle-e4e",
    "gan-ensembling-encoder": "latent-composition",
}
# What these can add for new pictures depends on the encoder before them, which is random here.
MEMORISED = ("sfe-editor", "hfgi", "hyperstyle", "hyperinverter", "styleres")
STEPS = {"latent-composition-z": 80}  # others 40: z of pictures with holes is learned slowly
# What is left of the loss after so many steps of 4 pictures: at most this share of it at the start.
LEFT = dict.fromkeys((name for name in ENCODERS if name not in SAME), 0.85)


def test_presets_that_are_left_out_are_the_same_but_for_nets() -> None:
    for name, other in SAME.items():
        a, b = narrow(name), narrow(other)
        same = {"name": "", "summary": "", "reference": "", "steps": 1}
        plans = [replace(one.plan, backbone="resnet-18", facts=()) for one in (a, b)]
        assert replace(a, plan=plans[0], **same) == replace(b, plan=plans[1], **same)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEFT)
def test_a_narrow_one_learns(name: str) -> None:
    found = losses(narrow(name), STEPS.get(name, 40))
    assert np.isfinite(found).all()
    assert np.mean(found[-10:]) < LEFT[name] * np.mean(found[:2]), found[::6]


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
    drew = Seen({}, {}, {"w+": jnp.zeros((4, 6, 8))}, 0 * shown.target)
    back = way_back(lesson, there, drew)
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
