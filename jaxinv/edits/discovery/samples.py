"""Samples of a generator for methods that look at some: codes in a space, pictures, and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.scores import check_scores
from jaxinv.io.image_ops import to_uint8
from jaxinv.io.progress import track
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.generators.base import convert
from jaxinv.models.rendering import draw_one
from jaxinv.specs.checks import check_choice, check_seed, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

SPACES = ("z", "w", "s")
BATCH = 16  # pictures that are scored together


def usual_space(gen: Generator) -> str:
    """Where directions of this generator are looked for unless one says: w, or z without a W."""
    return "w" if gen.spec.w_dim else "z"


def draw_codes(
    gen: Generator, params: Params, space: str, count: int, seed: int = 0
) -> tuple[np.ndarray, Latents]:
    """`count` random codes [n, d] in "z", "w" or "s" (all channels in a row), and their latents.

    Classes are random where there are some. Raises `ValueError` for a space that the generator does
    not have.
    """
    check_choice("space", space, [one for one in SPACES if one in gen.spec.spaces])
    check_whole("samples", count, 2)
    check_seed(seed)
    keys = jax.random.split(jax.random.key(seed), count)
    prior = jax.vmap(lambda key: draw_prior(gen.spec, key))(keys)
    if space == "z":
        return np.asarray(prior["z"]), prior
    found = jax.jit(jax.vmap(lambda one: convert(gen, params, one, "w")))(prior)
    latents: Latents = {"w": found}
    if space == "w":
        return np.asarray(found), latents
    styles = jax.jit(jax.vmap(lambda w: jnp.concatenate(convert(gen, params, {"w": w}, "s"))))
    return np.asarray(styles(found)), latents


def pictures(
    gen: Generator, params: Params, latents: Latents, size: int | None = None
) -> Iterator[np.ndarray]:
    """Pictures uint8 [batch, size, size, 3] of latents with a leading axis, batch after batch."""
    count = len(jax.tree.leaves(latents)[0])
    for start in range(0, count, BATCH):
        rows = range(start, min(start + BATCH, count))
        drawn = [
            draw_one(gen, params, jax.tree.map(lambda a, i=i: a[i], latents), size) for i in rows
        ]
        yield to_uint8(np.stack([np.asarray(one) for one in drawn]))


def score_samples(
    gen: Generator,
    params: Params,
    latents: Latents,
    score: Callable[[np.ndarray], np.ndarray],
    *,
    size: int | None = None,
    report: Callable[[str], object] | None = None,
) -> np.ndarray:
    """Scores [n] of the pictures of latents by any function of uint8 [b, h, w, 3] to [b].

    The time that is left is told. Raises `ValueError` where scores are not finite or all equal.
    """
    return score_all(gen, params, latents, {"": score}, size=size, report=report)[""]


def score_all(
    gen: Generator,
    params: Params,
    latents: Latents,
    scores: dict[str, Callable[[np.ndarray], np.ndarray]],
    *,
    size: int | None = None,
    report: Callable[[str], object] | None = None,
    apart: bool = True,
) -> dict[str, np.ndarray]:
    """The same by several functions, which look at every picture once; nothing for no function.

    Without `apart` scores may be all equal.
    """
    if not scores:
        return {}
    count = -(-len(jax.tree.leaves(latents)[0]) // BATCH)
    label = f"drawing and scoring samples of {gen.spec.name}, {BATCH} at a time"
    stacks = track(pictures(gen, params, latents, size), count, label, report)
    found = [{n: np.atleast_1d(one(stack)) for n, one in scores.items()} for stack in stacks]
    whole = {name: np.concatenate([one[name] for one in found]) for name in scores}
    return {
        n: check_scores(one, *[f"scores of {n!r}"] * bool(n), apart=apart)
        for n, one in whole.items()
    }
