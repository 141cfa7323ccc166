"""What an encoder lowers: a rollout over a batch, and how far every pass is from what it should be.

The same terms as in a search, of codes that a network makes. Passes do not pull on one another:
each starts from the code of the one before, held (Alaluf et al. 2021, ReStyle, section 3).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.encoders.layers import STATISTICS
from jaxinv.encoders.planes import Sample, planes_of
from jaxinv.encoders.rollouts import Weights, added, begin, in_space
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import evaluate, extract_features
from jaxinv.nn.resample import area_reduce
from jaxinv.specs.term_kinds import IMAGE, RENDER
from jaxinv.specs.vocabulary import LATENT_SPACES

if TYPE_CHECKING:
    from jaxinv.encoders.base import Encoder
    from jaxinv.encoders.examples import Examples
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import EncoderPreset, GeneratorSpec, RowsInTurn, Term
    from jaxinv.types import Array, Latents, Params


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

    return replace(preset, terms=tuple(map(own, preset.terms)))


def compared_size(preset: EncoderPreset, spec: GeneratorSpec) -> int:
    """Side in px that suffices for all terms: the largest of their views, or the whole picture."""
    sides = [
        spec.resolution if term.needs_discriminator else term.view.size or spec.resolution
        for term in preset.terms
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

    `weights` are {"params", "batch_stats"} of the encoder.
    """
    gen, encoder = lesson.gen, lesson.encoder
    params = {**given.encoder, **weights}
    both = Weights(params, given.generator)
    count = len(shown.target)
    stage = rows_that_differ(lesson.preset.rows, encoder.spec.rows, progress)
    latents: Latents = jax.vmap(lambda s: begin(encoder, gen, both, s), axis_size=count)(
        shown.samples
    )
    target = jax.vmap(partial(looked_at, lesson, given))(shown.target)
    total, seen = jnp.zeros(()), None
    for _ in range(encoder.spec.passes):
        latents = jax.lax.stop_gradient(latents)
        latents, statistics = _look(lesson, both._replace(encoder=params), shown, latents, stage)
        params = {**params, STATISTICS: statistics}
        loss, terms, pictures = compare(lesson, given, latents, shown, target, progress=progress)
        total = total + loss
        seen = Seen(terms, statistics, latents, pictures)
    if seen is None:
        raise ValueError("an encoder that looks 0 times; allowed: at least once")
    return total, jax.lax.stop_gradient(seen)


def _look(
    lesson: Lesson, both: Weights, shown: Examples, latents: Latents, stage: Array | None
) -> tuple[Latents, Params]:
    """The latents of a batch after one more pass, and the moved statistics."""
    gen, encoder = lesson.gen, lesson.encoder
    spec = encoder.spec

    def planes(sample: Sample, latents: Latents, given: Latents) -> Array:
        drawn = None
        if "reconstruction" in spec.planes:
            drawn = gen.synthesize(both.generator, {**latents, **given})
        return planes_of(spec, sample, drawn)

    seen = jax.vmap(planes)(shown.samples, latents, shown.given)
    outputs, statistics = encoder.learn(both.encoder, seen, *(() if stage is None else (stage,)))
    named = {spec.output if name == "code" else name: outputs[name] for name in outputs}
    if spec.output in named and spec.output in LATENT_SPACES:
        latents = jax.vmap(lambda one: in_space(gen, both, one, spec.output))(latents)
    return added(latents, named), statistics


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
) -> tuple[Array, dict[str, Array], Array]:
    """(mean loss, means of the terms by label, pictures) of the codes of a batch."""

    def one(latents: Latents, known: Latents, beside: Latents, target: Any) -> Any:
        image = jnp.zeros((lesson.size, lesson.size, 3))
        if lesson.draws:
            image = lesson.gen.synthesize(given.generator, {**latents, **beside}, lesson.size)
        inputs = TermInputs(
            codes=latents,
            latents={**latents, **beside},
            image=image,
            features=looked_at(lesson, given, image),
            params=given.generator,
            render=image,
            discriminator=lesson.gen.discriminator,
            known=known,
        )
        total, values = evaluate(lesson.preset.terms, given.nets, inputs, (target, None), progress)
        return total, values, image

    total, values, images = jax.vmap(one)(latents, shown.known, shown.given, target)
    return jnp.mean(total), jax.tree.map(jnp.mean, values), images
