"""Terms that act on unknowns, or on the render alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.losses import regularizers
from jaxinv.losses.base import TermInputs
from jaxinv.models.generators.weight_deltas import differences
from jaxinv.models.statistics import STATISTICS, P, to_p
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.specs.vocabulary import DISCRIMINATOR

if TYPE_CHECKING:
    from jaxinv.specs import Term
    from jaxinv.types import Array, Tree

WINDOW = 32  # side of the averaging windows of "checkerboard", in details
MAX_DETAIL = 0.02  # amplitude up to which "checkerboard" counts a detail, on [-1, 1]


def autocorrelations(maps: tuple[Array, ...]) -> Array:
    """Mean products of every noise map with itself shifted by one pixel, along both axes.

    At all 2x-averaged levels down to 8 px; maps [r, r] with r a power of two. The sum of their
    squares is the noise regulariser of Karras et al. 2020, StyleGAN2, appendix D, L_ij.
    """
    found: list[Array] = []
    for full in maps:
        level = full
        while True:
            found += [jnp.mean(level * jnp.roll(level, 1, axis)) for axis in (0, 1)]
            if level.shape[0] <= 8:
                break
            level = area_reduce(level[..., None], level.shape[0] // 2)[..., 0]
    return jnp.stack(found)


def weak_haar_details(image: Array) -> Array:
    """Local averages of the finest Haar details of image [h, w, c], strong ones limited.

    The details of a photograph change sign from place to place and average out; those of a regular
    pattern of period 2 do not. Strong details (edges) are limited to `MAX_DETAIL`. Such a pattern
    is invisible to a loss on the image reduced by 2, where each cell is averaged.
    """
    rows, columns, channels = image.shape[0] // 2, image.shape[1] // 2, image.shape[2]
    cells = image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, channels)
    a, b, c, d = cells[:, 0, :, 0], cells[:, 0, :, 1], cells[:, 1, :, 0], cells[:, 1, :, 1]
    details = jnp.concatenate([a + b - c - d, a - b + c - d, a - b - c + d], axis=-1)
    faint = MAX_DETAIL * jnp.tanh(details / (2 * MAX_DETAIL))
    return area_reduce(faint, max(min(faint.shape[:2]) // WINDOW, 1))


def moved_detail(term: Term, inputs: TermInputs) -> Array:
    """How far the render [h, w, 3] is from the stage's first, without what `cutoff` px can hold.

    Zeros where the render has no more pixels than that. What a target of `cutoff` px a side does
    not show is then left as the pivot draws it, while weights are tuned to what it shows.
    """
    if inputs.pivot is None:
        raise ValueError(f"term {term.label!r} needs the picture with which the stage starts")
    moved, side = inputs.image - inputs.pivot, term.cutoff or inputs.image.shape[0]
    return moved - resize(area_reduce(moved, min(side, moved.shape[0])), moved.shape[0])


def realism(term: Term, inputs: TermInputs) -> Array:
    """softplus(-score) of the render, by itself, or -score (`term.critic`).

    The non-saturating loss of a generator (Goodfellow et al. 2014, section 3), as Zhu et al. 2016
    and Anirudh et al. 2020 (MimicGAN) keep inversions real. Conditional discriminators need a
    "label" among the latents; `ValueError` without one.
    """
    if inputs.discriminator is None:
        raise ValueError(f"term {term.label!r} needs a discriminator")
    image = inputs.image if inputs.render is None else inputs.render
    label = inputs.latents.get("label")
    labels = None if label is None else label[None]
    score = inputs.discriminator.scores(inputs.nets[DISCRIMINATOR], image[None], labels)[0]
    return -score if term.critic else jax.nn.softplus(-score)


def code_of(term: Term, codes: dict[str, Tree]) -> Tree:
    """The code of the term's variable, or those of its rows that the term is about."""
    code = codes[str(term.variable)]
    if term.rows is not None:
        code = code[term.rows[0] : term.rows[1]]
    if term.row_range is not None:
        first, last = (round(edge * len(code)) for edge in term.row_range)
        code = code[min(first, len(code) - 1) : last]
    return code


def flat_code(term: Term, inputs: TermInputs) -> Array:
    """All values of the term's code, [n]."""
    return ravel_pytree(code_of(term, inputs.codes))[0]


def beyond_margin(term: Term, code: Tree) -> Array:
    """How far every value of a code is beyond the term's margin, [n]."""
    values = ravel_pytree(code)[0]
    return values - jnp.clip(values, -term.margin, term.margin) if term.margin else values


def row_deviations(term: Term, inputs: TermInputs) -> Array:
    """How far every row's deviation from the mean of the rows is beyond the margin, [n]."""
    code = code_of(term, inputs.codes)
    return beyond_margin(term, code - jnp.mean(code, axis=0))


def displacement_from_init(term: Term, inputs: TermInputs) -> Array:
    """Every value minus its start, [n]; by root n, unless the squares are to be summed."""
    start = ravel_pytree(code_of(term, inputs.start))[0]
    moved = flat_code(term, inputs) - jax.lax.stop_gradient(start)
    return moved if term.reduction == "sum" else moved / jnp.sqrt(moved.size)


def p_coordinates(term: Term, inputs: TermInputs) -> Array:
    """The code in P_N [rows, k]: its principal coordinates among all codes of P."""
    stats = inputs.params[STATISTICS][P]
    p = to_p(inputs.latents[str(term.variable)])
    return regularizers.principal_coordinates(p, stats["mean"], stats["axes"], stats["scales"])


def from_mean_of_w(term: Term, inputs: TermInputs) -> Array:
    """The code minus the mean of W, [rows, d] or [d]."""
    return inputs.latents[str(term.variable)] - inputs.params[STATISTICS]["mean"]


def weight_changes(inputs: TermInputs) -> list[Array]:
    """What every array of weights that changes gains."""
    return differences(inputs.params, inputs.latents["weights"])
