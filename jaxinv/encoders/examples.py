"""What an encoder is shown in training: pictures of files or of random codes, masked and noisy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.encoders.perspective import perspectives
from jaxinv.encoders.planes import Sample
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.generators.base import convert
from jaxinv.nn.pool import bilinear

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import PictureSource
    from jaxinv.types import Array, Key, Latents, Params, Tree

CELLS = 6  # of the noise that blobs are made of, along a side
LEAST_SHOWN = 0.3  # share of the pixels that a mask leaves
LABEL = "label"
PERCENT = 100


class Examples(NamedTuple):
    """A batch: what is compared, what is seen, and what is known of it.

    `target` [b, s, s, 3] in [-1, 1] is the clean picture, `samples` what the encoder is given;
    `known` are codes of which the targets are the pictures; `given` goes to the generator beside
    the code: noise maps, a class. `own` [b] is the attribute of the target, where one is asked for,
    and `gap` how far that is from it; `warp` [b, 8] is how what is seen is moved, see
    `perspective`. All have a leading axis.
    """

    target: Array
    samples: Sample
    known: Latents
    given: Latents
    own: Array | None = None
    gap: Array | None = None
    warp: Array | None = None


def examples(
    gen: Generator,
    params: Params,
    source: PictureSource,
    batch: Tree,
    key: Key,
    *,
    space: str,
    size: int,
) -> Examples:
    """The examples of a batch: {"image": uint8 [b, s, s, 3]} of files, or {"key": [b, 2]} of draws.

    Real pictures may come with "label" [b, classes]. Codes are known in `space`; targets have
    `size` px a side.
    """
    blobs, grain, maps = jax.random.split(key, 3)
    given: Latents = {}
    if LABEL in batch:
        given[LABEL] = batch[LABEL].astype(jnp.float32)
    known: Latents = {name: value for name, value in given.items() if name == space}
    if "key" in batch:
        keys = jax.random.wrap_key_data(batch["key"])
        of_key = partial(drawn, gen, params, source, plan=(space, size))
        known, given, target = jax.vmap(of_key)(keys)
    else:
        target = batch["image"].astype(jnp.float32) / 127.5 - 1.0
    target = jax.lax.stop_gradient(target)
    seen, mask = target, None
    if source.noise:
        seen = seen + source.noise * jax.random.normal(grain, seen.shape)
    if source.masks:
        mask = blob_masks(blobs, len(target), target.shape[1])
    if source.fresh_noise:
        given["noise"] = fresh_noise(gen, maps, len(target))
    warp = None
    if source.warp:
        warp = perspectives(jax.random.fold_in(key, 3), len(target), source)
    return Examples(target, Sample(image=seen, mask=mask), known, given, warp=warp)


def asked(shown: Examples, own: Array, kept: float, key: Key) -> Examples:
    """The examples with an attribute to ask for, drawn of 0, 0.01 ... 1, beside their own [b].

    In a share `kept` of all batches it is their own.
    """
    draw, toss = jax.random.split(key)
    wanted = jax.random.randint(draw, own.shape, 0, PERCENT + 1) / PERCENT
    wanted = jnp.where(jax.random.uniform(toss) < kept, own, wanted)
    samples = shown.samples._replace(attribute=wanted)
    return shown._replace(samples=samples, own=own, gap=wanted - own)


def drawn(
    gen: Generator, params: Params, source: PictureSource, key: Key, *, plan: tuple[str, int]
) -> tuple[Latents, Latents, Array]:
    """({space: code}, class, picture [size, size, 3]) of one random draw; plan: (space, size)."""
    space, size = plan
    first, second, edge = jax.random.split(key, 3)
    latents = draw_prior(gen.spec, first)
    given = {LABEL: latents[LABEL]} if LABEL in latents else {}
    if source.mixing and "w+" in gen.spec.spaces:
        other = {**draw_prior(gen.spec, second), **given}
        rows, others = (convert(gen, params, one, "w+") for one in (latents, other))
        toss, place = jax.random.split(edge)
        start = jax.random.randint(place, (), 1, gen.spec.rows)
        start = jnp.where(jax.random.uniform(toss) < source.mixing, start, gen.spec.rows)
        later = jnp.arange(gen.spec.rows)[:, None] >= start
        latents = {"w+": jnp.where(later, others, rows), **given}
    picture = gen.synthesize(params, latents, size)
    code = given[LABEL] if space == LABEL else convert(gen, params, latents, space)
    known: Latents = {space: code}
    return jax.lax.stop_gradient((known, given, picture))


def blob_masks(key: Key, count: int, side: int) -> Array:
    """Masks [count, side, side], 1 where pixels are shown (Chai et al. 2021, section 3.2).

    Uniform noise of 6 x 6 cells, enlarged, below one threshold of 0.3 to 1 for all of them.
    """
    cells, level = jax.random.split(key)
    noise = jax.random.uniform(cells, (count, CELLS, CELLS, 1))
    threshold = jax.random.uniform(level, minval=LEAST_SHOWN, maxval=1.0)
    wide = jax.vmap(lambda one: bilinear(one, (side, side)))(noise)[..., 0]
    return (wide < threshold).astype(jnp.float32)


def fresh_noise(gen: Generator, key: Key, count: int) -> tuple[Array, ...]:
    """Noise maps of every picture, drawn anew: [count, r, r] each."""
    keys = jax.random.split(key, max(len(gen.spec.noise), 1))
    return tuple(
        jax.random.normal(own, (count, side, side))
        for own, side in zip(keys, gen.spec.noise, strict=False)
    )
