"""Terms of the objective: what is seen of an image, and how far two sightings are apart.

`observe` runs every view and every feature net once, whatever the number of terms; the target is
observed once per image, the render once per evaluation. `evaluate` sums the weighted terms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from jaxinv.features.trunks import NETS
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.solvers.base import factor
from jaxinv.specs import labels
from jaxinv.vocabulary import IMAGE_TERMS

if TYPE_CHECKING:
    from jaxinv.specs import Term, View
    from jaxinv.types import Array, Latents, Params

Seen = dict[str, dict[str, "Array"]]
PIXELS = "pixels"
WINDOW = 32  # side of the averaging windows of `weave`, in details
FAINT = 0.02  # amplitude up to which `weave` counts a detail, on [-1, 1]


class Sample(NamedTuple):
    """What the terms are told of one lane: codes, latents, the render, and what was seen of it."""

    codes: dict[str, Array]
    latents: Latents
    image: Array
    seen: Seen


def sighting(term: Term) -> str:
    """Name under which what `term` sees is filed: terms with one net and one view share it."""
    return f"{term.net or PIXELS}|{term.view.size}|{term.view.crop}"


def taps(term: Term) -> tuple[str, ...]:
    """Layers of the net that `term` compares."""
    if term.net is None:
        return (PIXELS,)
    return term.layers if term.name == "features" else NETS[term.net].lpips


def look(image: Array, view: View) -> Array:
    """The part of image [h, w, c] that a view shows, at the view's size (never enlarged)."""
    (top, bottom), (left, right) = window(view, image.shape[:2])
    return area_reduce(image[top:bottom, left:right], seen_shape(view, image.shape[:2]))


