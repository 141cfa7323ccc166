"""Terms that act on unknowns, or on the render alone: what `Term` names, from `regularisers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.losses import regularizers
from jaxinv.losses.base import TermInputs
from jaxinv.models.generators.weight_deltas import differences
from jaxinv.models.statistics import STATISTICS, P, to_p
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import Term
    from jaxinv.types import Array, Params, Tree

WINDOW = 32  # side of the averaging windows of `checkerboard`, in details
MAX_DETAIL = 0.02  # amplitude up to which `checkerboard` counts a detail, on [-1, 1]


def autocorrelations(maps: tuple[Array, ...]) -> Array:
    """Mean products of every map with itself shifted by one pixel, along both axes.

    At all 2x-averaged levels down to 8 px; maps [r, r] with r a power of two.
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


def noise_autocorrelation(maps: tuple[Array, ...]) -> Array:
    """Sum of squared `autocorrelations` (Karras et al. 2020, StyleGAN2, appendix D, L_ij)."""
    return jnp.sum(jnp.square(autocorrelations(maps)))


def weak_haar_details(image: Array) -> Array:
    """Local averages of the finest Haar details of image [h, w, c], strong ones limited."""
    rows, columns, channels = image.shape[0] // 2, image.shape[1] // 2, image.shape[2]
    cells = image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, channels)
    a, b, c, d = cells[:, 0, :, 0], cells[:, 0, :, 1], cells[:, 1, :, 0], cells[:, 1, :, 1]
    details = jnp.concatenate([a + b - c - d, a - b + c - d, a - b - c + d], axis=-1)
    faint = MAX_DETAIL * jnp.tanh(details / (2 * MAX_DETAIL))
    return area_reduce(faint, max(min(faint.shape[:2]) // WINDOW, 1))


def checkerboard(image: Array) -> Array:
    """Mean square of local averages of the finest Haar details of image [h, w, c].

    The details of a photograph change sign from place to place and average out; those of a regular
    pattern of period 2 do not. Strong details (edges) are limited to `MAX_DETAIL`. Such a pattern
    is invisible to a loss on the image reduced by 2, where each cell is averaged.
    """
    return jnp.mean(jnp.square(weak_haar_details(image)))


def realism(term: Term, inputs: TermInputs, params: Params) -> Array:
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
    score = inputs.discriminator.scores(params, image[None], labels)[0]
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


def excess_over_margin(term: Term, inputs: TermInputs) -> Array:
    """How far every value is beyond the margin, [n]; of "row_spread", every deviation."""
    code = code_of(term, inputs.codes)
    if term.name == "row_spread":
        code = code - jnp.mean(code, axis=0)
    values = ravel_pytree(code)[0]
    return values - jnp.clip(values, -term.margin, term.margin) if term.margin else values


def displacement_from_init(term: Term, inputs: TermInputs) -> Array:
    """Every value's way from its start, [n]; by root n, unless the squares are to be summed."""
    start = ravel_pytree(code_of(term, inputs.start))[0]
    moved = flat_code(term, inputs) - jax.lax.stop_gradient(start)
    return moved if term.reduction == "sum" else moved / jnp.sqrt(moved.size)


def _mahalanobis(term: Term, inputs: TermInputs) -> Array:
    held = inputs.params[STATISTICS][P]
    p = to_p(inputs.latents[str(term.variable)])
    return regularizers.mahalanobis(p, held["mean"], held["axes"].T, held["scales"])


def _norm_from(term: Term, inputs: TermInputs) -> Array:
    mean = inputs.params[STATISTICS]["mean"]
    return regularizers.norm_from(inputs.latents[str(term.variable)], mean, term.power)


def _drift(term: Term, inputs: TermInputs) -> Array:
    found = differences(inputs.params, inputs.latents["weights"])
    return regularizers.drift(found, jax.tree.map(jnp.zeros_like, found), term.power)


PENALTIES: dict[str, Callable[[Term, TermInputs], Array]] = {
    "noise_autocorrelation": lambda term, inputs: noise_autocorrelation(inputs.latents["noise"]),
    "gaussian": lambda term, inputs: jnp.mean(jnp.square(excess_over_margin(term, inputs))),
    "row_spread": lambda term, inputs: jnp.mean(jnp.square(excess_over_margin(term, inputs))),
    "sparsity": lambda term, inputs: regularizers.l1(flat_code(term, inputs)),
    "anchor": lambda term, inputs: jnp.sum(jnp.square(displacement_from_init(term, inputs))),
    "mahalanobis": _mahalanobis,
    "norm_from": _norm_from,
    "delta_norm": lambda term, inputs: regularizers.delta_norm(inputs.latents["w+"]),
    "geocross": lambda term, inputs: regularizers.geocross(code_of(term, inputs.codes)),
    "residual_energy": lambda t, inputs: regularizers.residual_energy(inputs.latents["features"]),
    "drift": _drift,
}


def variable_term(term: Term, inputs: TermInputs) -> Array:
    """A penalty on the unknowns, a scalar."""
    return PENALTIES[term.name](term, inputs)
