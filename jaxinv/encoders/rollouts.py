"""Rollouts: an encoder, looked through once or several times, -> latents of one sample.

The code starts at nothing, at the mean, or where the encoder `before` ended; every pass adds what
the encoder makes of the picture and, where it sees that, of what the generator draws so far. So one
pass is a plain encoder, several are the feedback of ReStyle (Alaluf et al. 2021, section 3), and a
chain of encoders, each with weights of its own, are the stages of Wei et al. 2022 (E2Style).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.encoders.base import ASIDE, AVERAGE, BEFORE, zero_code
from jaxinv.encoders.planes import Sample, planes_of
from jaxinv.models.generators.base import convert

if TYPE_CHECKING:
    from jaxinv.encoders.base import Encoder
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Array, Latents, Params


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
    """The latents before the first pass: the base of the encoder's spec."""
    spec, params = encoder.spec, weights.encoder
    if encoder.before is not None and spec.base == "before":
        return encode(encoder.before, gen, weights._replace(encoder=params[BEFORE]), sample)
    return base(spec, params)


def base(spec: EncoderSpec, params: Params) -> Latents:
    """The code that an encoder's own is added to, where no other encoder gives it."""
    return {spec.output: params[AVERAGE] if spec.base == "mean" else zero_code(spec)}


def look(
    encoder: Encoder, gen: Generator, weights: Weights, sample: Sample, latents: Latents
) -> Latents:
    """The latents after one more pass."""
    spec, drawn = encoder.spec, None
    if "reconstruction" in spec.planes:
        drawn = gen.synthesize(weights.generator, latents)
    outputs = _outputs(encoder, weights, sample, planes_of(spec, sample, drawn))
    if spec.output in outputs:
        latents = in_space(gen, weights, latents, spec.output)
    return added(latents, outputs)


def _outputs(encoder: Encoder, weights: Weights, sample: Sample, planes: Array) -> dict[str, Any]:
    """What an encoder makes of its planes, its code under the name of its space."""
    stage = () if sample.stage is None else (sample.stage,)
    outputs = dict(encoder.predict(weights.encoder, planes, *stage))
    outputs.pop(ASIDE, None)
    return {encoder.spec.output if name == "code" else name: outputs[name] for name in outputs}


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
    if "edited" not in spec.planes:
        raise ValueError(
            f"encoder {spec.name!r} with planes {spec.planes}; allowed: one with 'edited', whose "
            "features follow an edit"
        )
    start = begin(encoder, gen, weights, sample)
    pictures = (gen.synthesize(weights.generator, one) for one in (start, edited))
    return added(edited, _outputs(encoder, weights, sample, planes_of(spec, sample, *pictures)))


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
    rest = {name: latents[name] for name in ("features", "weights", "noise") if name in latents}
    return {space: code, **rest}
