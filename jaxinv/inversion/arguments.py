"""Checks of the arguments of `invert`, before anything is compiled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.compatibility import source_side
from jaxinv.latents.sampling import one_hot
from jaxinv.models.generators.base import space_path
from jaxinv.nn.resample import enlarge
from jaxinv.specs import Preset
from jaxinv.specs import labels as labels_of
from jaxinv.specs.checks import check_choice
from jaxinv.specs.vocabulary import CLASSES, LATENT_SPACES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import OperatorSpec, Variable
    from jaxinv.types import Array, Latents


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
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be floats in [-1, 1], got {images.dtype}")
    if operator is not None and len(images):
        return source_side(gen.spec.resolution, operator, images.shape[1:])
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(f"images must have shape [B, S, S, 3], got {images.shape}")
    if images.shape[1] > gen.spec.resolution:
        raise ValueError(
            f"images of {images.shape[1]} px; allowed: at most {gen.spec.resolution} "
            f"({gen.spec.name})"
        )
    if not len(images):
        raise ValueError("no images to invert")
    return images.shape[1]


def check_masks(masks: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The masks as float32; `ValueError` unless there is one of `shape` [B, h, w] or none."""
    if masks is None:
        return None
    found = np.asarray(masks, np.float32)
    if found.shape != shape:
        raise ValueError(f"masks have shape {found.shape}; allowed: {shape}")
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
    gen: Generator, preset: Preset, labels: Sequence[int] | None, count: int
) -> Array | None:
    """The classes as [count, classes] of zeros and ones; `ValueError` where they do not fit."""
    if labels is None:
        sought = {v.space for v in preset.stages[0].variables if v.init.kind in ("prior", "mean")}
        if gen.spec.embedding and not sought & set(CLASSES):
            raise ValueError(f"generator {gen.spec.name!r} draws classes: give a label per image")
        return None
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels; allowed: {count}, one per image")
    rows = [one_hot(gen, int(label)) for label in labels]
    return jnp.stack([row for row in rows if row is not None])


def check_record_terms(preset: Preset, record_terms: tuple[str, ...]) -> None:
    """Raise `ValueError` unless every stage has the terms of those labels."""
    for number, stage in enumerate(preset.stages, start=1):
        for name in record_terms:
            what = f"term to record in preset {preset.name!r}, stage {number}:"
            check_choice(what, name, labels_of(stage.terms))


def with_given_starts(preset: Preset, starts: Latents | None, count: int) -> Preset:
    """The preset that sets out from what the caller gives, if anything is given.

    Raises `ValueError` for starts of another number than `count`, and where a preset needs some.
    """
    if starts is None:
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


def can_start(variable: Variable, starts: Latents) -> bool:
    """Whether a variable can set out from latents: they hold it, or a code that leads there."""
    return variable.space in starts or (
        variable.space in LATENT_SPACES and any(space_path(name, variable.space) for name in starts)
    )
