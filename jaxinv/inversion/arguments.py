"""Checks of the arguments of `invert`, before anything is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.compatibility import source_side
from jaxinv.io.image_ops import PIXELS, check_pixel_range
from jaxinv.latents.sampling import check_label
from jaxinv.models.generators.base import space_path
from jaxinv.nn.resample import enlarge
from jaxinv.specs import Preset
from jaxinv.specs import labels as labels_of
from jaxinv.specs.checks import check_array, check_choice, check_kind, check_list, told
from jaxinv.specs.vocabulary import CLASSES, LATENT_SPACES, TEXT

if TYPE_CHECKING:
    from collections.abc import Container

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec, OperatorSpec, Variable
    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Latents


AUTO = "auto"


def default_batch() -> int:
    """Images per batch and device: 1 on CPU, where a batch gains nothing, otherwise 8."""
    return jax.local_device_count() * (1 if jax.default_backend() == "cpu" else 8)


def batch_for(preset: Preset, count: int) -> int:
    """Images of `count` that go together unless the caller says so: all that share a variable."""
    return max(count, 1) if preset.shared else default_batch()


def check_images(gen: Generator, images: np.ndarray, operator: OperatorSpec | None = None) -> int:
    """The side at which clean images are drawn: that of the images, or before the operator.

    Raises `ValueError` unless images are [B, S, S, 3], S at most the generator's resolution, or
    what the operator makes of such images.
    """
    if operator is not None and images.ndim and len(images):
        return source_side(gen.spec.resolution, operator, images.shape[1:])
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(
            f"images must have shape [B, S, S, 3], got {images.shape}; allowed: a batch (of one "
            f"image: image[None]) of square pictures in colour, channels last"
        )
    if images.shape[1] > gen.spec.resolution:
        raise ValueError(
            f"images of {images.shape[1]} px; allowed: at most {gen.spec.resolution} "
            f"({gen.spec.name})"
        )
    if not len(images):
        raise ValueError(f"no images to invert, got {told(images)}; allowed: at least one")
    return images.shape[1]


def read_pixels(images: Any, operator: OperatorSpec | None = None) -> np.ndarray:
    """The images as an array; `ValueError` unless they are finite floats that can be in [-1, 1].

    What an operator adds noise to, or measures, may have other values.
    """
    found = check_array("images", images, meant=PIXELS)
    noisy = operator is not None and any(one.name == "noise" for one in operator.chain)
    if found.ndim and (operator is None or not (operator.is_measurement or noisy)):
        check_pixel_range("images", found)
    return found


def check_masks(masks: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """The masks as float32, or None without any.

    Raises `ValueError` unless there is one of `shape` [B, h, w] with weights of at least 0, not all
    of them 0; whole numbers are 0 or 1.
    """
    if masks is None:
        return None
    given = check_array("masks", masks, "biuf", ", weights of pixels")
    if given.shape != shape:
        raise ValueError(f"masks have shape {given.shape}; allowed: {shape}")
    if given.dtype.kind in "iu" and given.size and given.max() > 1:
        raise ValueError(f"masks hold {given.max()}; allowed: 0 to 1 (of 0 to 255: masks / 255)")
    found = given.astype(np.float32)
    if found.min(initial=0.0) < 0:
        raise ValueError(f"masks hold {found.min()}; allowed: weights of at least 0")
    empty = np.flatnonzero(~found.any(axis=tuple(range(1, found.ndim))))
    if len(empty):
        raise ValueError(f"mask {empty[0]} is 0 everywhere; allowed: some pixels with a weight")
    return found


def check_named_images(
    preset: Preset,
    given: dict[str, Any] | None,
    shape: tuple[int, ...],
    vectors: Container[str] = (),
) -> dict[str, np.ndarray]:
    """The pictures that terms name, float32; `ValueError` unless they are those of the preset.

    Each must have the `shape` [B, S, S, 3] of the images. Names of `vectors` need no picture.
    """
    given = {} if given is None else given
    check_kind("named_images", given, dict, " of images by name")
    for name in given:
        pictured = tuple(n for n in preset.targets if n != TEXT and n not in vectors)
        check_choice(f"picture of preset {preset.name!r}", name, pictured or ("none",))
    missing = [name for name in preset.targets if name not in given and name not in vectors]
    if TEXT in missing:
        raise ValueError(
            f"preset {preset.name!r} needs a text: --text WORDS, or vectors [B, n] called "
            f"{TEXT!r} in named_vectors"
        )
    if missing:
        raise ValueError(
            f"preset {preset.name!r} needs named images {', '.join(missing)} [B, S, S, 3]"
        )
    found = {name: read_pixels(values).astype(np.float32) for name, values in given.items()}
    for name, values in found.items():
        if values.shape != shape:
            raise ValueError(f"image {name!r} has shape {values.shape}; allowed: {shape}")
    return found


def check_named_vectors(
    preset: Preset, given: dict[str, Any] | None, count: int
) -> dict[str, np.ndarray]:
    """The vectors [count, n] that terms name, float32.

    Raises `ValueError` unless the preset has terms of those names, all of them "embedding" of one
    output, and the vectors are finite, none of them 0.
    """
    given = {} if given is None else given
    check_kind("named_vectors", given, dict, " of vectors by name")
    found: dict[str, np.ndarray] = {}
    for name, values in given.items():
        what = f"vector of preset {preset.name!r}"
        check_choice(what, name, preset.targets or ("none",))
        for term in (t for stage in preset.stages for t in stage.terms if t.target == name):
            if term.name != "embedding" or len(term.layers) > 1:
                raise ValueError(
                    f"{what}: {name!r} is compared by term {term.label!r}; allowed: pictures of "
                    f"that name, or terms 'embedding' of one output"
                )
        found[name] = check_array(f"{what}, {name!r},", values).astype(np.float32)
        if found[name].ndim != 2 or len(found[name]) != count:
            raise ValueError(
                f"{what}: {name!r} has shape {list(found[name].shape)}; allowed: [{count}, n]"
            )
        if not found[name].any(1).all():
            raise ValueError(f"{what}: {name!r} is all 0; allowed: one that points somewhere")
    return found


def loss_side(gen: Generator, preset: Preset, side: int) -> int:
    """The side at which images of `side` px are compared where there is no operator."""
    return max(side, min(preset.enlarge or side, gen.spec.resolution))


def upsampled(
    images: np.ndarray, masks: np.ndarray | None, side: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images [B, S, S, 3] and masks [B, S, S] of `side` px or more, each enlarged on its own."""
    if images.shape[1] >= side:
        return images, masks
    grown = np.stack([np.asarray(enlarge(jnp.asarray(image), side)) for image in images])
    return grown, None if masks is None else upsampled_masks(masks, side)


