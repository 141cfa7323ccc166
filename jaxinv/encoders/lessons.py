"""A preset, a generator and nets become a lesson, checked before anything is compiled."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax

from jaxinv.encoders.alignment import aligner
from jaxinv.encoders.base import RECOGNISER
from jaxinv.encoders.networks import build
from jaxinv.encoders.objective import Given, Lesson, compared_size, own_terms
from jaxinv.encoders.plans import encoder_spec
from jaxinv.encoders.training import unchanging
from jaxinv.losses.embeddings import embed
from jaxinv.losses.image_terms import smallest_side
from jaxinv.losses.views import view_shape
from jaxinv.models.arguments import check_generator
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.loading import load_features
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.presets import ENCODERS
from jaxinv.specs import EncoderPreset, labels
from jaxinv.specs.checks import check_choice, check_kind
from jaxinv.specs.picture_sources import EITHER, MIXED, REAL, SYNTHETIC
from jaxinv.specs.serialization import SUFFIX, read_preset
from jaxinv.specs.term_kinds import IMAGE
from jaxinv.specs.vocabulary import ALIGNER, CALLABLES, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.encoders.base import Encoder
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Term
    from jaxinv.types import Params

LATENT, LABEL = "latent", "label"


def find_encoder_preset(preset: EncoderPreset | str | os.PathLike[str]) -> EncoderPreset:
    """The preset itself, the one of that name, or of that JSON file.

    Raises `ValueError` naming the known ones, or what is wrong with the file.
    """
    if isinstance(preset, str | os.PathLike):
        name = os.fspath(preset)
        if name.endswith(SUFFIX):
            return read_preset(name, EncoderPreset)
        check_choice("preset of an encoder", name, tuple(ENCODERS))
        return ENCODERS[name]
    check_kind("preset", preset, EncoderPreset, ", its name, or a JSON file of one")
    return preset


def for_pictures(preset: EncoderPreset, kind: str) -> tuple[EncoderPreset, tuple[str, ...]]:
    """(the preset for pictures of this kind, labels of the terms that cannot be had with them).

    Pictures of files have no known codes. A preset for either kind does without these terms there;
    one that is made for synthetic pictures is refused, `ValueError`. One of mixed batches draws the
    others of each batch, and all of them where there are no files.
    """
    check_choice("kind of pictures", kind, (SYNTHETIC, REAL))
    if preset.source.kind == MIXED:
        kind = MIXED if kind == REAL else SYNTHETIC
    unknown = kind == REAL and preset.search is None
    lost = [t for t in preset.terms if unknown and _knows_code(t)]
    if lost and preset.source.kind != EITHER:
        raise ValueError(
            f"preset {preset.name!r} learns known codes, which pictures of files have not; "
            f"allowed: --data synthetic"
        )
    kept = tuple(term for term in preset.terms if term not in lost)
    source = replace(preset.source, kind=kind)
    return replace(preset, terms=kept, source=source), labels(tuple(lost))


def _knows_code(term: Term) -> bool:
    """Whether a term counts where the code of a picture is known, and only there."""
    return term.when == "drawn" or (term.name == LATENT and term.variable != LABEL)


def without_terms(preset: EncoderPreset, names: Sequence[str]) -> EncoderPreset:
    """The preset without the terms of these labels, and their critics.

    Raises `ValueError` for a label that it has not.
    """
    held = labels(preset.terms)
    for name in names:
        check_choice(f"term of preset {preset.name!r}", name, held)
    kept = tuple(t for t, label in zip(preset.terms, held, strict=True) if label not in names)
    used = {term.name for term in kept}
    needed = {"codes": "code_realism", "images": "realism"}
    critics = tuple(critic for critic in preset.critics if needed[critic.judges] in used)
    return replace(preset, terms=kept, critics=critics)


def prepare(
    gen: Generator,
    params: Params,
    preset: EncoderPreset,
    *,
    nets: dict[str, Any] | None = None,
    before: tuple[Encoder, Params] | None = None,
    generator_sha256: str = "",
) -> tuple[Lesson, Given]:
    """What is to be learned, and the arrays that do not change.

    Args:
        gen: the frozen generator, with its `params`.
        params: its parameters, as `load_generator` gives them.
        preset: of an encoder.
        nets: parameters of the feature nets that it needs; loaded if left out. Functions that terms
            need ("attribute") are `jax.tree_util.Partial(function, arrays)`.
        before: the encoder that it corrects, with its parameters.
        generator_sha256: of the contents of the generator, which the encoder will state.

    Raises:
        ValueError: the preset does not suit the generator, or nets or weights are missing; before
            anything is compiled.
    """
    check_generator(gen, params)
    spec = encoder_spec(preset, gen.spec, None if before is None else before[0].spec)
    spec = replace(spec, generator=generator_sha256)
    preset = own_terms(preset, spec.output)
    size = compared_size(preset, gen.spec)
    _check_terms(gen, params, preset, size)
    held: dict[str, Any] = dict(nets or {})
    wanted = tuple(net for net in preset.nets if net not in held)
    if nets is not None and wanted:
        raise ValueError(
            f"preset {preset.name!r} needs the nets {', '.join(preset.nets)}; given: "
            f"{', '.join(sorted(held)) or 'none'}"
        )
    asked = {term.net for term in preset.all_terms} | {preset.recogniser}
    for name in sorted(str(net) for net in asked if net in CALLABLES):
        if name not in held:
            raise ValueError(
                f"preset {preset.name!r} needs {name!r}, a function of pictures; allowed: "
                f"nets={{{name!r}: jax.tree_util.Partial(function, arrays)}}"
            )
    held |= load_features(wanted)
    held[DISCRIMINATOR] = params
    if any(term.name == "style_alignment" for term in preset.all_terms):
        held[ALIGNER] = aligner(gen, params)
    if preset.recogniser:
        spec = replace(
            spec, facts=(*spec.facts, ("vector", _numbers(preset.recogniser, held, size)))
        )
    encoder = build(spec)
    fixed = unchanging(gen, params, spec, None if before is None else before[1])
    if preset.recogniser:
        fixed[RECOGNISER] = without_kernels(held[preset.recogniser])
    return Lesson(gen, encoder, preset, size), Given(params, held, fixed)


def _numbers(name: str, nets: dict[str, Any], size: int) -> int:
    """How many numbers a net's vector of a picture of `size` px has."""
    shape = jax.ShapeDtypeStruct((size, size, 3), "float32")
    return jax.eval_shape(lambda image: embed(name, nets[name], image)[OUTPUT], shape).size


def without_kernels(net: Any) -> Any:
    """The arrays of a net without kernels prepared for gradients; functions as they are."""
    return {k: v for k, v in net.items() if k != BACKWARD_KERNELS} if isinstance(net, dict) else net


def _check_terms(gen: Generator, params: Params, preset: EncoderPreset, size: int) -> None:
    """Raise `ValueError` unless terms can look at pictures of `size` px, and have their judge."""
    for term in preset.all_terms:
        what = f"preset {preset.name!r}, term {term.label!r}"
        if term.needs_discriminator and (gen.discriminator is None or DISCRIMINATOR not in params):
            raise ValueError(f"{what} needs a discriminator, which {gen.spec.name!r} lacks")
        if term.kind.family != IMAGE or term.net is None or term.needs_discriminator:
            continue
        seen = view_shape(term.view, (size, size))
        if min(seen) < smallest_side(term.net):
            least = smallest_side(term.net)
            raise ValueError(f"{what} sees {seen[0]}x{seen[1]} px; allowed: at least {least}")
