"""`invert`: every stage of a preset, for many images and many starts of each, in batches."""

# jax annotates its arguments only in part (here: vmap, stack, tree.map).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.inversion.arguments import (
    batch_for,
    check_images,
    check_labels,
    check_watch,
    loss_side,
    upsampled,
    with_given_starts,
)
from jaxinv.inversion.batch import padded_size, run_stages
from jaxinv.inversion.compatibility import check_measured, check_preset, check_weights
from jaxinv.inversion.memory import automatic_batch
from jaxinv.inversion.objective import NetworkParams
from jaxinv.inversion.presets import find_preset, with_steps
from jaxinv.inversion.restarts import Batch, lanes_given, prepare
from jaxinv.inversion.result import Inversion, Progress, gather
from jaxinv.inversion.statistics import with_statistics
from jaxinv.models.loading import load_features
from jaxinv.nn.mixed_precision import cast_params
from jaxinv.specs import Preset
from jaxinv.specs.checks import check_choice, check_whole
from jaxinv.specs.vocabulary import PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params


AUTO = "auto"


def invert(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    *,
    preset: Preset | str = "default",
    nets: dict[str, Params] | None = None,
    masks: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
    starts: Latents | None = None,
    seed: int = 0,
    restarts: int | None = None,
    steps: int | None = None,
    batch: int | str | None = None,
    width: int | None = None,
    precision: str = "float32",
    watch: tuple[str, ...] = (),
    every: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Inversion:
    """Latents from which `gen` redraws every image as closely as `preset` can make it.

    images: [B, S, S, 3] in [-1, 1], compared at S px (the render is area-reduced; a preset with
    `enlarge` may enlarge them first), or what the
    preset's operator made of such images, vectors [B, count] among them; masks: [B, S, S]
    weights of the pixels; `labels`: the class of every image, for generators that draw classes;
    `starts`: latents [B, ...] from which the first stage sets out (of an encoder, of an earlier
    search), its first restart exactly, whatever start the preset names for its code.
    `restarts` starts per image run side by side; the one with the lowest
    loss is kept. `batch` images go through the compiled program together ("auto": as many as the
    memory of the device holds), `width` lanes at a time (1 on CPU). `precision` "bfloat16" draws
    and compares with kernels and activations of that type, for accelerators (see `nn.cast_params`);
    losses and solvers stay float32. A lane whose solver is lost (its loss is not finite, and no
    line search can shorten the step) is frozen at its best point and reported as "diverged"; the
    others are not touched.
    `watch` names terms whose values are kept, `every` keeps the end of each restart.
    Raises `ValueError` for images, masks or counts that cannot be used, and for a preset that the
    generator, the images or the weights do not suit.
    """
    images = np.asarray(images)
    preset = with_steps(find_preset(preset), steps)
    size = check_images(gen, images, preset.operator)
    images = images.astype(np.float32)
    images = images[:, :, None, None] if images.ndim == 2 else images
    masks = None if masks is None else np.asarray(masks, np.float32)
    if masks is not None and masks.shape != images.shape[:3]:
        raise ValueError(f"masks have shape {masks.shape}; allowed: {images.shape[:3]}")
    seen = images.shape[1:]
    if preset.operator is None:
        size = loss_side(gen, preset, size)
        seen = (size, size, 3)
    if batch not in (None, AUTO) and isinstance(batch, str):
        raise ValueError(f"unknown batch {batch!r}; allowed: a whole number, {AUTO}")
    restarts = preset.restarts if restarts is None else restarts
    asked = batch_for(preset, len(images)) if batch in (None, AUTO) else int(batch)
    for name, value in (("batch", asked), ("restarts", restarts), ("width", width)):
        check_whole(name, 1 if value is None else value, 1)
    check_preset(gen.spec, preset, min(seen[:2]))
    check_measured(gen, preset, seen, size)
    nets = load_features(preset.nets) if nets is None else nets
    check_weights(gen, preset, params, nets)
    check_watch(preset, watch)
    check_choice("precision", precision, PRECISIONS)
    classes = check_labels(gen, preset, labels, len(images))
    preset = with_given_starts(preset, starts, len(images))
    known = with_statistics(gen, params, preset, nets)
    weights = NetworkParams(cast_params(known, precision), cast_params(nets, precision))

    def lanes(rows: np.ndarray, asked: int) -> Batch:
        pictures, weighed = images[rows], None if masks is None else masks[rows]
        if preset.operator is None:
            pictures, weighed = upsampled(pictures, weighed, size)
        made = prepare(pictures, weighed, seed, restarts, num_images=asked, size=size)
        return made._replace(given=lanes_given(classes, starts, rows, restarts))

    if batch == AUTO and not preset.shared:
        asked = automatic_batch(gen, weights, preset, lanes(np.zeros(1, int), 1))
    parts: list[dict[str, Any]] = []
    for first in range(0, len(images), asked):
        count = len(images[first : first + asked])
        # No padding where images share a variable: a copy would count there.
        whole = count if preset.shared else padded_size(count, asked)
        padded = np.resize(np.arange(count), whole) + first
        found = run_stages(
            gen,
            weights,
            preset,
            lanes(padded, count),
            width=width,
            watch=watch,
            every=every,
            report=report,
        )
        parts.append(found)
    return gather(preset, parts)
