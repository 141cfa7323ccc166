"""Encoders on disk: names, files and run folders -> encoders that are ready, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxinv.encoders.base import AVERAGE, BEFORE, RECOGNISER, WEIGHTS, Encoder
from jaxinv.encoders.layers import STATISTICS
from jaxinv.encoders.networks import build
from jaxinv.io import checkpoints
from jaxinv.models.features.named_layers import shapes_of
from jaxinv.models.features.nets import build_net
from jaxinv.models.loading import UNFIT
from jaxinv.models.weights import read_weights, use_compilation_cache
from jaxinv.specs.checks import check_kind, check_place
from jaxinv.specs.encoders import EncoderSpec
from jaxinv.specs.serialization import encoder_from_json, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxinv.types import Params

KIND, SCHEMA = "encoder", "1"
RUN_FILE = "encoder.safetensors"  # in the folder of a run that trains one


def load_encoder(name: str) -> tuple[Encoder, Params]:
    """An encoder that can look at pictures, and its parameters.

    Args:
        name: of `jaxinv convert --name`, a .safetensors file, or the folder of a training run.

    Returns:
        The encoder, pure functions of one sample with `spec`, its facts; and its parameters, a
        nested dict of arrays (see `Encoder`).

    Raises:
        ValueError: there is no such file, or it holds no encoder, or it is malformed or incomplete.
    """
    path = encoder_file(name)
    use_compilation_cache()
    encoder = build(read_encoder_spec(checkpoints.read_metadata(path)))
    held, _ = read_weights(path)
    check_encoder_params(encoder, held)
    return encoder, with_empty(encoder, held)


def save_encoder(
    path: str | Path,
    encoder: Encoder,
    params: Mapping[str, Any],
    *,
    generator: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write an encoder as one .safetensors file; returns `path`.

    `generator` is what `-g` knows the generator by whose codes it gives; the spec has its hash.
    Raises `ValueError` for parameters of another encoder.
    """
    check_place("path", path)
    check_kind("encoder", encoder, Encoder, " (encoder, params = load_encoder(NAME))")
    check_encoder_params(encoder, params)
    held = without_empty(params)
    facts = {
        "format": "jaxinv",
        "schema": SCHEMA,
        "kind": KIND,
        "spec": json.dumps(plain(encoder.spec, EncoderSpec)),
        "generator": generator,
        "generator_sha256": encoder.spec.generator,
        "content_sha256": checkpoints.content_sha256(held),
    }
    return checkpoints.save(path, held, {**(metadata or {}), **facts})


def encoder_file(name: str) -> Path:
    """The file of an encoder by its name, its place or its run's folder; `ValueError` if none."""
    check_place("name of an encoder", name)
    place = Path(name)
    if place.is_dir():
        if not (place / RUN_FILE).is_file():
            raise ValueError(f"no {RUN_FILE} in the folder {name}; allowed: a run that trained one")
        return place / RUN_FILE
    return checkpoints.weights_file(str(name))


def linked_generator(name: str) -> str:
    """The name of the generator that an encoder's file names, or its place beside the encoder.

    Raises `ValueError` where it names none.
    """
    path = encoder_file(name)
    called = checkpoints.read_metadata(path).get("generator", "")
    if not checkpoints.NAME.fullmatch(called):
        raise ValueError(f"encoder {name!r} names no generator; allowed: say which one draws")
    beside = path.with_name(f"{called}.safetensors")
    known = path.parent == checkpoints.cache_dir() or not beside.is_file()
    return called if known else str(beside)


def read_encoder_spec(metadata: Mapping[str, str]) -> EncoderSpec:
    """The `EncoderSpec` stored in a file's metadata; `ValueError` if it holds none."""
    if metadata.get("kind") != KIND or "spec" not in metadata:
        raise ValueError(
            f"not an encoder: kind {metadata.get('kind', 'missing')!r}; allowed: {KIND!r}"
        )
    try:
        return encoder_from_json(metadata["spec"])
    except ValueError as error:
        raise ValueError(f"not the facts of an encoder: {error}") from error


def expected_params(encoder: Encoder) -> Params:
    """Shapes of the parameters that an encoder has; nothing is allocated.

    Raises `ValueError` for facts that fit no network.
    """
    try:
        return without_empty(jax.eval_shape(encoder.init, jax.random.key(0)))
    except UNFIT as error:
        raise ValueError(
            f"the facts of {encoder.spec.name!r} fit no encoder ({error!r:.120})"
        ) from error


def check_encoder_params(encoder: Encoder, params: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless `params` has all arrays of the encoder, in their shapes."""
    checkpoints.check_shapes(encoder.spec.name, params, expected_params(encoder))
    name = dict(encoder.spec.facts).get(RECOGNISER)
    if name is not None and not callable(params.get(RECOGNISER)):
        build_net(name, shapes_of(params.get(RECOGNISER, {})))


def without_empty(tree: Mapping[str, Any]) -> Params:
    """The branches of a tree that hold something, which are those that a file keeps."""
    kept = {n: without_empty(v) if isinstance(v, dict) else v for n, v in tree.items()}
    return {name: value for name, value in kept.items() if not isinstance(value, dict) or value}


def with_empty(encoder: Encoder, held: Params) -> Params:
    """The parameters of a file with the branches that are empty, in the encoder's own order."""
    found = {WEIGHTS: held[WEIGHTS], STATISTICS: held.get(STATISTICS, {})}
    if AVERAGE in held:
        found[AVERAGE] = held[AVERAGE]
    if RECOGNISER in held:
        found[RECOGNISER] = held[RECOGNISER]
    if encoder.before is not None:
        found[BEFORE] = with_empty(encoder.before, held[BEFORE])
    return found
