"""What an encoder lowers: a rollout over a batch, and how far every pass is from what it should be.

The same terms as in a search, of codes that a network makes. Passes do not pull on one another:
each starts from the code of the one before, held (Alaluf et al. 2021, ReStyle, section 3).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.encoders.base import ASIDE
from jaxinv.encoders.examples import asked, examples
from jaxinv.encoders.layer_inverses import TOP
from jaxinv.encoders.layers import STATISTICS
from jaxinv.encoders.perspective import moved
from jaxinv.encoders.rollouts import Weights, added, begin, drawer, inputs_of, named
from jaxinv.losses.base import TermInputs, Told
from jaxinv.losses.terms import evaluate, extract_features
from jaxinv.losses.training_terms import attribute_of
from jaxinv.models.generators.base import StepRange
from jaxinv.nn.resample import area_reduce
from jaxinv.specs.term_kinds import IMAGE, RENDER
from jaxinv.specs.vocabulary import NETWORK_VARIABLES

if TYPE_CHECKING:
    from jaxinv.encoders.base import Beside, Encoder
    from jaxinv.encoders.examples import Examples
    from jaxinv.encoders.planes import Sample
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import EncoderPreset, GeneratorSpec, RowsInTurn, Term
    from jaxinv.types import Array, Key, Latents, Params, Tree

LAYERED = ("aside", "redrawn")  # terms that see inverses of layers one by one


class Lesson(NamedTuple):
    """What a program is compiled for; `size` is the side at which pictures are compared."""

    gen: Generator
    encoder: Encoder
    preset: EncoderPreset
    size: int

    @property
    def draws(self) -> bool:
        """Whether any term looks at pictures."""
        return any(term.kind.family in (IMAGE, RENDER) for term in self.preset.terms)


class Given(NamedTuple):
    """Arrays that do not change: the generator's, the nets', and the encoder's mean and before."""

    generator: Params
    nets: dict[str, Params]
    encoder: Params


class Seen(NamedTuple):
    """What a rollout over a batch gives; the pictures are those of its last pass."""

    terms: dict[str, Array]
    statistics: Params
    codes: Latents
    pictures: Array


def own_terms(preset: EncoderPreset, space: str) -> EncoderPreset:
    """The preset with its terms of codes about `space`.

    Raises `ValueError` for a term that is not for codes of that space.
    """

    def own(term: Term) -> Term:
        if term.variable is None:
            return term
        if space not in term.kind.spaces:
            raise ValueError(
                f"term {term.name!r} of preset {preset.name!r} with codes {space}; allowed: "
                f"{', '.join(term.kind.spaces)}"
            )
        return replace(term, variable=space)

    search = preset.search
    if search is not None:
        search = replace(search, terms=tuple(map(own, search.terms)))
    return replace(preset, terms=tuple(map(own, preset.terms)), search=search)


def show(lesson: Lesson, given: Given, batch: Tree, key: Key) -> Examples:
    """The examples of a batch, see `examples`, with an attribute to ask for if there is one."""
    preset = lesson.preset
    shown = examples(
        lesson.gen,
        given.generator,
        preset.source,
        batch,
        key,
        space=lesson.encoder.spec.output,
        size=lesson.size,
    )
    told = [term for term in preset.terms if term.name == "attribute"]
    if told:

        def own(image: Array) -> Array:
            return attribute_of(told[0], looked_at(lesson, given, image))

        values = jax.lax.stop_gradient(jax.vmap(own)(shown.target))
        shown = asked(shown, values, preset.source.kept, jax.random.fold_in(key, 4))
    return shown


def compared_size(preset: EncoderPreset, spec: GeneratorSpec) -> int:
    """Side in px that suffices for all terms: the largest of their views, or the whole picture."""
    sides = [
        spec.resolution if term.needs_discriminator else term.view.size or spec.resolution
        for term in preset.all_terms
        if term.kind.family in (IMAGE, RENDER)
    ]
    least = min(preset.plan.side, spec.resolution)
    return min(max([*sides, least]), spec.resolution)


def rows_that_differ(rows: RowsInTurn | None, count: int, progress: Array) -> Array | None:
    """The number of the last row that may differ from the first; None: all may."""
    if rows is None:
        return None
    after = jnp.floor((progress - rows.start) / max(rows.every, 1e-9) + 1e-6)
    stage = jnp.where(progress + 1e-9 < rows.start, 0.0, 1.0 + after)
    return jnp.clip(stage, 0, count - 1).astype(jnp.int32)


