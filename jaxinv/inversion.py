"""`invert`: every stage of a preset, for many images and many starts of each, in batches."""

# jax annotates its arguments only in part (here: vmap, stack, tree.map).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.checks import check_choice, check_whole
from jaxinv.loading import load_features
from jaxinv.preparation import equipped
from jaxinv.presets import PRESETS
from jaxinv.requirements import check_preset, check_weights
from jaxinv.sampling import one_hot
from jaxinv.specs import Preset
from jaxinv.specs import labels as labels_of
from jaxinv.stages import DIVERGED, LOSS, Best, Lane, Problem, Weights, sight, solve
from jaxinv.starts import learned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.generators.base import Generator
    from jaxinv.types import Array, Latents, Params


@dataclass(frozen=True)
class Progress:
    """Told to the caller after every chunk; stages count from 1, `losses` are the lanes' best."""

    stage: int
    stages: int
    step: int
    steps: int
    losses: np.ndarray


class Restarts(NamedTuple):
    """What all R restarts of B images reached: latents lead with [B, R], the others are [B, R]."""

    latents: Latents
    loss: np.ndarray
    evaluations: np.ndarray
    diverged: np.ndarray


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


def image_key(image: np.ndarray, seed: int) -> Array:
    """Key of one image from its content and the seed, whatever its place in the batch."""
    digest = hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).digest()
    return jax.random.fold_in(jax.random.key(seed), int.from_bytes(digest[:4], "big"))


def bucket(count: int, batch: int) -> int:
    """Size to which `count` images are padded: the smallest power of two, at most `batch`."""
    return min(batch, 1 << (count - 1).bit_length())


def default_batch() -> int:
    """Images per batch and device: 1 on CPU, where a batch gains nothing, otherwise 8."""
    return jax.local_device_count() * (1 if jax.default_backend() == "cpu" else 8)


def find_preset(preset: Preset | str) -> Preset:
    """The preset itself, or the one of that name; `ValueError` naming the known ones."""
    if isinstance(preset, str):
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
    stages = tuple(replace(s, steps=int(n)) for s, n in zip(preset.stages, spans, strict=True))
    return replace(preset, stages=stages)


def check_images(gen: Generator, images: np.ndarray) -> None:
    """Raise `ValueError` unless images are [B, S, S, 3], S at most the generator's resolution."""
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be floats in [-1, 1], got {images.dtype}")
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(f"images must have shape [B, S, S, 3], got {images.shape}")
    if images.shape[1] > gen.spec.resolution:
        raise ValueError(
            f"images of {images.shape[1]} px; allowed: at most {gen.spec.resolution} "
            f"({gen.spec.name})"
        )
    if not len(images):
        raise ValueError("no images to invert")


def check_labels(gen: Generator, labels: Sequence[int] | None, count: int) -> Array | None:
    """The classes as [count, classes] of zeros and ones; `ValueError` where they do not fit."""
    if labels is None:
        if gen.spec.embedding:
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


def _of_classes(classes: Array | None, rows: np.ndarray, restarts: int) -> Latents:
    return {} if classes is None else {"label": jnp.repeat(classes[rows], restarts, axis=0)}


