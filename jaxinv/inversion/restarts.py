"""Lanes of a batch: every image with all its restarts, and the best of them in the end."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.result import Restarts
from jaxinv.inversion.stages import DIVERGED, LOSS, BestSoFar

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Latents


class Batch(NamedTuple):
    """Lanes of a batch: images [L, ...], masks [L, h, w, 1], keys [L], restart indices [L].

    Lanes of one image are neighbours; only the first `num_images` images are wanted, the others
    pad. `size` is the side of the clean images, before any operator; `given` are the latents before
    the first stage, `named_masks` [L, h, w, 1] the masks that are known by then; `named_images`
    [L, h, w, 3] and `named_vectors` [L, n] are what terms compare with beside the images.
    """

    images: Array
    masks: Array | None
    keys: Array
    restarts: Array
    restarts_per_image: int
    num_images: int
    size: int
    given: Latents = {}  # noqa: RUF012 - never written to
    named_masks: dict[str, Array] = {}  # noqa: RUF012
    named_images: dict[str, Array] = {}  # noqa: RUF012
    named_vectors: dict[str, Array] = {}  # noqa: RUF012


def image_key(image: np.ndarray, seed: int) -> Array:
    """Key of one image from its content and the seed, whatever its place in the batch."""
    digest = hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).digest()
    return jax.random.fold_in(jax.random.key(seed), int.from_bytes(digest[:4], "big"))


def make_lanes(
    images: np.ndarray,
    masks: np.ndarray | None,
    seed: int,
    restarts: int,
    *,
    num_images: int,
    size: int | None = None,
) -> Batch:
    """Every image `restarts` times, with a key of its own per (image, restart)."""
    keys = jnp.stack([image_key(image, seed) for image in images])
    return Batch(
        images=jnp.asarray(np.repeat(images, restarts, axis=0)),
        masks=None
        if masks is None
        else jnp.asarray(np.repeat(masks[..., None], restarts, axis=0), jnp.float32),
        keys=_restart_keys(keys, restarts),
        restarts=jnp.tile(jnp.arange(restarts), len(images)),
        restarts_per_image=restarts,
        num_images=num_images,
        size=images.shape[1] if size is None else size,
    )


@partial(jax.jit, static_argnums=1)
def _restart_keys(keys: Array, restarts: int) -> Array:
    """A key [B * restarts] for every restart of every image."""
    one = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    return jax.vmap(one, in_axes=(0, None))(keys, jnp.arange(restarts)).reshape(-1)


def lanes_given(given: Latents, rows: np.ndarray, restarts: int) -> Latents:
    """What lanes are given: the latents [B, ...] of the images `rows`, for every restart."""

    def lanes(leaf: Array | np.ndarray) -> Array:
        return jnp.repeat(jnp.asarray(leaf)[rows], restarts, axis=0)

    return jax.tree.map(lanes, given)


def class_by_restart(given: Latents, restarts: Array) -> Latents:
    """What lanes are given, with one class each: of several [L, number, classes], in turn."""
    label = given.get("label")
    if label is None or label.ndim < 3:
        return given
    return {**given, "label": label[jnp.arange(len(label)), restarts % label.shape[1]]}


def lowest_loss(ends: Restarts) -> np.ndarray:
    """The restart whose last stage has the lowest loss, index [B]."""
    return np.argmin(ends.loss, axis=1)


# Ways to choose a restart: from what all of them reached to one index [B] per image.
RESTART_RULES: dict[str, Callable[[Restarts], np.ndarray]] = {"lowest-loss": lowest_loss}


def choose_restarts(
    lanes: Batch,
    latents: Latents,
    reached: list[BestSoFar],
    curves: dict[str, np.ndarray],
    *,
    keep_all_restarts: bool,
    rule: str = "lowest-loss",
) -> dict[str, Any]:
    """Group lanes by image and keep one restart of each, by the `rule` of that name.

    A lane that diverged in any stage is reported as such, wherever it ended.
    """

    def grouped(lane_values: Array | np.ndarray) -> np.ndarray:
        array = np.asarray(lane_values)[: lanes.num_images * lanes.restarts_per_image]
        return array.reshape(lanes.num_images, lanes.restarts_per_image, *array.shape[1:])

    ends = Restarts(
        latents=jax.tree.map(grouped, latents),
        loss=grouped(reached[-1].loss),
        evaluations=np.sum([grouped(stage.evaluations) for stage in reached], axis=0),
        diverged=np.any([grouped(stage.status) == DIVERGED for stage in reached], axis=0),
    )
    best = RESTART_RULES[rule](ends)

    def pick(values: np.ndarray) -> np.ndarray:
        return values[np.arange(lanes.num_images), best]

    chosen: dict[str, Any] = jax.tree.map(pick, ends)._asdict()
    whole = {name: grouped(curve) for name, curve in curves.items()}
    losses = whole.pop(LOSS)
    kept = ends if keep_all_restarts else None
    return {**chosen, "losses": losses, "best": best, "terms": whole, "all_restarts": kept}
