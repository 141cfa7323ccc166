"""Losses that are sums of squares, as vectors: what Gauss-Newton and Levenberg-Marquardt lower."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.losses.priors import (
    autocorrelations,
    displacement_from_init,
    excess_over_margin,
    weak_haar_details,
)
from jaxinv.losses.terms import feature_key, layer_names, normalize_channels, weight_of
from jaxinv.losses.views import apply_view, position_weights
from jaxinv.models.generators.weight_deltas import differences
from jaxinv.models.statistics import STATISTICS, P, to_p

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.losses.base import Features, TermInputs
    from jaxinv.specs import Term
    from jaxinv.types import Array, Params, Tree

IMAGES = ("mse", "lpips", "features")


def _mean(tree: Tree) -> Array:
    """Values whose squares add up to the mean square of all values of a tree."""
    values = ravel_pytree(tree)[0]
    return values / math.sqrt(values.size)


def _mahalanobis(term: Term, inputs: TermInputs) -> Array:
    held = inputs.params[STATISTICS][P]
    p = to_p(inputs.latents[str(term.variable)])
    return _mean((p - held["mean"]) @ held["axes"] / held["scales"])


def _norm_from(term: Term, inputs: TermInputs) -> Array:
    value: Array = inputs.latents[str(term.variable)]
    return (value - inputs.params[STATISTICS]["mean"]).ravel()


def _energy(term: Term, inputs: TermInputs) -> Array:
    del term
    return jnp.concatenate([_mean(x) for x in inputs.latents["features"].values()])


VECTORS: dict[str, Callable[[Term, TermInputs], Array]] = {
    "checkerboard": lambda term, inputs: _mean(
        weak_haar_details(apply_view(inputs.image, term.view))
    ),
    "noise_autocorrelation": lambda term, inputs: autocorrelations(inputs.latents["noise"]),
    "gaussian": lambda term, inputs: _mean(excess_over_margin(term, inputs)),
    "row_spread": lambda term, inputs: _mean(excess_over_margin(term, inputs)),
    "anchor": displacement_from_init,
    "mahalanobis": _mahalanobis,
    "norm_from": _norm_from,
    "residual_energy": _energy,
    "drift": lambda term, inputs: _mean(differences(inputs.params, inputs.latents["weights"])),
}


def are_squares(terms: tuple[Term, ...]) -> bool:
    """Whether the weighted sum of `terms` is a sum of squares that `residuals` can give."""
    return all(
        term.name in (*IMAGES, *VECTORS)
        and term.distance == "l2"
        and not term.floor
        and term.power != 1
        for term in terms
    )


def residuals(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    inputs: TermInputs,
    target: tuple[Features, Array | None],
    progress: Array,
) -> Array:
    """The vector [m] whose squared norm is the loss of `losses.evaluate`, of the same arguments.

    Only for terms that `are_squares`, and masks that are nowhere negative.
    """
    parts: list[Array] = []
    for term in terms:
        images = term.name in IMAGES
        part = _image(term, nets, inputs, target) if images else VECTORS[term.name](term, inputs)
        parts.append(jnp.sqrt(weight_of(term, progress)) * part)
    return jnp.concatenate(parts)


def _image(
    term: Term, nets: dict[str, Params], inputs: TermInputs, target: tuple[Features, Array | None]
) -> Array:
    ours, theirs = inputs.features[feature_key(term)], target[0][feature_key(term)]
    parts: list[Array] = []
    for index, layer in enumerate(layer_names(term, inputs.discriminator, theirs)):
        a, b = ours[layer], theirs[layer]
        if term.name == "lpips":
            head = nets[term.net or ""][f"lin{index}"]
            apart = (normalize_channels(a) - normalize_channels(b)) * jnp.sqrt(
                jnp.maximum(head, 0.0)
            )
        else:
            apart = (a - b) / math.sqrt(a.shape[-1])
        parts.append((apart * jnp.sqrt(_weights(term, a.shape, target[1]))).ravel())
    return jnp.concatenate(parts)


def _weights(term: Term, shape: tuple[int, ...], mask: Array | None) -> Array:
    """What every position [h, w, 1] counts in the term's average or sum."""
    summed = term.reduction == "sum"
    if mask is None:
        return jnp.full((1, 1, 1), 1.0 if summed else 1 / (shape[0] * shape[1]))
    weights = position_weights(mask, term.view, shape)
    return (weights if summed else weights / jnp.maximum(jnp.sum(weights), 1e-6))[..., None]
