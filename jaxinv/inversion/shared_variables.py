"""Images that share a variable: a group of them is one lane, and has one loss.

The functions here are those of `objective`, for a lane that is one image or a group of K: then all
that the lane is given, and every code that is not shared, has a leading axis K, and the loss is the
mean over the images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.inversion import objective as single

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.inversion.objective import Lane, NetworkParams, Problem
    from jaxinv.types import Array, Key, Latents, Params, Tree

    Codes = dict[str, Tree]


IMAGES_AT_ONCE = (
    8  # images of a group that are drawn at once where memory is that of an accelerator
)


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


def decode_latents(problem: Problem, params: Params, codes: Codes, previous: Latents) -> Latents:
    """Latents of a lane; those of a group hold what its images share once for each of them."""
    if not problem.stage.shared:
        return single.decode_latents(problem, params, codes, previous)

    def one(own: Codes, before: Latents) -> Latents:
        return single.decode_latents(problem, params, own, before)

    return _each(problem, one, codes, previous)


def choose_start(problem: Problem, weights: NetworkParams, lane: Lane) -> Codes:
    """Initial codes; of what a group shares, those that its first image alone would choose."""
    if not problem.stage.shared:
        return single.choose_start(problem, weights, lane)
    found = jax.lax.map(lambda one: single.choose_start(problem, weights, one), lane)
    first: Codes = jax.tree.map(lambda a: a[0], found)
    return {name: (first if name in problem.stage.shared else found)[name] for name in found}


def objective(
    problem: Problem, weights: NetworkParams, lane: Lane, progress: Array
) -> Callable[[Codes, Key], tuple[Array, dict[str, Array]]]:
    """The function (codes, key) -> (loss, terms) that a solver lowers."""
    if not problem.stage.shared:
        return single.objective(problem, weights, lane, progress)
    members = jnp.arange(len(lane.restart))

    def fn(codes: Codes, key: Key) -> tuple[Array, dict[str, Array]]:
        def one(own: Codes, given: tuple[Lane, Array]) -> tuple[Array, dict[str, Array]]:
            member, number = given
            loss = single.objective(problem, weights, member, progress)
            return loss(own, jax.random.fold_in(key, number))

        return jax.tree.map(jnp.mean, _each(problem, one, codes, (lane, members)))

    return fn


def _each(problem: Problem, fn: Callable[..., Any], codes: Codes, given: Tree) -> Any:
    """`fn` of every image's codes and of what it is given, stacked.

    Where lanes go one by one the images do too, elsewhere `IMAGES_AT_ONCE` at once; they are
    drawn again for their gradients, so that a large group needs no more memory than a small one.
    """
    shared = {name: codes[name] for name in codes if name in problem.stage.shared}
    own = {name: codes[name] for name in codes if name not in problem.stage.shared}

    def one(args: tuple[Codes, Tree]) -> Any:
        return fn({**args[0], **shared}, args[1])

    count = jax.tree.leaves((own, given))[0].shape[0]
    if problem.width > 1 and count <= IMAGES_AT_ONCE:
        return jax.vmap(one)((own, given))
    size = None if problem.width == 1 else IMAGES_AT_ONCE
    return jax.lax.map(jax.checkpoint(one), (own, given), batch_size=size)
