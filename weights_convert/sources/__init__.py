"""Who wrote a checkpoint, and what of it becomes a generator: one `Source` for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxinv.models import zoo
from weights_convert.errors import UnsafeFileError, one_error
from weights_convert.networks import keras, sagan, sagan_discriminators, ylg
from weights_convert.sources import (
    containers,
    discriminators,
    encoder_families,
    encoders,
    lucidrains,
    nets,
    nvlabs_tensorflow,
    nvlabs_torch,
    state_dicts,
)
from weights_convert.sources.base import DiscriminatorParams, Facts, Source
from weights_convert.sources.places import Place, entries, places, shortened


def _openvino(tree: Any) -> Any:
    return tree.get("openvino") if isinstance(tree, dict) else None


def _mobilestylegan(params: dict[str, Any]) -> Facts:
    # The rules fit one network only, whose facts the zoo has.
    facts = dict(zoo.entry("ffhq").outputs[0].spec)
    return params, {k: v for k, v in facts.items() if k not in ("name", "alignment")}


SOURCES = (
    *nvlabs_torch.SOURCES,
    *nvlabs_tensorflow.SOURCES,
    *lucidrains.SOURCES,
    *state_dicts.SOURCES,
    Source("Sequential, Keras", keras.find, keras.convert, ("classes",)),
    Source("MobileStyleGAN, OpenVINO", _openvino, _mobilestylegan),
    Source(
        "SAGAN, TensorFlow", sagan.find, sagan.convert, discriminator=sagan_discriminators.sagan
    ),
    Source(
        "YLG, TensorFlow", ylg.find, ylg.convert, ("local",), discriminator=sagan_discriminators.ylg
    ),
)


class Converted(NamedTuple):
    """Nested parameters, fields of the `GeneratorSpec`, and the name of the source's layout.

    `notes` are sentences about what was decided.
    """

    params: dict[str, Any]
    facts: dict[str, Any]
    source: str
    notes: tuple[str, ...] = ()


def convert(tree: Any, *, config: Any = None, **options: Any) -> Converted:
    """The generator of a checkpoint's plain tree, which may be the whole or lie somewhere inside.

    `config` is what stands in the file config.json beside it, which one source needs. `options` say
    what a source's files leave open: "fused" (bool), whether a first StyleGAN of genforce was built
    with fused_scale=True or False instead of "auto"; "clamp" (float), at which the network of an
    NVlabs state dict clamps its layers; "depth" and "epsilon" of a BigGAN by ajbrock; "local"
    (bool), whether the attention of YLG's code is sparse, as usual, or dense; "classes" (int), how
    many of a chain's last inputs are the class; "side" (int) of the images of an AutoencoderKL;
    "length" (int) of the sounds of a WaveGAN; "focal" (float) of an EG3D's cameras. Raises
    `UnsafeFileError`, saying what was found, for a tree that no source writes; `ValueError` for an
    option that the source does not need.
    """
    for place in places(tree):
        for source in SOURCES:
            with one_error(source.name):
                found = source.find(place.tree)
            if found is None:
                continue
            if source.config:
                options["config"] = config
            if extra := sorted(set(options) - {*source.options, "config"}):
                raise ValueError(
                    f"option {extra[0]!r} with a file of {source.name}; "
                    f"allowed: {', '.join(source.options) or 'none'}"
                )
            return _converted(source, found, place, options)
    raise UnsafeFileError(
        f"no known generator or net in the file: it holds {_summary(tree)}{_hint(tree)}"
    )


def formats() -> list[str]:
    """What can be converted, a line each: containers, then whose generators in them."""
    return [
        *containers.CONTAINERS,
        *(source.name for source in SOURCES),
        *nets.NETS.values(),
        encoders.FORMAT,
        *(family.name for family in encoder_families.FAMILIES),
    ]


def _hint(tree: Any) -> str:
    if isinstance(tree, np.ndarray):
        return "; latent codes are drawn by `jaxinv render FILE -g GENERATOR`"
    return f"; {containers.ASK}"


def _converted(source: Source, found: Any, place: Place, options: dict[str, Any]) -> Converted:
    try:
        with one_error(source.name):
            params, facts = source.convert(found, **options)
    except UnsafeFileError as error:
        told = str(error).removeprefix(f"{source.name}: ")
        raise UnsafeFileError(f"found {source.name}: {told}") from error
    notes = tuple(_notes(place, dict(facts["facts"])))
    converted = Converted(params, facts, source.name, notes)
    return with_discriminator(converted, source, place.tree)


def _notes(place: Place, facts: dict[str, Any]) -> Iterator[str]:
    if place.trail:
        beside = shortened(place.beside) or "nothing"
        yield f"the generator is {place.path!r} of the file, which also holds: {beside}"
    if "noise_seed" in facts:
        yield f"the file has no noise maps: drawn with seed {facts['noise_seed']}, and kept"


def with_discriminator(converted: Converted, source: Source, tree: Any) -> Converted:
    """The same with the discriminator of the tree, if it has one of a kind that is known."""
    try:
        with one_error("the discriminator"):
            beside = source.discriminator(tree, converted.facts) if source.discriminator else None
    except UnsafeFileError:  # somebody's own: the generator is good without
        beside = None
    return converted if beside is None else _joined(converted, beside)


def _joined(converted: Converted, beside: DiscriminatorParams) -> Converted:
    params, plan = beside
    others = [fact for fact in converted.facts["facts"] if fact[0] != "discriminator"]
    facts = [*others, ["discriminator", plan]]
    return converted._replace(
        params={**converted.params, "discriminator": params},
        facts={**converted.facts, "facts": facts},
    )


def attach(converted: Converted, tree: Any) -> Converted:
    """The same with the discriminator of another tree, for sources that keep it in its own file.

    Raises `UnsafeFileError` for one that is of no known kind or does not fit the generator.
    """
    with one_error("the discriminator"):
        found = (reader(tree, converted.facts) for reader in discriminators.READERS)
        beside = next((one for one in found if one is not None), None)
    if beside is None:
        raise UnsafeFileError(f"no known discriminator in the file: it holds {_summary(tree)}")
    return _joined(converted, beside)


def _summary(tree: Any) -> str:
    return shortened(entries(tree)) or "nothing that has a name"
