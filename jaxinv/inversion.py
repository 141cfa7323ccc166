"""`invert`: every stage of a preset, for many images and many starts of each, in batches."""

# jax annotates its arguments only in part (here: vmap, stack, tree.map).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import recipes
from jaxinv.batches import Batch, Progress, Restarts, bucket, lanes_given, prepare, run_stages
from jaxinv.checks import check_choice, check_whole
from jaxinv.generators.base import way
from jaxinv.loading import load_features
from jaxinv.memory import automatic_batch
from jaxinv.nn.lowered import lowered
from jaxinv.nn.resample import enlarge
from jaxinv.preparation import equipped
from jaxinv.presets import PRESETS
from jaxinv.requirements import check_measured, check_preset, check_weights, source_side
from jaxinv.sampling import one_hot
from jaxinv.solvers.chains import CHAINS
from jaxinv.specs import Preset
from jaxinv.specs import labels as labels_of
from jaxinv.stages import Weights
from jaxinv.vocabulary import CHAIN, CLASSES, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.generators.base import Generator
    from jaxinv.specs import OperatorSpec, Stage, Variable
    from jaxinv.types import Array, Latents, Params


AUTO = "auto"


@dataclass(frozen=True)
class Inversion:
    """What `invert` found for B images and R restarts.

    latents: the best restart's, with a leading axis B; losses [B, R, T] of every evaluation (NaN
    after a lane ended); best [B] index of the best restart; loss [B] its loss; status [B] "ok" or
    "diverged"; evaluations [B] of the best restart. Where they were asked for: terms [B, R, T] by
    label, the values of single terms at every evaluation, and `every` restart's end.
    """

    latents: Latents
    losses: np.ndarray
    best: np.ndarray
    loss: np.ndarray
    status: tuple[str, ...]
    evaluations: np.ndarray
    preset: Preset
    terms: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    every: Restarts | None = None


def default_batch() -> int:
    """Images per batch and device: 1 on CPU, where a batch gains nothing, otherwise 8."""
    return jax.local_device_count() * (1 if jax.default_backend() == "cpu" else 8)


def usual_batch(preset: Preset, count: int) -> int:
    """Images of `count` that go together unless the caller says so: all that share a variable."""
    return max(count, 1) if preset.shared else default_batch()


def find_preset(preset: Preset | str) -> Preset:
    """The preset itself, the one of that name, or of that JSON file (see `recipes`).

    Raises `ValueError` naming the known ones, or what is wrong with the file.
    """
    if isinstance(preset, str):
        if preset.endswith(recipes.SUFFIX):
            return recipes.read(preset)
        check_choice("preset", preset, tuple(PRESETS))
        return PRESETS[preset]
    return preset


def with_steps(preset: Preset, steps: int | None) -> Preset:
    """The preset with its evaluations scaled to `steps` in total, shared out in proportion."""
    if steps is None or steps == preset.steps:
        return preset
    if steps < len(preset.stages):
        raise ValueError(
            f"steps must be at least {len(preset.stages)} (one per stage), got {steps}"
        )
    # Rounding the edges between stages keeps the sum; then every stage keeps at least one step.
    edges = np.rint(np.cumsum([0, *(s.steps for s in preset.stages)]) * steps / preset.steps)
    rank = np.arange(len(edges))
    edges = np.clip(np.maximum.accumulate(edges - rank), 0, steps - rank[-1]) + rank
    spans = np.diff(edges).astype(int)
    stages = tuple(lasting(s, int(n)) for s, n in zip(preset.stages, spans, strict=True))
    return replace(preset, stages=stages)


def lasting(stage: Stage, steps: int) -> Stage:
    """The stage with other steps; of a Markov chain the warm-up stays the same share of them."""
    solver = stage.solver
    if solver.name in CHAINS:
        share = steps / stage.steps
        options = ((k, round(v * share) if k == "warmup" else v) for k, v in solver.options)
        solver = replace(solver, options=tuple(options))
    return replace(stage, steps=steps, solver=solver)


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


def compared_side(gen: Generator, preset: Preset, side: int) -> int:
    """The side at which images of `side` px are compared where there is no operator."""
    return max(side, min(preset.enlarge or side, gen.spec.resolution))


def enlarged(
    images: np.ndarray, masks: np.ndarray | None, side: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images [B, S, S, 3] and masks [B, S, S] of `side` px or more, each enlarged on its own."""
    if images.shape[1] >= side:
        return images, masks
    grown = np.stack([np.asarray(enlarge(jnp.asarray(image), side)) for image in images])
    rows = np.arange(side) * images.shape[1] // side
    return grown, None if masks is None else masks[:, rows][:, :, rows]


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


def check_watch(preset: Preset, watch: tuple[str, ...]) -> None:
    """Raise `ValueError` unless every stage has the terms of those labels."""
    for number, stage in enumerate(preset.stages, start=1):
        for name in watch:
            what = f"term to watch in preset {preset.name!r}, stage {number}:"
            check_choice(what, name, labels_of(stage.terms))


def started(preset: Preset, starts: Latents | None, count: int) -> Preset:
    """The preset that sets out from what the caller gives, if anything is given.

    Raises `ValueError` for starts of another number than `count`, and where a preset needs some.
    """
    if starts is None:
        if preset.needs_start:
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
        variable.space in CHAIN and any(way(name, variable.space) for name in starts)
    )


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
    and compares with kernels and activations of that type, for accelerators (see `nn.lowered`);
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
        size = compared_side(gen, preset, size)
        seen = (size, size, 3)
    if batch not in (None, AUTO) and isinstance(batch, str):
        raise ValueError(f"unknown batch {batch!r}; allowed: a whole number, {AUTO}")
    restarts = preset.restarts if restarts is None else restarts
    asked = usual_batch(preset, len(images)) if batch in (None, AUTO) else int(batch)
    for name, value in (("batch", asked), ("restarts", restarts), ("width", width)):
        check_whole(name, 1 if value is None else value, 1)
    check_preset(gen.spec, preset, min(seen[:2]))
    check_measured(gen, preset, seen, size)
    nets = load_features(preset.nets) if nets is None else nets
    check_weights(gen, preset, params, nets)
    check_watch(preset, watch)
    check_choice("precision", precision, PRECISIONS)
    classes = check_labels(gen, preset, labels, len(images))
    preset = started(preset, starts, len(images))
    known = equipped(gen, params, preset, nets)
    weights = Weights(lowered(known, precision), lowered(nets, precision))

    def lanes(rows: np.ndarray, asked: int) -> Batch:
        pictures, weighed = images[rows], None if masks is None else masks[rows]
        if preset.operator is None:
            pictures, weighed = enlarged(pictures, weighed, size)
        made = prepare(pictures, weighed, seed, restarts, asked=asked, size=size)
        return made._replace(given=lanes_given(classes, starts, rows, restarts))

    if batch == AUTO and not preset.shared:
        asked = automatic_batch(gen, weights, preset, lanes(np.zeros(1, int), 1))
    parts: list[dict[str, Any]] = []
    for first in range(0, len(images), asked):
        count = len(images[first : first + asked])
        # No padding where images share a variable: a copy would count there.
        whole = count if preset.shared else bucket(count, asked)
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


def gather(preset: Preset, parts: list[dict[str, Any]]) -> Inversion:
    """One `Inversion` of the results of all batches."""

    def join(*arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(arrays)

    whole: dict[str, Any] = jax.tree.map(join, *parts)
    diverged: list[bool] = whole.pop("diverged").tolist()
    status = tuple("diverged" if lost else "ok" for lost in diverged)
    return Inversion(**whole, status=status, preset=preset)
