"""Images that share a variable: a group of them is one lane, and has one loss.

A lane is one image, or a group of K: then all that the lane is given, and every code that is not
shared, has a leading axis K. `over_images` is the only place that tells the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.inversion.problem import Lane, Problem
    from jaxinv.types import Array, Key, Tree

IMAGES_AT_ONCE = 8  # images of a group that are drawn at once where memory is an accelerator's


def group_lanes(lanes: Tree, count: int) -> Tree:
    """Lanes [K * R, ...], those of one image side by side, as R groups [R, K, ...] of `count` K."""

    def group(leaf: Array) -> Array:
        return jnp.swapaxes(leaf.reshape(count, -1, *leaf.shape[1:]), 0, 1)

    return jax.tree.map(group, lanes)


def ungroup(groups: Tree) -> Tree:
    """What `group_lanes` made, as lanes [K * R, ...] again."""

    def lanes(leaf: Array) -> Array:
        return jnp.swapaxes(leaf, 0, 1).reshape(-1, *leaf.shape[2:])

    return jax.tree.map(lanes, groups)


def lane_key(problem: Problem, lane: Lane) -> Key:
    """The lane's key; of a group, that of its first image."""
    return lane.key[0] if problem.stage.shared else lane.key


def image_keys(problem: Problem, lane: Lane, key: Key) -> Key:
    """The key of an evaluation, of a group one for each of its images."""
    if not problem.stage.shared:
        return key
    numbers = jnp.arange(len(lane.restart))
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, numbers)


def over_images(
    problem: Problem, fn: Callable[..., Any], codes: dict[str, Tree], given: Tree
) -> Any:
    """`fn(codes, given)` of the lane's image; of a group, that of every image, stacked.

    Where lanes go one by one the images do too, elsewhere `IMAGES_AT_ONCE` at once; they are
    drawn again for their gradients, so that a large group needs no more memory than a small one.
    """
    if not problem.stage.shared:
        return fn(codes, given)
    shared = {name: codes[name] for name in codes if name in problem.stage.shared}
    own = {name: codes[name] for name in codes if name not in problem.stage.shared}

    def one(args: tuple[dict[str, Tree], Tree]) -> Any:
        return fn({**args[0], **shared}, args[1])

    count = jax.tree.leaves((own, given))[0].shape[0]
    if problem.width > 1 and count <= IMAGES_AT_ONCE:
        return jax.vmap(one)((own, given))
    size = None if problem.width == 1 else IMAGES_AT_ONCE
    return jax.lax.map(jax.checkpoint(one), (own, given), batch_size=size)