def invert(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    *,
    preset: Preset | str = "default",
    nets: dict[str, Params] | None = None,
    masks: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
    seed: int = 0,
    restarts: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    width: int | None = None,
    watch: tuple[str, ...] = (),
    every: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Inversion:
    """Latents from which `gen` redraws every image as closely as `preset` can make it.

    images: [B, S, S, 3] in [-1, 1], compared at S px (the render is area-reduced); masks: [B, S, S]
    weights of the pixels; `labels`: the class of every image, for generators that draw classes.
    `restarts` starts per image run side by side; the one with the lowest
    loss is kept. `batch` images go through the compiled program together, `width` lanes at a time
    (1 on CPU). A lane whose solver is lost (its loss is not finite, and no line search can shorten
    the step) is frozen at its best point and reported as "diverged"; the others are not touched.
    `watch` names terms whose values are kept, `every` keeps the end of each restart.
    Raises `ValueError` for images, masks or counts that cannot be used, and for a preset that the
    generator, the images or the weights do not suit.
    """
    images = np.asarray(images)
    check_images(gen, images)
    images = images.astype(np.float32)
    masks = None if masks is None else np.asarray(masks, np.float32)
    if masks is not None and masks.shape != images.shape[:3]:
        raise ValueError(f"masks have shape {masks.shape}; allowed: {images.shape[:3]}")
    preset = with_steps(find_preset(preset), steps)
    batch = default_batch() if batch is None else batch
    restarts = preset.restarts if restarts is None else restarts
    for name, value in (("batch", batch), ("restarts", restarts), ("width", width)):
        check_whole(name, 1 if value is None else value, 1)
    check_preset(gen.spec, preset, images.shape[1])
    nets = load_features(preset.nets) if nets is None else nets
    check_weights(preset, params, nets)
    check_watch(preset, watch)
    classes = check_labels(gen, labels, len(images))
    weights = Weights(equipped(gen, params, preset, nets), nets)
    parts: list[dict[str, Any]] = []
    for first in range(0, len(images), batch):
        count = len(images[first : first + batch])
        padded = np.resize(np.arange(count), bucket(count, batch)) + first
        lanes = prepare(
            images[padded], None if masks is None else masks[padded], seed, restarts, asked=count
        )._replace(given=_of_classes(classes, padded, restarts))
        parts.append(
            run_stages(
                gen, weights, preset, lanes, width=width, watch=watch, every=every, report=report
            )
        )
    return gather(preset, parts)


class Batch(NamedTuple):
    """Lanes of a batch: images [L, S, S, 3], masks [L, S, S, 1], keys [L], restart indices [L].

    Lanes of one image are neighbours; only the first `asked` images are wanted, the others pad.
    `given` are latents that no stage moves.
    """

    images: Array
    masks: Array | None
    keys: Array
    restarts: Array
    per_image: int
    asked: int
    given: Latents = {}  # noqa: RUF012 - never written to


def prepare(
    images: np.ndarray, masks: np.ndarray | None, seed: int, restarts: int, *, asked: int
) -> Batch:
    """Every image `restarts` times, with a key of its own per (image, restart)."""
    keys = [
        jax.random.fold_in(image_key(image, seed), r) for image in images for r in range(restarts)
    ]
    return Batch(
        images=jnp.asarray(np.repeat(images, restarts, axis=0)),
        masks=None
        if masks is None
        else jnp.asarray(np.repeat(masks[..., None], restarts, axis=0), jnp.float32),
        keys=jnp.stack(keys),
        restarts=jnp.tile(jnp.arange(restarts), len(images)),
        per_image=restarts,
        asked=asked,
    )


def run_stages(
    gen: Generator,
    weights: Weights,
    preset: Preset,
    lanes: Batch,
    *,
    width: int | None = None,
    watch: tuple[str, ...] = (),
    every: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """All stages of a preset on one batch, best restart chosen; arrays lead with an image axis."""
    wanted = lanes.asked * lanes.per_image
    if width is None:
        width = 1 if jax.default_backend() == "cpu" else len(lanes.images)
    guessed = learned(gen, weights.params, preset, weights.nets, lanes.images)
    previous: Latents = {**lanes.given, **guessed}
    reached: list[Best] = []
    curves: list[dict[str, np.ndarray]] = []
    for index, stage in enumerate(preset.stages):
        problem = Problem(gen, stage, lanes.images.shape[1], width, watch)
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(lanes.keys, index)
        given = Lane(
            sight(problem, weights, lanes.images), lanes.masks, keys, lanes.restarts, previous
        )

        def tell(step: int, losses: np.ndarray, i: int = index, steps: int = stage.steps) -> None:
            if report is not None:
                report(Progress(i + 1, len(preset.stages), step, steps, losses[:wanted]))

        previous, best, curve = solve(problem, weights, given, report=tell)
        reached.append(best)
        curves.append(curve)
    whole = {name: np.concatenate([c[name] for c in curves], axis=1) for name in (LOSS, *watch)}
    return choose_restarts(lanes, previous, reached, whole, every=every)


def choose_restarts(
    lanes: Batch,
    latents: Latents,
    reached: list[Best],
    curves: dict[str, np.ndarray],
    *,
    every: bool,
) -> dict[str, Any]:
    """Group lanes by image and keep the restart with the lowest loss of the last stage.

    A lane that diverged in any stage is reported as such, wherever it ended.
    """

    def grouped(lane_values: Array | np.ndarray) -> np.ndarray:
        array = np.asarray(lane_values)[: lanes.asked * lanes.per_image]
        return array.reshape(lanes.asked, lanes.per_image, *array.shape[1:])

    ends = Restarts(
        latents=jax.tree.map(grouped, latents),
        loss=grouped(reached[-1].loss),
        evaluations=np.sum([grouped(stage.evaluations) for stage in reached], axis=0),
        diverged=np.any([grouped(stage.status) == DIVERGED for stage in reached], axis=0),
    )
    best = np.argmin(ends.loss, axis=1)

    def pick(values: np.ndarray) -> np.ndarray:
        return values[np.arange(lanes.asked), best]

    chosen: dict[str, Any] = jax.tree.map(pick, ends)._asdict()
    whole = {name: grouped(curve) for name, curve in curves.items()}
    losses = whole.pop(LOSS)
    kept = ends if every else None
    return {**chosen, "losses": losses, "best": best, "terms": whole, "every": kept}


def gather(preset: Preset, parts: list[dict[str, Any]]) -> Inversion:
    """One `Inversion` of the results of all batches."""

    def join(*arrays: np.ndarray) -> np.ndarray:
        return np.concatenate(arrays)

    whole: dict[str, Any] = jax.tree.map(join, *parts)
    diverged: list[bool] = whole.pop("diverged").tolist()
    status = tuple("diverged" if lost else "ok" for lost in diverged)
    return Inversion(**whole, status=status, preset=preset)