def upsampled_masks(masks: np.ndarray, side: int) -> np.ndarray:
    """Masks [B, S, S] of `side` px or more: pixels are repeated."""
    rows = np.arange(max(side, masks.shape[1])) * masks.shape[1] // max(side, masks.shape[1])
    return masks[:, rows][:, :, rows]


def check_labels(
    spec: GeneratorSpec, preset: Preset, labels: Sequence[Any] | None, count: int
) -> np.ndarray | None:
    """The classes as [count, classes] of zeros and ones; `ValueError` where they do not fit.

    Where several are tried for each image, [count, number, classes].
    """
    if labels is None:
        sought = {v.space for v in preset.stages[0].variables if v.init.kind in ("prior", "mean")}
        if spec.embedding and not sought & set(CLASSES):
            raise ValueError(f"generator {spec.name!r} draws classes: give a label per image")
        return None
    check_list("labels", labels, "classes, one per image")
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels; allowed: {count}, one per image")
    several = [tuple(one) if isinstance(one, list | tuple) else (one,) for one in labels]
    for label in (label for some in several for label in some):
        check_label(spec, label)
    sizes = {len(some) for some in several}
    if len(sizes) != 1 or 0 in sizes or any(len(set(some)) < len(some) for some in several):
        raise ValueError(
            f"labels {told(labels)}; allowed: one class per image, or as many different ones for "
            f"each, which are tried side by side"
        )
    found = np.eye(spec.labels, dtype=np.float32)[np.asarray(several, int)]
    return found[:, 0] if sizes == {1} else found


def check_record_terms(preset: Preset, record_terms: tuple[str, ...]) -> None:
    """Raise `ValueError` unless every stage has the terms of those labels."""
    check_list("record_terms", record_terms, "labels of terms")
    for number, stage in enumerate(preset.stages, start=1):
        for name in record_terms:
            what = f"term to record in preset {preset.name!r}, stage {number}:"
            check_choice(what, name, labels_of(stage.terms))


def with_given_starts(preset: Preset, starts: Latents | None, count: int) -> Preset:
    """The preset that sets out from what the caller gives, if anything is given.

    Raises `ValueError` for starts of another number than `count`, and where a preset needs some.
    """
    if starts is None:
        if preset.encoder and preset.requires_starts:
            raise ValueError(
                f"preset {preset.name!r} begins at the codes of an encoder: give one, `--init "
                f"encoder:NAME` (init=...), or starts; `jaxinv train-encoder {preset.encoder} -o "
                f"RUN` trains it"
            )
        if preset.requires_starts:
            raise ValueError(f"preset {preset.name!r} needs starts: latents [{count}, ...]")
        return preset
    counts = {leaf.shape[0] for leaf in jax.tree.leaves(starts)}
    if counts != {count}:
        raise ValueError(f"starts of {sorted(counts)} images; allowed: {count}")
    first = preset.stages[0]
    given = tuple(
        replace(v, init=replace(v.init, kind="given")) if can_start(v, starts) else v
        for v in first.variables
    )
    return replace(preset, stages=(replace(first, variables=given), *preset.stages[1:]))


def check_init(preset: Preset, encoder: EncoderSpec, starts: Latents | None) -> None:
    """Raise `ValueError` unless a preset's first code can set out from what an encoder gives."""
    if starts is not None:
        raise ValueError(f"starts and init {encoder.name!r}; allowed: one of both")
    codes = [v for stage in preset.stages for v in stage.variables if v.space in LATENT_SPACES]
    if codes and not can_start(codes[0], {encoder.output: None}):
        raise ValueError(
            f"preset {preset.name!r} begins with {codes[0].space!r}; encoder {encoder.name!r} "
            f"gives {encoder.output!r}"
        )


def can_start(variable: Variable, starts: Latents) -> bool:
    """Whether a variable can set out from latents: they hold it, or a code that leads there."""
    return variable.space in starts or (
        variable.space in LATENT_SPACES and any(space_path(name, variable.space) for name in starts)
    )
