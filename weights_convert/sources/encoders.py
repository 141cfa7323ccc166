"""Checkpoints of the pSp family: encoders, their settings, their average code and their decoder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxinv.specs.encoders import EncoderSpec
from weights_convert.errors import UnsafeFileError, one_error
from weights_convert.networks import encoders
from weights_convert.sources.base import Arrays, plain_names
from weights_convert.sources.places import AVERAGE, CONTAINERS, shortened

ENCODER, FIRST, REFINE, BEFORE = (
    *("encoder", "encoder_firststage", "encoder_refinestage_list"),
    "pretrained_encoder",
)
DECODER = "decoder"
FORMAT = "pSp, e4e, ReStyle, SAM (age) and E2Style: encoder and decoder"
# Settings that say that rows are added to the first: by the class, or where its name is not kept.
DELTAS = re.compile(r"Progressive|Encoder4Editing")
SETTINGS_OF_DELTAS = ("progressive_steps", "delta_norm", "stylegan_size")
PASSES = 5  # of ReStyle where the settings do not say
CROPPED = 0.75  # of the height of pictures of cars, whose squares are filled up


class Found(NamedTuple):
    """The encoders of a file, by what their names begin with, the first to look first.

    `settings` are the options that it was trained with, `average` its mean code.
    """

    chain: tuple[tuple[str, Arrays], ...]
    settings: Mapping[str, Any]
    average: np.ndarray | None
    decoder: bool


class Converted(NamedTuple):
    """The spec of an encoder, its nested parameters, and what was decided.

    `lacks_average`: a mean code is added to its codes, and the file has none.
    """

    spec: EncoderSpec
    params: dict[str, Any]
    lacks_average: bool


def find(tree: Any) -> Found | None:
    """The encoders that a file's tree holds; None if it has none of a known kind."""
    if not isinstance(tree, dict):
        return None
    held = [tree[name] for name in CONTAINERS if isinstance(tree.get(name), dict)]
    for one in (*held, tree):
        groups = _groups(plain_names(one))
        chain = tuple(_chain(groups))
        if chain and all(encoders.recognise(arrays) for _, arrays in chain):
            settings, average = tree.get("opts"), tree.get(AVERAGE)
            return Found(
                chain,
                settings if isinstance(settings, dict) else {},
                average if isinstance(average, np.ndarray) else None,
                DECODER in groups,
            )
    return None


def _groups(arrays: Arrays) -> dict[str, Arrays]:
    """Arrays by what their names begin with: a word, and a number if that is next."""
    groups: dict[str, Arrays] = {}
    for name, array in arrays.items():
        if found := re.match(rf"(\w+?(?:{REFINE[-4:]}\.\d+)?)\.(.+)", name):
            groups.setdefault(found[1], {})[found[2]] = array
    return groups


def _chain(groups: Mapping[str, Arrays]) -> Iterator[tuple[str, Arrays]]:
    stages = [name for name in groups if name.startswith(f"{REFINE}.")]
    stages.sort(key=lambda name: int(name.rpartition(".")[2]))
    order = [FIRST, *stages] if FIRST in groups else [BEFORE, ENCODER]
    yield from ((name, groups[name]) for name in order if name in groups)


def convert(found: Found, name: str) -> Converted:
    """The encoder of a file; the ones before it are `before` in its spec and its parameters.

    Raises `UnsafeFileError` that names the arrays that are missing, or left over.
    """
    spec: EncoderSpec | None = None
    params: dict[str, Any] = {}
    with one_error(FORMAT):
        for prefix, arrays in _used(found):
            spec = _spec(found, (prefix, arrays), name, spec)
            own = _converted(prefix, arrays, spec)
            params = own | ({"before": params} if spec.before is not None else {})
    if spec is None:
        raise UnsafeFileError("no encoder")
    innermost, place = _innermost(spec, params)
    lacking = innermost.base == "mean" and found.average is None
    if innermost.base == "mean" and found.average is not None:
        place["average"] = _average(found.average, innermost)
    return Converted(spec, params, lacking)


def with_average(converted: Converted, mean: np.ndarray) -> Converted:
    """The same with a mean w [width] as its average code."""
    innermost, place = _innermost(converted.spec, converted.params)
    place["average"] = _average(mean, innermost)
    return converted._replace(lacks_average=False)


def _innermost(spec: EncoderSpec, params: dict[str, Any]) -> tuple[EncoderSpec, dict[str, Any]]:
    while spec.before is not None:
        spec, params = spec.before, params["before"]
    return spec, params