def rollout(
    lesson: Lesson, given: Given, weights: Params, shown: Examples, progress: Array
) -> tuple[Array, Seen]:
    """(mean loss over the batch, summed over passes; what was seen) with statistics of the batch.

    `weights` are {"params", "batch_stats"} of the encoder. Where the preset has a way back, its
    loss is added, and what was seen is that of the way there.
    """
    total, seen = _passes(lesson, given, weights, shown, progress)
    if lesson.preset.back:
        weights = {**weights, STATISTICS: seen.statistics}
        more, again = _passes(lesson, given, weights, way_back(lesson, shown, seen), progress)
        total = total + lesson.preset.back * more
        terms = {**seen.terms, **{f"back_{name}": one for name, one in again.terms.items()}}
        seen = seen._replace(terms=terms, statistics=again.statistics)
    return total, jax.lax.stop_gradient(seen)


def way_back(lesson: Lesson, shown: Examples, seen: Seen) -> Examples:
    """The examples with what was drawn of them, asked for their own attribute, code and identity.

    All of them count: what is asked for is the picture itself.
    """
    pictures, code = jax.lax.stop_gradient((seen.pictures, seen.codes[lesson.encoder.spec.output]))
    sample = shown.samples._replace(image=pictures)
    if shown.own is not None:
        sample = sample._replace(attribute=shown.own)
    if sample.move is not None:
        sample = sample._replace(move=-sample.move)
    if sample.code is not None:
        sample = sample._replace(code=code)
    counts = {**(shown.counts or {}), "same": jnp.ones(len(pictures))}
    return shown._replace(samples=sample, counts=counts)


def _passes(
    lesson: Lesson, given: Given, weights: Params, shown: Examples, progress: Array
) -> tuple[Array, Seen]:
    gen, encoder = lesson.gen, lesson.encoder
    params = {**given.encoder, **weights}
    both = Weights(params, given.generator)
    count = len(shown.target)
    latents: Latents = jax.vmap(lambda s: begin(encoder, gen, both, s), axis_size=count)(
        shown.samples
    )
    target = jax.vmap(partial(looked_at, lesson, given))(shown.target)
    total, seen = jnp.zeros(()), None
    for _ in range(encoder.spec.passes):
        latents = jax.lax.stop_gradient(latents)
        now = both._replace(encoder=params)
        latents, statistics, told = _look(lesson, now, shown, latents, progress)
        params = {**params, STATISTICS: statistics}
        loss, terms, pictures = compare(
            lesson, given, latents, shown, target, progress=progress, told=told
        )
        total = total + loss
        if lesson.preset.alone:
            more, others, _ = compare(
                _codes_alone(lesson), given, _codes(latents), shown, target, progress=progress
            )
            total = total + lesson.preset.alone * more
            terms = {**terms, **{f"alone_{name}": one for name, one in others.items()}}
        seen = Seen(terms, statistics, latents, pictures)
    if seen is None:
        raise ValueError("an encoder that looks 0 times; allowed: at least once")
    return total, seen


def _codes_alone(lesson: Lesson) -> Lesson:
    """The lesson for pictures of the codes alone: of its terms, those that compare pictures."""
    preset = lesson.preset
    terms = tuple(term for term in preset.terms if term.kind.family == IMAGE)
    return lesson._replace(preset=replace(preset, terms=terms, critics=()))


def _codes(latents: Latents) -> Latents:
    return {name: value for name, value in latents.items() if name not in NETWORK_VARIABLES}


def _look(
    lesson: Lesson, both: Weights, shown: Examples, latents: Latents, progress: Array
) -> tuple[Latents, Params, Told]:
    """The latents of a batch after one more pass, the moved statistics, and what belongs to it."""
    gen, encoder = lesson.gen, lesson.encoder
    spec, fade = encoder.spec, lesson.preset.fade

    def view(sample: Sample, latents: Latents, given: Latents) -> tuple[Array, Beside, Latents]:
        planes, beside, later = inputs_of(encoder, gen, both, sample, {**latents, **given})
        return planes, beside._replace(draw=None), {n: later[n] for n in later if n not in given}

    planes, beside, latents = jax.vmap(view)(shown.samples, latents, shown.given)
    told = told_of(shown)
    if "edited" in spec.planes:
        told = told._replace(due=planes[..., :3] - planes[..., 3:6])
    if shown.warp is not None:  # what is due keeps its place
        moves = jax.vmap(moved)(planes[..., :6], shown.warp)
        planes = jnp.concatenate([moves, planes[..., 6:]], axis=-1)
    stage = rows_that_differ(lesson.preset.rows, spec.rows, progress)
    layers = _known_layers(lesson, both, shown)
    beside = beside._replace(stage=stage, layers=layers, draw=drawer(spec, gen, both.generator))
    outputs, statistics = encoder.learn(both.encoder, planes, beside)
    made = named(spec, outputs)
    told = told._replace(aside=outputs.get(ASIDE))
    if layers is not None:
        told = _inverses(lesson, both, made[spec.output], told, layers)
    elif isinstance(told.aside, dict):  # what else is due comes beside it
        told = told._replace(**told.aside)
    if fade:
        share = jnp.minimum(progress / fade, 1.0)
        changes = {name: made[name] for name in ("features", "weights") if name in made}
        made |= jax.tree.map(lambda change: share * change, changes)
    return added(latents, made), statistics, told


