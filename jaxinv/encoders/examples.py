"""What an encoder is shown in training: pictures of files or of random codes, masked and noisy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

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
    `perspective`; `whose` [b] is the number of the picture that gives the identity; `counts`
    {"drawn", "same": [b]} is how much each counts for terms that see some of them. All have a
    leading axis.
    """

    target: Array
    samples: Sample
    known: Latents
    given: Latents
    own: Array | None = None
    gap: Array | None = None
    warp: Array | None = None
    whose: Array | None = None
    counts: dict[str, Array] | None = None


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

    With both, the drawn pictures come first, and codes of the others are known as zeros. Real
    pictures may come with "label" [b, classes], stored ones with their "code". Codes are known in
    `space`; targets have `size` px a side.
    """
    blobs, grain, maps = jax.random.split(key, 3)
    target, known, given = _pictures(gen, params, source, batch, (space, size))
    count, kept = len(target), jnp.ones(len(target), bool)
    target = jax.lax.stop_gradient(target)
    sample = Sample(image=target)
    if source.noise:
        sample = sample._replace(image=target + source.noise * _normal(grain, target.shape))
    if source.masks:
        sample = sample._replace(mask=blob_masks(blobs, count, target.shape[1]))
    if source.fresh_noise:
        given["noise"] = fresh_noise(gen, maps, count)
    warp = whose = None
    if source.warp:
        warp = perspectives(jax.random.fold_in(key, 3), count, source)
    if source.crossed:
        own, crossed = jnp.arange(count), jax.random.fold_in(key, 6)
        toss = jax.random.uniform(crossed) < source.crossed
        whose = jnp.where(toss, jnp.roll(own, 1), own)
        kept = kept & ~toss
        sample = sample._replace(identity=target[whose])
    if source.moved:
        moves, moved = code_moves(gen, params, source, jax.random.fold_in(key, 7), (space, count))
        sample, kept = sample._replace(move=moves), kept & ~moved
    if source.pairs:
        known = {**known, space: known[space] + moves}
        target = jax.vmap(partial(_picture, gen, params, size))({space: known[space], **given})
    if source.coded and space in known:
        sample = sample._replace(code=known[space])
    fresh = jnp.arange(count) < (count if "code" in batch else len(batch.get("key", ())))
    counts = {"drawn": _shares(fresh), "same": _shares(kept)}
    return Examples(target, sample, known, given, warp=warp, whose=whose, counts=counts)


def _pictures(
    gen: Generator, params: Params, source: PictureSource, batch: Tree, plan: tuple[str, int]
) -> tuple[Array, Latents, Latents]:
    """(pictures, known codes, what goes to the generator beside the code) of a batch."""
    given: Latents = {}
    if LABEL in batch:
        given[LABEL] = batch[LABEL].astype(jnp.float32)
    known: Latents = {name: value for name, value in given.items() if name == plan[0]}
    if "code" in batch:
        known[plan[0]] = batch["code"]
    target: Any = None
    if "image" in batch:
        target = batch["image"].astype(jnp.float32) / 127.5 - 1.0
    if "key" not in batch:
        return target, known, given
    of_key = partial(drawn, gen, params, source, plan=plan)
    known, beside, pictures = jax.vmap(of_key)(jax.random.wrap_key_data(batch["key"]))
    if target is None:
        return pictures, known, beside
    more = len(target)
    known = jax.tree.map(lambda a: jnp.concatenate([a, jnp.zeros((more, *a.shape[1:]))]), known)
    both = {name: jnp.concatenate([value, given[name]]) for name, value in beside.items()}
    return jnp.concatenate([pictures, target]), known, both


def _picture(gen: Generator, params: Params, size: int, latents: Latents) -> Array:
    return jax.lax.stop_gradient(gen.synthesize(params, latents, size))


def _normal(key: Key, shape: tuple[int, ...]) -> Array:
    return jax.random.normal(key, shape)


def _shares(chosen: Array) -> Array:
    """What each of a batch counts, so that the mean over all is the mean over those chosen."""
    return chosen * (len(chosen) / jnp.maximum(jnp.sum(chosen), 1))


def code_moves(
    gen: Generator, params: Params, source: PictureSource, key: Key, plan: tuple[str, int]
) -> tuple[Array, Array]:
    """(edits of codes [count, ...], which of them are not zero [count]); plan: (space, count).

    Each goes from one draw of the mapping towards another, or back, by a share of up to `move`; of
    w+ for a range of rows.
    """
    space, count = plan
    ends, shares, which, places = jax.random.split(key, 4)
    keys = jax.random.split(ends, (2, count))

    def code(key: Key) -> Array:
        return convert(gen, params, draw_prior(gen.spec, key), space)

    away = jnp.subtract(*jax.vmap(jax.vmap(code))(keys))
    column = (count, *[1] * (away.ndim - 1))
    size = source.move * jax.random.uniform(shares, column, minval=-1.0)
    moved = jax.random.uniform(which, (count,)) < source.moved
    if away.ndim == 3:
        edges = jnp.sort(jax.random.randint(places, (count, 2), 0, away.shape[1] + 1), axis=1)
        edges = jnp.where(edges[:, :1] == edges[:, 1:], jnp.asarray([0, away.shape[1]]), edges)
        rows = jnp.arange(away.shape[1])
        inside = (rows >= edges[:, :1]) & (rows < edges[:, 1:])
        away = away * inside[..., None]
    return jax.lax.stop_gradient(away * size * moved.reshape(column)), moved


def asked(shown: Examples, own: Array, kept: float, key: Key) -> Examples:
    """The examples with an attribute to ask for, drawn of 0, 0.01 ... 1, beside their own [b].

    In a share `kept` of all batches it is their own.
    """
    draw, toss = jax.random.split(key)
    wanted = jax.random.randint(draw, own.shape, 0, PERCENT + 1) / PERCENT
    wanted = jnp.where(jax.random.uniform(toss) < kept, own, wanted)
    samples = shown.samples._replace(attribute=wanted)
    counts = {**(shown.counts or {}), "same": _shares(wanted == own)}
    return shown._replace(samples=samples, own=own, gap=wanted - own, counts=counts)


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
