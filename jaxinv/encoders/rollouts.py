"""Rollouts: an encoder, looked through once or several times, -> latents of one sample.

The code starts at nothing, at the mean, or where the encoder `before` ended; every pass adds what
the encoder makes of the picture and, where it sees that, of what the generator draws so far. So one
pass is a plain encoder, several are the feedback of ReStyle (Alaluf et al. 2021, section 3), and a
chain of encoders, each with weights of its own, are the stages of Wei et al. 2022 (E2Style).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.encoders.base import ASIDE, AVERAGE, BEFORE, RECOGNISER, Beside, zero_code
from jaxinv.encoders.inside import COMPARED, DRAWN
from jaxinv.encoders.planes import IDENTITY, Sample, planes_of
from jaxinv.losses.embeddings import embed
from jaxinv.models.generators.base import convert
from jaxinv.specs.vocabulary import OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxinv.encoders.base import Encoder
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Array, Latents, Params, Tree

KEPT = ("features", "weights", "noise", "label")  # beside a code, when it is brought to its space


class Weights(NamedTuple):
    """Parameters of an encoder and of the generator that draws its codes."""

    encoder: Params
    generator: Params


def encode(encoder: Encoder, gen: Generator, weights: Weights, sample: Sample) -> Latents:
    """Latents of one sample, all passes; may be jitted and mapped over samples and their stages.

    They are {space: code}, with "features" or "weights" where the encoder makes such.
    """
    latents = begin(encoder, gen, weights, sample)
    for _ in range(encoder.spec.passes):
        latents = look(encoder, gen, weights, sample, latents)
    return latents


def begin(encoder: Encoder, gen: Generator, weights: Weights, sample: Sample) -> Latents:
    """The latents before the first pass: the base of the encoder's spec, or a known code."""
    spec, params = encoder.spec, weights.encoder
    if sample.code is not None and spec.base == "before":
        return {spec.output: sample.code}
    if encoder.before is not None and spec.base == "before":
        return encode(encoder.before, gen, weights._replace(encoder=params[BEFORE]), sample)
    return base(spec, params)


def base(spec: EncoderSpec, params: Params) -> Latents:
    """The code that an encoder's own is added to, where no other encoder gives it."""
    return {spec.output: params[AVERAGE] if spec.base == "mean" else zero_code(spec)}


def look(
    encoder: Encoder, gen: Generator, weights: Weights, sample: Sample, latents: Latents
) -> Latents:
    """The latents after one more pass, edited where the sample has a `move`."""
    planes, beside, latents = inputs_of(encoder, gen, weights, sample, latents)
    return added(latents, named(encoder.spec, encoder.predict(weights.encoder, planes, beside)))


def inputs_of(
    encoder: Encoder,
    gen: Generator,
    weights: Weights,
    sample: Sample,
    latents: Latents,
    *,
    edited: Latents | None = None,
) -> tuple[Array, Beside, Latents]:
    """(planes, what the head is given beside its maps, the latents that its outputs go to).

    These are the latents so far, or `edited` ones, by default those that the sample's `move` gives.
    """
    spec, params = encoder.spec, weights.generator
    held = in_space(gen, weights, latents, spec.output)
    if edited is None and sample.move is not None:
        edited = {**held, spec.output: jax.tree.map(jnp.add, held[spec.output], sample.move)}
    drawn = gen.synthesize(params, held) if "reconstruction" in spec.planes else None
    again = None
    if "edited" in spec.planes and edited is not None:
        again = gen.synthesize(params, edited)
    later = held if edited is None else edited
    beside = Beside(stage=sample.stage, code=held[spec.output])
    if spec.head in COMPARED:
        beside = beside._replace(features=_features(spec, gen, params, held, later))
    beside = beside._replace(draw=drawer(spec, gen, weights.generator))
    if IDENTITY in spec.planes:
        shown = sample.image if sample.identity is None else sample.identity
        beside = beside._replace(identity=recognised(spec, weights.encoder, shown))
    return planes_of(spec, sample, drawn, again), beside, later


def drawer(spec: EncoderSpec, gen: Generator, params: Params) -> Any:
    """What gives the generator's features for codes, of heads that ask for those of their own."""
    if spec.head not in DRAWN:
        return None
    return jax.tree_util.Partial(_draw_features(gen, _cut(spec), spec.output), params)


def recognised(spec: EncoderSpec, params: Params, picture: Array | None) -> Array:
    """The vector by which an encoder's recogniser knows whom a picture [h, w, 3] shows.

    Raises `ValueError` without a recogniser.
    """
    if RECOGNISER not in params or picture is None:
        raise ValueError(f"encoder {spec.name!r} needs a recogniser and a picture to recognise")
    name = dict(spec.facts).get(RECOGNISER, "")
    return jax.lax.stop_gradient(embed(name, params[RECOGNISER], picture)[OUTPUT])


def _cut(spec: EncoderSpec) -> str:
    return dict(spec.facts)["cut"]


def _features(
    spec: EncoderSpec, gen: Generator, params: Params, held: Latents, later: Latents
) -> tuple[Array, Array, Array]:
    """The generator's features: of both codes, and of the first with what is changed there."""
    inside = ("features", "weights")
    codes = ({n: some[n] for n in some if n not in inside} for some in (held, later))
    first, second = (gen.prefix(params, code, _cut(spec))["x"] for code in codes)
    changed = "features" in held
    return first, second, gen.prefix(params, held, _cut(spec))["x"] if changed else first


@lru_cache
def _draw_features(gen: Generator, cut: str, space: str) -> Callable[[Params, Tree], Array]:
    """One function for each step, so that programs are shared."""
    return lambda params, code: gen.prefix(params, {space: code}, cut)["x"]


def named(spec: EncoderSpec, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to latents of what an encoder makes, its code under the name of its space."""
    kept = {name: value for name, value in outputs.items() if name != ASIDE}
    return {spec.output if name == "code" else name: value for name, value in kept.items()}


def correct(
    encoder: Encoder, gen: Generator, weights: Weights, sample: Sample, edited: Latents
) -> Latents:
    """Edited latents with what an encoder adds for them: its second look, at the edited picture.

    What the reconstruction lacks is measured before the edit, and brought to where the edited
    picture has it (Wang et al. 2022, HFGI, section 3.2). `edited` are the latents before the
    encoder, without its features, after an edit. Raises `ValueError` for an encoder that does not
    see edited pictures.
    """
    spec = encoder.spec
    if "edited" not in spec.planes and spec.head not in COMPARED:
        raise ValueError(
            f"encoder {spec.name!r} with planes {spec.planes}; allowed: one with 'edited', whose "
            "features follow an edit"
        )
    start = begin(encoder, gen, weights, sample)
    edited = {**{name: start[name] for name in KEPT if name in start}, **edited}
    planes, beside, latents = inputs_of(encoder, gen, weights, sample, start, edited=edited)
    return added(latents, named(spec, encoder.predict(weights.encoder, planes, beside)))


def added(latents: Latents, outputs: dict[str, Any]) -> Latents:
    """Latents with what an encoder gives added to them."""
    found = dict(latents)
    for name, value in outputs.items():
        found[name] = jax.tree.map(jnp.add, found[name], value) if name in found else value
    return found


def in_space(gen: Generator, weights: Weights, latents: Latents, space: str) -> Latents:
    """The latents with their code carried forward to `space`."""
    if space in latents:
        return latents
    code: Array = convert(gen, weights.generator, latents, space)
    rest = {name: latents[name] for name in KEPT if name in latents}
    return {space: code, **rest}
