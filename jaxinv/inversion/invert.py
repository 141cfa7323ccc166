"""`invert`: every stage of a preset, for many images and many starts of each, in batches."""

# jax annotates its arguments only in part (here: tree.map).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.inversion.arguments import check_record_terms
from jaxinv.inversion.batch import batches_given, images_at_once, padded_size, run_stages
from jaxinv.inversion.bind import bind
from jaxinv.inversion.memory import automatic_batch
from jaxinv.inversion.presets import find_preset
from jaxinv.inversion.result import Inversion, Progress, gather
from jaxinv.inversion.search_checkpoints import SearchCheckpoints
from jaxinv.specs.checks import check_callable, check_seed, check_whole
from jaxinv.specs.serialization import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.encoders.encoding import Loaded
    from jaxinv.inversion.bind import BoundProblem
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Latents, Params


def invert(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    *,
    preset: Preset | str = "default",
    nets: dict[str, Params] | None = None,
    masks: np.ndarray | None = None,
    named_masks: dict[str, np.ndarray] | None = None,
    named_images: dict[str, np.ndarray] | None = None,
    named_vectors: dict[str, np.ndarray] | None = None,
    labels: Sequence[int | Sequence[int]] | None = None,
    starts: Latents | None = None,
    init: Loaded | str | None = None,
    seed: int = 0,
    restarts: int | None = None,
    steps: int | None = None,
    batch: int | str | None = None,
    width: int | None = None,
    precision: str = "float32",
    record_terms: tuple[str, ...] = (),
    keep_all_restarts: bool = False,
    report: Callable[[Progress], None] | None = None,
    checkpoints: str | Path | SearchCheckpoints | None = None,
) -> Inversion:
    """Latents from which `gen` redraws every image as closely as `preset` can make it.

    Every image is searched for by itself, from one or several starts. A search whose loss is not
    finite, where no shorter step helps, stops at its best point and is reported as "diverged"; the
    others are not touched.

    Args:
        gen: the generator, with its `params`.
        params: its parameters, as `load_generator` gives them.
        images: [B, S, S, 3] in [-1, 1]. What is drawn is reduced to S px (by area) to be compared;
            a preset with `enlarge` may enlarge the images first. For a preset with an operator:
            what it made of such images, vectors [B, count] among them.
        preset: a method, its name, or a JSON file of one.
        nets: parameters of the feature networks that it needs; loaded if left out.
        masks: [B, S, S], weights of the pixels.
        named_masks: [B, S, S] in [0, 1] by name, for presets whose terms name masks that are given.
        named_images: [B, S, S, 3] in [-1, 1] by name, for presets whose terms compare with other
            pictures than the images: a style, a region of another face.
        named_vectors: [B, n] by name, instead of such pictures where terms of "embedding" compare:
            what a text says, under the name "text" (see `joint_embedding`).
        labels: the class of every image, for generators that draw classes. As many classes for
            each are tried side by side, restart by restart, and the best restart says which it is.
        starts: latents [B, ...] from which the first stage sets out (of an encoder, of an earlier
            search), its first restart exactly, whatever start the preset names for its code.
        init: an encoder whose code of each image the first stage sets out from, instead of
            `starts`: what `load_encoder` gives, or "encoder:NAME".
        seed: of all random draws.
        restarts: starts per image, side by side; the one with the lowest loss is kept.
        steps: evaluations per image, instead of the preset's, shared out among its stages.
        batch: images that go through the compiled program together; "auto": as many as the memory
            of the device holds. By default 1 on CPUs, 8 elsewhere.
        width: searches that run at once (all; 1 on CPUs).
        precision: "bfloat16" draws and compares with kernels and activations of that type, for
            accelerators; losses and solvers stay float32.
        record_terms: labels of terms whose value is kept for every evaluation.
        keep_all_restarts: keep the end of each restart.
        report: called with a `Progress` (stage, step, losses) after every few steps.
        checkpoints: a folder in which the search keeps what it has reached, about every 30 seconds.
            The same call goes on there after its process has ended, to the same result; it is
            yours to remove.

    Raises:
        ValueError: images, masks or counts cannot be used, or the preset does not suit the
            generator, the images or the weights; before anything is compiled.
    """
    check_whole("width", 1 if width is None else width, 1)
    check_seed(seed)
    check_callable("report", report)
    preset = find_preset(preset)
    check_record_terms(preset, record_terms)
    bound = bind(
        gen,
        params,
        images,
        preset,
        nets=nets,
        masks=masks,
        named_masks=named_masks,
        named_images=named_images,
        named_vectors=named_vectors,
        labels=labels,
        starts=starts,
        init=init,
        restarts=restarts,
        steps=steps,
        batch=batch,
        precision=precision,
    )
    together = bound.batch
    if isinstance(together, str):
        together = automatic_batch(bound, bound.lanes(np.zeros(1, int), 1, seed))
    together = images_at_once(bound.preset, together, width)
    given = together * batches_given(bound.preset, together)
    kept = _checkpoints(checkpoints, bound, (together, width, precision, record_terms))
    parts: list[dict[str, Any]] = []
    for first in range(0, len(bound.images), given):
        count = len(bound.images[first : first + given])
        # No padding where images share a variable: a copy would count there.
        whole = count if bound.preset.shared else padded_size(count, together)
        whole = max(whole, count)
        rows = np.resize(np.arange(count), whole) + first
        lanes = bound.lanes(rows, count, seed)
        found = run_stages(
            bound,
            lanes,
            width=width,
            most=together,
            record_terms=record_terms,
            keep_all_restarts=keep_all_restarts,
            report=report,
            finished=first,
            kept=None if kept is None else kept.of(lanes),
        )
        parts.append(found)
    return gather(bound.preset, parts)


def _checkpoints(
    given: str | Path | SearchCheckpoints | None, bound: BoundProblem, settings: Any
) -> SearchCheckpoints | None:
    """Those of searches of this generator by this preset with these settings.

    Whoever gives more than a folder vouches for the weights: they are large.
    """
    if given is None:
        return None
    facts = to_json(bound.preset), repr(bound.gen.spec), repr(settings), jax.__version__
    if isinstance(given, SearchCheckpoints):
        return given.of(facts)
    return SearchCheckpoints(Path(given)).of(facts, bound.weights.params["synthesis"])