def of_generator(spec: EncoderSpec, sha256: str) -> EncoderSpec:
    """The spec of an encoder, and of those before it, for the generator of that hash."""
    before = None if spec.before is None else of_generator(spec.before, sha256)
    return replace(spec, before=before, generator=sha256)


def _used(found: Found) -> tuple[tuple[str, Arrays], ...]:
    """The encoders that a code is made by: SAM may leave the frozen one out."""
    alone = bool(found.settings.get("start_from_latent_avg"))
    if found.chain[0][0] == BEFORE and not found.settings.get(
        "start_from_encoded_w_plus", not alone
    ):
        return found.chain[1:]
    return found.chain


def _spec(
    found: Found, part: tuple[str, Arrays], name: str, before: EncoderSpec | None
) -> EncoderSpec:
    (prefix, arrays), settings, average = part, found.settings, found.average
    stacked = len(average) if average is not None and average.ndim == 2 else 0
    facts = encoders.facts(arrays, stacked)
    if facts["head"] == "map2style" and _adds_to_the_first_row(settings):
        facts["head"] = "deltas"
    stem = next(arrays[one] for one in encoders.STEMS if one in arrays)
    planes, labels = _planes(int(stem.shape[1]), settings, before)
    feedback = "reconstruction" in planes and before is None
    usual = average is not None or facts["head"] == "deltas"
    from_mean = settings.get("start_from_latent_avg", usual)
    from_mean = from_mean or feedback or prefix in (FIRST, BEFORE)
    cars = "car" in str(settings.get("dataset_type", ""))
    return EncoderSpec(
        name=name,
        planes=planes,
        labels=labels,
        resize="bilinear",
        height=round(CROPPED * facts["side"]) if cars else 0,
        base="before" if before is not None else "mean" if from_mean else "zeros",
        passes=settings.get("n_iters_per_batch", PASSES) if feedback else 1,
        before=before,
        **facts,
    )


def _adds_to_the_first_row(settings: Mapping[str, Any]) -> bool:
    """Whether the head is e4e's: the arrays are those of pSp."""
    kind = settings.get("encoder_type")
    if isinstance(kind, str):
        return DELTAS.search(kind) is not None
    return any(name in settings for name in SETTINGS_OF_DELTAS)


def _planes(
    channels: int, settings: Mapping[str, Any], before: EncoderSpec | None
) -> tuple[tuple[str, ...], int]:
    """What an encoder of so many channels sees, and how many of them are labels."""
    labels = settings.get("label_nc") or 0
    if labels == channels and before is None:
        return ("labels",), channels
    known = {
        3: ("image",),
        4: ("image", "attribute"),
        6: ("image", "reconstruction"),
    }
    return (known[channels], 0) if channels in known else (("labels",), channels)


def _converted(prefix: str, arrays: Arrays, spec: EncoderSpec) -> dict[str, Any]:
    """The parameters of one encoder, all of them and no others."""
    from jaxinv.encoders.loading import expected_params
    from jaxinv.encoders.networks import build

    alone = replace(spec, before=None, base="zeros")
    expected, params = expected_params(build(alone)), encoders.convert(arrays)
    if lacking := encoders.missing(params, expected):
        told = shortened([f"{prefix}.{one}" for one in lacking])
        raise UnsafeFileError(f"the file lacks {len(lacking)} arrays of the {prefix}: {told}")
    if left := encoders.unknown(params, expected):
        told = shortened([f"{prefix}.{one}" for one in left])
        raise UnsafeFileError(f"{len(left)} arrays of the {prefix} do not fit it: {told}")
    return params


def _average(average: np.ndarray, spec: EncoderSpec) -> np.ndarray:
    """The mean code in the shape of a code: of w its first row, of w+ one for every row."""
    rows = average[None] if average.ndim == 1 else average
    fits = (
        rows.ndim == 2 and rows.shape[1] == spec.width and len(rows) in (1, spec.rows or len(rows))
    )
    if not fits or rows.dtype.kind != "f" or not np.isfinite(rows).all():
        raise UnsafeFileError(
            f"{AVERAGE} of shape {list(average.shape)} and type {average.dtype}; allowed: finite "
            f"floats of shape {list(spec.shape)} or [{spec.width}]"
        )
    rows = rows.astype(np.float32)
    return rows[0] if not spec.rows else np.ascontiguousarray(np.broadcast_to(rows, spec.shape))