def _known_layers(lesson: Lesson, both: Weights, shown: Examples) -> Tree:
    """The features after every layer that is inverted, of the known codes; None without terms."""
    steps = _inverted(lesson)
    if not steps or not any(term.name in LAYERED for term in lesson.preset.terms):
        return None

    def features(known: Latents, given: Latents) -> dict[str, Array]:
        states = lesson.gen.features(both.generator, {**known, **given})
        return {step: states[step]["x"] for step in steps}

    return jax.lax.stop_gradient(jax.vmap(features)(shown.known, shown.given))


def _inverted(lesson: Lesson) -> list[str]:
    """The steps of the generator that an encoder inverts, in their order."""
    return [step for step, *_ in dict(lesson.encoder.spec.facts).get("layers", ())]


def _inverses(lesson: Lesson, both: Weights, codes: Array, told: Told, layers: Tree) -> Told:
    """What inverses of layers give, and what the layers make of it, with what both should be.

    Bau et al. 2019, Seeing What a GAN Cannot Generate, section 3.1: the left and right errors.
    """
    gen, steps = lesson.gen, _inverted(lesson)
    due = {after: layers[before] for before, after in pairwise(steps)} | {TOP: layers[steps[-1]]}

    def redraw(code: Array, found: dict[str, Array]) -> dict[str, Array]:
        again: dict[str, Array] = {}
        for number, step in enumerate(steps):
            state = {"x": found[step]} if number else {}
            part = StepRange(number, number + 1)
            again[step] = gen.run(both.generator, code, None, state, part)["x"]
        return again

    return told._replace(due=due, redrawn=jax.vmap(redraw)(codes, told.aside), layers=layers)


def told_of(shown: Examples) -> Told:
    """What the encoder was told of every sample, and how much each counts."""
    return Told(shown.samples.attribute, shown.gap, counts=shown.counts)


def looked_at(lesson: Lesson, given: Given, image: Array) -> Any:
    """What the terms see of one picture [s, s, 3]."""
    if not lesson.draws:
        return {}
    nets = given.nets
    return extract_features(
        lesson.preset.terms, nets, area_reduce(image, lesson.size), lesson.gen.discriminator
    )


def compare(
    lesson: Lesson,
    given: Given,
    latents: Latents,
    shown: Examples,
    target: Any,
    *,
    progress: Array,
    told: Told | None = None,
) -> tuple[Array, dict[str, Array], Array]:
    """(mean loss, means of the terms by label, pictures) of the codes of a batch.

    `told` is what belongs to every sample, by default what the encoder was told.
    """

    def one(latents: Latents, known: Latents, beside: Latents, target: Any, told: Told) -> Any:
        image = jnp.zeros((lesson.size, lesson.size, 3))
        if lesson.draws:
            image = lesson.gen.synthesize(given.generator, {**latents, **beside}, lesson.size)
        inputs = TermInputs(
            codes=latents,
            latents={**beside, **latents},  # a class that is guessed is not the one that is given
            image=image,
            features=looked_at(lesson, given, image),
            params=given.generator,
            render=image,
            discriminator=lesson.gen.discriminator,
            known=known,
            told=told,
        )
        total, values = evaluate(lesson.preset.terms, given.nets, inputs, (target, None), progress)
        return total, values, image

    told = told or told_of(shown)
    if shown.whose is not None:
        told = told._replace(identity=jax.tree.map(lambda seen: seen[shown.whose], target))
    total, values, images = jax.vmap(one)(latents, shown.known, shown.given, target, told)
    return jnp.mean(total), jax.tree.map(jnp.mean, values), images
