"""Pictures wider than a generator draws: tiles in a row, each with a code of its own.

A generator whose layers are local draws maps of any width. Here every tile of a canvas has a code,
and the features of each layer go over from one tile's style to the next one's (the spatial fusion
of Lin et al. 2022, InfinityGAN, arXiv:2104.03963, section 4.3; Chong et al. 2021, StyleGAN of All
Trades, section 5). A patch depends on the codes of two tiles on either side alone, so that a canvas
has no end, and any patch of it can be drawn by itself. A photograph is continued beyond its edges
by a search for the codes with which the canvas shows it in the middle (Cheng et al. 2022, In&Out,
arXiv:2104.00675): `canvas_generator` is a generator of that patch, which every preset can search.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.paths import code_at
from jaxinv.inversion.arguments import read_pixels
from jaxinv.inversion.invert import invert
from jaxinv.inversion.presets import find_preset
from jaxinv.io.latent_files import fit_latents
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.arguments import check_generator, check_latents, samples_of
from jaxinv.models.generators.base import Generator, StepRange, missing_capability
from jaxinv.specs.checks import check_seed, check_whole

if TYPE_CHECKING:
    from jaxinv.specs import Preset
    from jaxinv.types import Array, Latents, Params, State, Tree

TILES, CODES = 3, 5  # of a patch: one tile on either side is drawn, and two codes count
OVERLAP = 0.5  # tiles, over which one style goes over into the next
FEATHER = 8  # a photograph that is kept goes over into the canvas in this part of its side
# Architectures whose layers are local, and the input that those with a constant one have.
FROM_CONST, FROM_TILES = ("stylegan2", "mobilestylegan"), ("dcgan", "pggan")


class Extended(NamedTuple):
    """Photographs continued to both sides.

    images: [B, S, tiles * S, 3] in [-1, 1]; latents: codes [B, tiles, ...] of the tiles that are
    shown; seams: [B, tiles - 1], see `seams`.
    """

    images: np.ndarray
    latents: Latents
    seams: np.ndarray


def canvas_generator(gen: Generator) -> Generator:
    """The generator of ONE patch of a canvas: its codes are those of the patch and four around it.

    W+ has five times the rows, or z five times the numbers; "noise" is of three tiles, layer by
    layer. The parameters are those of `gen`. Raises `ValueError` for a generator that has classes,
    attention, or layers that see all of a picture: those draw one size alone.
    """
    origin = _origin(gen)
    spec, factor = gen.spec, 1 if gen.spec.w_dim else CODES
    wide = replace(
        spec,
        name=f"{spec.name}-canvas",
        z_dim=spec.z_dim * factor,
        rows=spec.rows * CODES,
        styles=spec.styles * CODES,
        noise=tuple(side for side in spec.noise for _ in range(TILES)),
        layout18=(),
    )

    def affine(params: Params, w: Array) -> tuple[Array, ...]:
        each = [gen.affine(params, rows) for rows in jnp.split(w, CODES)]
        return tuple(style for one in each for style in one)

    return Generator(
        spec=wide,
        steps=gen.steps,
        init=gen.init,
        map=gen.map,
        affine=affine if spec.w_dim else missing_capability(spec, "style"),
        embed=missing_capability(spec, "class embedding"),
        run=_Patch(gen, origin).run,
        stored_noise=lambda params: noise_around(gen, params, 0),
    )


def noise_around(gen: Generator, params: Params, tile: int) -> tuple[Array, ...]:
    """Noise maps of a tile of a canvas and of its neighbours, layer by layer.

    Tile 0 has those of the generator, every other one its own, the same at every call.
    """
    stored = gen.stored_noise(params)

    def drawn(number: int) -> list[Array]:
        if number == 0 or not stored:
            return list(stored)
        key = jax.random.fold_in(jax.random.key(0), number % 2**32)
        keys = jax.random.split(key, len(stored))
        return [jax.random.normal(k, a.shape) for k, a in zip(keys, stored, strict=True)]

    each = [drawn(tile + aside) for aside in (-1, 0, 1)]
    return tuple(one for layer in zip(*each, strict=True) for one in layer)


def draw_canvas(
    gen: Generator, params: Params, latents: Latents, *, middle: int | None = None
) -> np.ndarray:
    """A canvas [S, n S, 3] in about [-1, 1] of n codes, patch by patch, however wide.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: codes [n, ...] in z, w or w+, from left to right; the first and the last go on
            beyond the ends.
        middle: the number of the tile that has the generator's own noise (that in the middle).

    Raises:
        ValueError: latents that hold more than codes, and as `canvas_generator` does.
    """
    check_generator(gen, params)
    wide = canvas(gen)
    latents, count = check_latents(gen, params, latents, "latents")
    _check_codes(latents, "latents hold")
    centre = count // 2 if middle is None else middle
    space = "w+" if gen.spec.w_dim else "z"
    codes = jnp.stack([code_at(gen, params, one, space) for one in samples_of(latents)])
    patches = []
    for number in range(count):
        around = jnp.clip(jnp.arange(number - 2, number + 3), 0, count - 1)
        code = codes[around].reshape(-1, *codes.shape[2:])
        given: Latents = {space: code}
        if gen.spec.noise:
            given["noise"] = noise_around(gen, params, number - centre)
        patches.append(np.asarray(_draw(wide, params, given)))
    return np.concatenate(patches, axis=1)


def extend(
    gen: Generator,
    params: Params,
    images: np.ndarray,
    tiles: int = 3,
    *,
    preset: Preset | str = "in-and-out",
    psi: float = 0.7,
    keep: bool = True,
    seed: int = 0,
    **options: Any,
) -> Extended:
    """Photographs in the middle of canvases that go on to both sides.

    The search moves the codes of the photograph's tile and of those beside it; farther ones are
    drawn at random.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        images: [B, S, S, 3] in [-1, 1], S the generator's side.
        tiles: the width in sides of a picture, odd.
        preset: the search; it may move codes alone. In a generator without W, give "z".
        psi: truncation of random codes.
        keep: show the photograph itself in the middle, not what was found of it.
        seed: of random codes and of the search.
        **options: of `invert`.

    Raises:
        ValueError: an even number of tiles, pictures of another size, a preset that moves more
            than codes, and as `canvas_generator` and `invert` do.
    """
    check_generator(gen, params)
    wide, side = canvas(gen), gen.spec.resolution
    check_seed(seed)
    method = check_extend(tiles, preset)
    pictures = read_pixels(images)
    if pictures.shape[1:] != (side, side, 3):
        raise ValueError(f"images have shape {pictures.shape}; allowed: [B, {side}, {side}, 3]")
    found = invert(wide, params, pictures, preset=method, seed=seed, **options).latents
    space, half = "w+" if gen.spec.w_dim else "z", max(tiles // 2, 2)
    shown, kept = [], []
    for number, one in enumerate(samples_of(found)):
        near = np.asarray(code_at(wide, params, fit_latents(wide.spec, one), space))
        near = near.reshape(CODES, -1, *near.shape[1:])[1:-1].reshape(TILES, *_shape(gen))
        own = random_codes(gen, params, 2 * half - 2, psi=psi, seed=seed + number)
        far = own[space]
        codes = np.concatenate([far[: half - 1], near, far[half - 1 :]])
        drawn = draw_canvas(gen, params, {space: codes})
        first = half - tiles // 2
        drawn = drawn[:, first * side : (first + tiles) * side]
        shown.append(_with(drawn, pictures[number]) if keep else drawn)
        kept.append(codes[first : first + tiles])
    canvases = np.stack(shown)
    told = np.stack([seams(one) for one in canvases])
    return Extended(canvases, {space: np.stack(kept)}, told)


def check_extend(tiles: int, preset: Preset | str) -> Preset:
    """The preset; `ValueError` for an even number of tiles, or one that moves more than codes."""
    check_whole("tiles", tiles, 3)
    if tiles % 2 == 0:
        raise ValueError(f"tiles {tiles}; allowed: an odd number, so that one is in the middle")
    method = find_preset(preset)
    moved = {variable.space for stage in method.stages for variable in stage.variables}
    _check_codes(dict.fromkeys(moved), f"preset {method.name!r} moves")
    return method


def seams(canvas: np.ndarray) -> np.ndarray:
    """How much more a canvas [S, n S, 3] changes between two tiles than elsewhere, [n - 1].

    The mean step from column to column at a border, over the mean of all other steps: 1 where
    nothing shows, more where there is an edge.
    """
    side = len(canvas)
    steps = np.abs(np.diff(canvas.astype(np.float64), axis=1)).mean((0, 2))
    borders = np.arange(side, canvas.shape[1], side) - 1
    return steps[borders] / max(float(np.delete(steps, borders).mean()), 1e-12)


def random_codes(
    gen: Generator, params: Params, count: int, *, psi: float = 0.7, seed: int = 0
) -> Latents:
    """Random codes {space: [count, ...]}: W+ at truncation `psi`, or z where there is no W."""
    drawn = sample_latents(gen, params, count, seed=seed, psi=psi if gen.spec.w_dim else 1.0)
    space = "w+" if gen.spec.w_dim else "z"
    each = [np.asarray(code_at(gen, params, one, space)) for one in samples_of(drawn)]
    return {space: np.stack(each)}


@lru_cache
def canvas(gen: Generator) -> Generator:
    """`canvas_generator`, the same object at every call, so that programs are compiled once."""
    return canvas_generator(gen)


@partial(jax.jit, static_argnums=0)
def _draw(wide: Generator, params: Params, latents: Latents) -> Array:
    return wide.synthesize(params, latents)


def _with(canvas: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """A canvas with a photograph in its middle, whose left and right edges go over into it."""
    side = len(photo)
    first = (canvas.shape[1] - side) // 2
    reach = (np.arange(side) + 0.5) * FEATHER / side
    share = np.clip(np.minimum(reach, reach[::-1]), 0, 1)[None, :, None]
    made = canvas.copy()
    made[:, first : first + side] += share * (photo - made[:, first : first + side])
    return made


def _check_codes(held: Latents, words: str) -> None:
    others = sorted(set(held) - {"z", "w", "w+"})
    if others or not held:
        raise ValueError(f"{words} {', '.join(others) or 'nothing'}; allowed: codes in z, w or w+")


def _shape(gen: Generator) -> tuple[int, ...]:
    """Of one code."""
    return (gen.spec.rows, gen.spec.w_dim) if gen.spec.w_dim else (gen.spec.z_dim,)


def _origin(gen: Generator) -> int:
    """How many steps are made tile by tile; `ValueError` where later ones are not local."""
    spec = gen.spec
    known = (*FROM_CONST, *FROM_TILES)
    if spec.labels or spec.architecture not in known:
        what = "classes" if spec.labels else f"architecture {spec.architecture!r}"
        raise ValueError(
            f"generator {spec.name!r} has {what}; allowed for a canvas: {', '.join(known)}, "
            f"without classes: their layers are local"
        )
    if spec.architecture in FROM_CONST:
        return 0
    params = jax.eval_shape(gen.init, jax.random.key(0))
    states = jax.eval_shape(gen.features, params, {"z": jnp.zeros(spec.z_dim)})
    maps = [index for index, name in enumerate(gen.steps) if len(states[name]["x"].shape) == 3]
    attends = any("attention" in state for state in states.values())
    flat = not maps or maps != list(range(maps[0], len(gen.steps)))
    if attends or flat or maps[0] == len(gen.steps) - 1:
        what = "attention" if attends else "layers that see all of a picture"
        raise ValueError(
            f"generator {spec.name!r} has {what}; allowed for a canvas: convolutions after the "
            f"first map"
        )
    return maps[0] + 1


class _Patch(NamedTuple):
    """How a patch is drawn: by the steps of `gen`, of which `origin` are made tile by tile."""

    gen: Generator
    origin: int

    def run(
        self,
        params: Params,
        code: Tree,
        noise: tuple[Array, ...] | None,
        state: State,
        part: StepRange,
    ) -> Any:
        """Steps of three tiles at once; see `Generator`."""
        gen, origin = self
        codes, maps = _codes(gen, code), _maps(gen, params, noise)

        def step(number: int, one: Tree, state: State) -> State:
            return gen.run(params, one, maps, state, StepRange(number, number + 1))

        if not state and not origin:
            state = {"x": jnp.tile(params["synthesis"]["const"], (1, TILES, 1))}
        for index in range(part.first, len(gen.steps) if part.last is None else part.last):
            if index < origin:
                each = jax.vmap(partial(step, index), (0, 0 if state else None))(codes, state)
                last = index == origin - 1
                state = jax.tree.map(lambda x: jnp.concatenate(x[1:-1], 1), each) if last else each
            elif gen.spec.w_dim:
                each = jax.vmap(partial(step, index), (0, None))(codes, state)
                state = jax.tree.map(lambda x: blended(x, TILES), each)
            else:  # nothing of the code comes in any more
                state = step(index, codes[CODES // 2], state)
        if part.last is not None:
            return state
        own = jax.tree.map(lambda x: jnp.split(x, TILES, axis=1)[1], state)
        end = StepRange(len(gen.steps), None, part.size)
        return blended(jax.vmap(lambda one: gen.run(params, one, maps, own, end))(codes), 1)


def _codes(gen: Generator, code: Tree) -> Tree:
    """The codes of five tiles, each with a leading axis."""
    if not gen.spec.w_dim:
        return code.reshape(CODES, -1)
    count = len(code) // CODES
    return tuple(jnp.stack(code[place::count]) for place in range(count))


def _maps(
    gen: Generator, params: Params, noise: tuple[Array, ...] | None
) -> tuple[Array, ...] | None:
    """Noise maps [r, 3 r] of three tiles."""
    if not gen.spec.noise:
        return None
    held = noise_around(gen, params, 0) if noise is None else noise
    layers = range(0, len(held), TILES)
    return tuple(jnp.concatenate(held[place : place + TILES], axis=1) for place in layers)


def blended(x: Array, tiles: int) -> Array:
    """Maps [5, h, w, c] of five codes as one: each by its share of the middle `tiles` tiles."""
    return jnp.einsum("khwc,kw->hwc", x, jnp.asarray(shares(x.shape[2], tiles), x.dtype))


def shares(width: int, tiles: int) -> np.ndarray:
    """[5, width], the share of each tile's code in every column of the middle `tiles` tiles.

    They add up to 1; within `OVERLAP` of a border one code goes over into the next.
    """
    place = ((np.arange(width) + 0.5) / width - 0.5) * tiles + CODES // 2
    before = np.floor(place)
    way = np.clip((place - before - 0.5) / OVERLAP + 0.5, 0, 1)
    way = way * way * (3 - 2 * way)
    number = np.arange(CODES)[:, None]
    return np.where(number == before, 1 - way, 0) + np.where(number == before + 1, way, 0)