def seen_shape(view: View, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of what the view shows of an image [h, w]."""
    (top, bottom), (left, right) = window(view, shape)
    sides = (bottom - top, right - left)
    if view.size is None or view.size >= min(sides):
        return sides
    return (round(sides[0] * view.size / min(sides)), round(sides[1] * view.size / min(sides)))


def window(view: View, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last pixel, along both axes, of the view's crop of an image [h, w]."""
    crop = view.crop or (0.0, 0.0, 1.0, 1.0)
    pairs = zip(crop[:2], crop[2:], shape, strict=True)
    return [(round(start * side), round((start + span) * side)) for start, span, side in pairs]


def observe(terms: tuple[Term, ...], nets: dict[str, Params], image: Array) -> Seen:
    """Every sighting of image [h, w, 3] that the terms need; each net runs once per view."""
    wanted: dict[str, tuple[Term, set[str]]] = {}
    for term in terms:
        if term.name in IMAGE_TERMS:
            wanted.setdefault(sighting(term), (term, set()))[1].update(taps(term))
    return {name: _pick(term, layers, nets, image) for name, (term, layers) in wanted.items()}


def _pick(term: Term, layers: set[str], nets: dict[str, Params], image: Array) -> dict[str, Array]:
    seen = look(image, term.view)
    found = {PIXELS: seen} if term.net is None else NETS[term.net].taps(nets[term.net], seen)
    return {layer: found[layer] for layer in sorted(layers)}


def unit(features: Array) -> Array:
    """Features divided by their norm over channels; the constant keeps the gradient at 0 finite."""
    return features * lax.rsqrt(jnp.sum(features * features, axis=-1, keepdims=True) + 1e-20)


def average(values: Array, mask: Array | None, view: View, reduction: str) -> Array:
    """Mean (or sum) over [h, w], weighted by the mask [h', w', 1] as seen through the same view."""
    if mask is not None:
        weights = resize(look(mask, view), (values.shape[0], values.shape[1]))[..., 0]
        mean = jnp.sum(values * weights) / jnp.maximum(jnp.sum(weights), 1e-6)
    else:
        mean = jnp.mean(values)
    return mean * (values.size if reduction == "sum" else 1)


def image_term(
    term: Term, nets: dict[str, Params], pair: tuple[Seen, Seen], mask: Array | None
) -> Array:
    """Distance between the render's and the target's sighting, a scalar.

    "mse", "l1": mean over channels and pixels on [-1, 1]. "lpips": squared difference of
    unit-normalised taps, weighted by the linear heads, averaged over space, summed over layers
    (Zhang et al. 2018, eq. 1). "features": mean squared difference of each tap, summed over layers.
    """
    ours, theirs = pair[0][sighting(term)], pair[1][sighting(term)]
    total = jnp.zeros(())
    for index, layer in enumerate(taps(term)):
        a, b = ours[layer], theirs[layer]
        if term.name == "lpips":
            head = nets[term.net or ""][f"lin{index}"]
            values = jnp.square(unit(a) - unit(b)) @ head
        elif term.name == "l1":
            values = jnp.mean(jnp.abs(a - b), axis=-1)
        else:
            values = jnp.mean(jnp.square(a - b), axis=-1)
        total = total + average(values, mask, term.view, term.reduction)
    return total


def noise_autocorrelation(maps: tuple[Array, ...]) -> Array:
    """Squared mean product of every map with itself shifted by one pixel.

    Summed over both axes and over all 2x-averaged levels down to 8 px (Karras et al. 2020,
    StyleGAN2, appendix D, equation for L_ij); maps [r, r] with r a power of two.
    """
    total = jnp.zeros(())
    for full in maps:
        level = full
        while True:
            for axis in (0, 1):
                total = total + jnp.square(jnp.mean(level * jnp.roll(level, 1, axis)))
            if level.shape[0] <= 8:
                break
            level = area_reduce(level[..., None], level.shape[0] // 2)[..., 0]
    return total


def weave(image: Array) -> Array:
    """Mean square of local averages of the finest Haar details of image [h, w, c].

    The details of a photograph change sign from place to place and average out; those of a regular
    pattern of period 2 do not. Strong details (edges) are limited to `FAINT`. Such a pattern is
    invisible to a loss on the image reduced by 2, where each cell is averaged.
    """
    rows, columns, channels = image.shape[0] // 2, image.shape[1] // 2, image.shape[2]
    cells = image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, channels)
    a, b, c, d = cells[:, 0, :, 0], cells[:, 0, :, 1], cells[:, 1, :, 0], cells[:, 1, :, 1]
    details = jnp.concatenate([a + b - c - d, a - b + c - d, a - b - c + d], axis=-1)
    faint = FAINT * jnp.tanh(details / (2 * FAINT))
    return jnp.mean(jnp.square(area_reduce(faint, max(min(faint.shape[:2]) // WINDOW, 1))))


def variable_term(term: Term, sample: Sample) -> Array:
    """A penalty on the render or on the unknowns, a scalar."""
    if term.name == "weave":
        return weave(look(sample.image, term.view))
    if term.name == "noise_autocorrelation":
        return noise_autocorrelation(sample.latents["noise"])
    code = sample.codes[str(term.variable)]
    if term.rows is not None:
        code = code[term.rows[0] : term.rows[1]]
    if term.part is not None:
        first, last = (round(edge * len(code)) for edge in term.part)
        code = code[min(first, len(code) - 1) : last]
    if term.name == "row_spread":
        code = code - jnp.mean(code, axis=0)
    excess = jnp.maximum(jnp.abs(ravel_pytree(code)[0]) - term.margin, 0.0)
    return jnp.mean(jnp.square(excess))


def evaluate(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    sample: Sample,
    aim: tuple[Seen, Array | None],
    progress: Array,
) -> tuple[Array, dict[str, Array]]:
    """(weighted sum, value of each term before its weight, by label).

    `aim` is what was seen of the target, and the mask [h, w, 1]; `progress` in [0, 1) drives the
    schedules of the weights.
    """
    target, mask = aim
    values = [
        image_term(term, nets, (sample.seen, target), mask)
        if term.name in IMAGE_TERMS
        else variable_term(term, sample)
        for term in terms
    ]
    total = jnp.zeros(())
    for term, value in zip(terms, values, strict=True):
        weight: Any = term.weight
        if term.schedule.kind != "constant":
            weight = weight * factor(term.schedule, progress)
        total = total + weight * value
    return total, dict(zip(labels(terms), values, strict=True))
