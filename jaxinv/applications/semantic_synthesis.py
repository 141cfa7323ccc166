"""Pictures from masks, learned from one or a few labelled pictures by nearest features.

Source: Endo & Kanamori 2021, Few-shot Semantic Image Synthesis Using StyleGAN Prior,
arXiv:2103.14877: features of a generator at labelled pixels are compared with those of any other
picture, which gives it a mask. There an encoder from masks to W+ learns from many such pairs. Here
`label_generator` is a generator that draws the mask in place of the picture, as colours, and any
preset searches for the code whose mask is the one that is asked for.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.applications.segmentation import hypercolumns
from jaxinv.edits.blending import mix
from jaxinv.inversion.invert import invert
from jaxinv.io.image_ops import nearest
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.arguments import check_generator, check_latents, samples_of
from jaxinv.models.generators.base import Generator, StepRange
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.specs.checks import check_array, check_seed, check_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.specs import Preset
    from jaxinv.types import Array, Latents, Params, State, Tree

# Colours of regions: the corners of the cube first, then what lies between them.
COLOURS = np.array(sorted(product((-1.0, 1.0, 0.0), repeat=3), key=lambda c: c.count(0.0)))
MOST = 128  # px, the largest side of masks
SAMPLES = 32  # pictures by which features are standardised
SHARPNESS = 20.0  # of the choice of a region by its likeness, a mean of cosines
SCORE = "score"  # in the state of a label generator: likeness so far to every reference


class Labels(NamedTuple):
    """What tells regions by labelled pixels.

    references: by step, unit vectors [n, c], those of each region in a row.
    mean, std: by step, [c], of features over random pictures.
    regions: how many; each has n / regions references.
    size: side of the masks in px.
    """

    references: dict[str, np.ndarray]
    mean: dict[str, np.ndarray]
    std: dict[str, np.ndarray]
    regions: int
    size: int


def learn_labels(
    gen: Generator,
    params: Params,
    latents: Latents,
    masks: np.ndarray,
    *,
    references: int = 32,
    size: int | None = None,
    seed: int = 0,
) -> Labels:
    """Labelled pixels of a few pictures, to be compared with those of others.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: of K pictures, [K, ...], photographs that were inverted among them.
        masks: [K, n, n], the number of a region at every pixel, from 0; below 0: not labelled.
        references: random pixels of each region; 1: the mean of all of them (a prototype).
        size: side of masks in px (that of the pictures, at most 128).
        seed: of the choice of pixels.

    Raises:
        ValueError: latents and masks that do not fit, and regions that no mask shows.
    """
    check_generator(gen, params)
    latents, count = check_latents(gen, params, latents, "latents")
    check_whole("references", references, 1)
    check_seed(seed)
    side = min(gen.spec.resolution, MOST) if size is None else size
    check_whole("size", side, 4)
    given = _labelled(masks, count)
    regions = int(given.max()) + 1
    at_size = np.stack([nearest(one, side) for one in given])
    for region in range(regions):
        if not (at_size == region).any():
            raise ValueError(f"no mask shows region {region} at {side} px; allowed: all of 0 to "
                             f"{regions - 1}")  # fmt: skip
    spread = sample_latents(gen, params, SAMPLES, seed=seed, label=0 if gen.spec.labels else None)
    found, draws = Labels({}, {}, {}, regions, side), np.random.default_rng(seed)
    places = _places(at_size, regions, references, draws)
    for step in gen.steps:
        look = jax.jit(partial(hypercolumns, gen, steps=(step,), size=side))
        usual = np.stack([np.asarray(look(params, one)) for one in samples_of(spread)])
        mean, std = usual.mean((0, 1, 2)), usual.std((0, 1, 2)) + 1e-6
        seen = np.stack([np.asarray(look(params, one)) for one in samples_of(latents)])
        flat = _unit((seen - mean) / std).reshape(-1, seen.shape[-1])
        chosen = [flat[place] for place in places]
        kept = [_unit(one.mean(0, keepdims=True)) if references == 1 else one for one in chosen]
        found.references[step] = np.concatenate(kept)
        found.mean[step], found.std[step] = mean, std
    return found


def label_generator(gen: Generator, labels: Labels) -> Generator:
    """The generator that draws masks: regions in `COLOURS`, mixed where features say both.

    The parameters are those of `gen`, with `labels` beside them (see `with_labels`). Its pictures
    have the side of the masks.
    """
    width = gen.spec.resolution

    def run(params: Params, code: Tree, noise: Any, state: State, part: StepRange) -> Any:
        own = {name: x for name, x in state.items() if name != SCORE}
        score = state.get(SCORE, jnp.zeros(()))
        last = len(gen.steps) if part.last is None else part.last
        for index in range(part.first, last):
            own = gen.run(params, code, noise, own, StepRange(index, index + 1))
            score = score + likeness(params[LABELS], gen.steps[index], own["x"], labels.size)
        if part.last is not None:
            return {**own, SCORE: score}
        drawn = painted(score / len(gen.steps), labels.regions)
        grown = drawn if labels.size == width else resize(drawn, width)
        return area_reduce(grown, part.size)

    return gen._replace(run=run)


LABELS = "labels"  # their place in the parameters of a label generator


def with_labels(params: Params, labels: Labels) -> Params:
    """The parameters of a generator, for its `label_generator`."""
    arrays = {"references": labels.references, "mean": labels.mean, "std": labels.std}
    return {**params, LABELS: jax.tree.map(jnp.asarray, arrays)}


def likeness(held: Params, step: str, x: Array, size: int) -> Array:
    """Cosines [size, size, n] of the features x [h, w, c] of a step with its references."""
    seen = x if x.shape[0] <= size else area_reduce(x, size)
    seen = seen if seen.shape[0] == size else resize(seen, size)
    return _unit((seen - held["mean"][step]) / held["std"][step]) @ held["references"][step].T


def painted(score: Array, regions: int) -> Array:
    """Likeness [s, s, n] to all references as colours [s, s, 3]: each region by its most like."""
    best = jnp.max(score.reshape(*score.shape[:2], regions, -1), axis=-1)
    return jax.nn.softmax(SHARPNESS * best) @ jnp.asarray(COLOURS[:regions], jnp.float32)


def masks_of(gen: Generator, params: Params, labels: Labels, latents: Latents) -> np.ndarray:
    """The masks [B, size, size] that pictures [B, ...] of a generator get, numbers of regions."""
    latents, _ = check_latents(gen, params, latents, "latents")
    held = with_labels(params, labels)
    draw = jax.jit(partial(label_generator(gen, labels).synthesize, size=labels.size))
    drawn = np.stack([np.asarray(draw(held, one)) for one in samples_of(latents)])
    return regions_of(drawn, labels.regions)


def regions_of(pictures: np.ndarray, regions: int) -> np.ndarray:
    """The region [...] whose colour is nearest to each pixel [..., 3]."""
    apart = np.square(pictures[..., None, :] - COLOURS[:regions]).sum(-1)
    return apart.argmin(-1)


def from_masks(
    gen: Generator,
    params: Params,
    labels: Labels,
    masks: np.ndarray,
    *,
    preset: Preset | str = "semantic-synthesis",
    style: Latents | None = None,
    style_rows: Sequence[int] = (),
    **options: Any,
) -> Latents:
    """Latents [B, ...] of pictures that show regions where masks have them.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        labels: what tells regions in its pictures.
        masks: [B, n, n], numbers of regions.
        preset: the search; it compares masks as pictures, by their colours.
        style: of ONE picture whose `style_rows` all take in the end (rows 8 to 17 in that paper).
        style_rows: rows of w+.
        **options: of `invert`: `seed` and `restarts` give other pictures of the same masks.

    Raises:
        ValueError: masks of one region or of unknown ones, and as `invert` does.
    """
    check_generator(gen, params)
    asked = check_array("masks", masks, "iu", ", numbers of regions")
    if asked.ndim != 3 or asked.shape[1] != asked.shape[2] or not len(asked):
        raise ValueError(f"masks have shape {asked.shape}; allowed: [B, n, n]")
    if asked.min() < 0 or asked.max() >= labels.regions:
        raise ValueError(
            f"masks of regions {asked.min()} to {asked.max()}; allowed: 0 to {labels.regions - 1}"
        )
    for number, one in enumerate(asked):
        if (one == one[0, 0]).all():
            raise ValueError(f"mask {number} is region {one[0, 0]} alone; allowed: two or more")
    pictures = COLOURS[np.stack([nearest(one, labels.size) for one in asked])]
    drawn_by = label_generator(gen, labels), with_labels(params, labels)
    found = invert(*drawn_by, pictures.astype(np.float32), preset=preset, **options).latents
    if style is None:
        return found
    mixed = [mix(gen, params, one, style, style_rows) for one in samples_of(found)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *mixed)


def _labelled(masks: np.ndarray, count: int) -> np.ndarray:
    given = check_array("masks", masks, "iu", ", numbers of regions")
    if given.ndim != 3 or given.shape[1] != given.shape[2] or len(given) != count:
        raise ValueError(f"masks have shape {given.shape}; allowed: [{count}, n, n]")
    regions = int(given.max()) + 1
    if regions < 2 or regions > len(COLOURS):
        raise ValueError(f"masks of {regions} regions; allowed: 2 to {len(COLOURS)}")
    return given


def _places(
    masks: np.ndarray, regions: int, count: int, draws: np.random.Generator
) -> list[np.ndarray]:
    """The pixels of each region that are compared with: all for a prototype, else `count`."""
    held = [np.flatnonzero(masks == region) for region in range(regions)]
    if count == 1:
        return held
    return [draws.choice(one, count, replace=len(one) < count) for one in held]


def _unit(x: Any) -> Any:
    return x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-6)
