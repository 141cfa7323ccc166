"""Terms of the objective: what is seen of an image, and how far two sightings are apart.

`extract_features` runs every view and every feature net once, whatever the number of terms; the
target is observed once per image, the render once per evaluation. `evaluate` sums the weighted
terms.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.losses import distances
from jaxinv.losses.base import Features, TermInputs
from jaxinv.losses.priors import checkerboard, realism, variable_term
from jaxinv.losses.views import apply_view, masked_mean, position_weights
from jaxinv.models.features.backbones import NETS
from jaxinv.solvers.schedules import schedule_value
from jaxinv.specs import Term, labels
from jaxinv.specs.term_kinds import IMAGE, VARIABLE
from jaxinv.specs.vocabulary import DISCRIMINATOR, GLOBAL_DISTANCES
from jaxinv.types import Array

if TYPE_CHECKING:
    from jaxinv.models.discriminators.base import Discriminator
    from jaxinv.types import Params

PIXELS = "pixels"
ATTENTION_SUFFIX = "/attention"  # behind the name of a step of a discriminator: its map


def feature_key(term: Term) -> str:
    """Name under which what `term` sees is filed: terms with one net and one view share it."""
    return f"{term.net or PIXELS}|{term.view}"


def layer_names(
    term: Term, discriminator: Discriminator | None = None, held: Container[str] = ()
) -> tuple[str, ...]:
    """Layers of the net that `term` compares; of "attention", those whose map is `held`."""
    if term.net is None:
        return (PIXELS,)
    if term.name == "lpips":
        return NETS[term.net].lpips
    steps = () if discriminator is None else discriminator.steps
    if term.name == "attention":
        return tuple(name for name in term.layers or steps if name + ATTENTION_SUFFIX in held)
    return steps[-term.last_layers :] if term.last_layers else term.layers


def locality_terms(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The image terms that terms of "locality" are, at another code."""
    return tuple(as_image_term(term) for term in terms if term.name == "locality")


def as_image_term(term: Term) -> Term:
    """The image term that a term of "locality" is."""
    return Term("lpips" if term.net else "mse", net=term.net, view=term.view)


def extract_features(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    image: Array,
    discriminator: Discriminator | None = None,
) -> Features:
    """Every sighting of image [h, w, 3] that the terms need; each net runs once per view.

    The net "discriminator" is `discriminator`, its parameters those of the generator.
    """
    wanted: dict[str, list[Term]] = {}
    for term in terms:
        if term.kind.family == IMAGE:
            wanted.setdefault(feature_key(term), []).append(term)
    return {name: _run_net(few, nets, image, discriminator) for name, few in wanted.items()}


def _run_net(
    terms: list[Term], nets: dict[str, Params], image: Array, discriminator: Discriminator | None
) -> dict[str, Array]:
    net, seen = terms[0].net, apply_view(image, terms[0].view)
    if net is None:
        return {PIXELS: seen}
    found = (
        _net_features(net, nets[net], seen)
        if net in NETS
        else _discriminator_features(discriminator, nets[net], seen)
    )
    kept = {layer for term in terms for layer in layer_names(term, discriminator, found)}
    kept |= {
        layer + ATTENTION_SUFFIX for term in terms if term.name == "attention" for layer in kept
    }
    return {layer: found[layer] for layer in sorted(kept.intersection(found))}


def _net_features(net: str, params: Params, image: Array) -> dict[str, Array]:
    """What the layers of a net say of an image [h, w, c]; to it, grey is three equal channels."""
    return NETS[net].taps(params, jnp.broadcast_to(image, (*image.shape[:2], 3)))


def _discriminator_features(
    discriminator: Discriminator | None, params: Params, image: Array
) -> dict[str, Array]:
    if discriminator is None:
        raise ValueError("terms of the discriminator need one")
    states = discriminator.features(params, image)
    maps = {
        name + ATTENTION_SUFFIX: x["attention"] for name, x in states.items() if "attention" in x
    }
    return {name: x["x"] for name, x in states.items()} | maps


def normalize_channels(features: Array) -> Array:
    """Features divided by their norm over channels; the constant keeps the gradient at 0 finite."""
    return features * lax.rsqrt(jnp.sum(features * features, axis=-1, keepdims=True) + 1e-20)


def _bce(a: Array, b: Array) -> Array:
    return distances.bce((a + 1) / 2, (b + 1) / 2)


Pair = Callable[[Array, Array], Array]
# Distances by position, of pixels and of features.
PIXELWISE: dict[str, Pair] = {
    "mse": distances.l2,
    "l1": distances.l1,
    "logcosh": distances.logcosh,
    "charbonnier": distances.charbonnier,
    "bce": _bce,
    "hog": distances.hog,
}
FEATUREWISE: dict[str, Pair] = {
    "l2": distances.l2,
    "l1": distances.l1,
    "cosine": distances.cosine,
}
GLOBAL: dict[str, Pair] = {"style": distances.style, "norm": distances.norm}


def image_term(
    term: Term,
    nets: dict[str, Params],
    pair: tuple[Features, Features],
    mask: Array | None,
    discriminator: Discriminator | None = None,
) -> Array:
    """Distance between the render's and the target's sighting, a scalar.

    Pixels on [-1, 1]: the mean over channels, averaged over positions ("hog": over cells). "lpips":
    squared difference of unit-normalised taps, weighted by the linear heads, averaged over space,
    summed over layers (Zhang et al. 2018, eq. 1). "features": the distance of each tap, summed over
    layers. "ms_ssim", "attention" and the distances "style" and "norm" compare all positions at
    once: there a mask fades both sides by its root, so that their squares are weighted by it.
    """
    ours, theirs = pair[0][feature_key(term)], pair[1][feature_key(term)]
    total = jnp.zeros(())
    for index, layer in enumerate(layer_names(term, discriminator, theirs)):
        a, b = ours[layer], theirs[layer]
        if term.name in ("ms_ssim", "attention") or term.distance in GLOBAL_DISTANCES:
            faded = _masked_pair(term, (a, b), mask)
            value = _global_distance(term, faded, theirs.get(layer + ATTENTION_SUFFIX))
        else:
            value = masked_mean(
                _by_position(term, nets, index)(a, b), mask, term.view, term.reduction
            )
        total = total + value
    return total


def _by_position(term: Term, nets: dict[str, Params], index: int) -> Pair:
    if term.name == "features":
        return FEATUREWISE[term.distance]
    if term.name != "lpips":
        return PIXELWISE[term.name]
    head = nets[term.net or ""][f"lin{index}"]
    return lambda a, b: jnp.square(normalize_channels(a) - normalize_channels(b)) @ head


def _masked_pair(term: Term, pair: tuple[Array, Array], mask: Array | None) -> tuple[Array, Array]:
    if mask is None:
        return pair
    weights = position_weights(mask, term.view, pair[0].shape)
    if term.distance == "style":  # a mean over the positions that count
        weights = weights / jnp.maximum(jnp.mean(weights), 1e-6)
    a, b = (x * jnp.sqrt(weights)[..., None] for x in pair)
    return a, b


def _global_distance(term: Term, pair: tuple[Array, Array], attention: Array | None) -> Array:
    if term.name == "ms_ssim":
        return distances.ms_ssim(*pair, term.scales)
    if term.name == "features" or attention is None:
        return GLOBAL[term.distance](*pair)
    rows, columns, _ = pair[0].shape
    attention_weights = distances.saliency(attention, (rows, columns))
    attention_weights = attention_weights if term.weighted else jnp.ones_like(attention_weights)
    attention_weights = (
        attention_weights[jnp.asarray(term.heads)] if term.heads else attention_weights
    )
    a, b = (x * attention_weights[..., None] for x in pair)
    return jnp.sum(jax.vmap(distances.norm)(a, b))


def render_term(term: Term, nets: dict[str, Params], inputs: TermInputs) -> Array:
    """A penalty on the render alone, a scalar."""
    if term.name == "checkerboard":
        return checkerboard(apply_view(inputs.image, term.view))
    return realism(term, inputs, nets[DISCRIMINATOR])


def weight_of(term: Term, progress: Array) -> Any:
    """The term's weight by its schedule at `progress` in [0, 1)."""
    if term.schedule.kind == "constant":
        return term.weight
    return term.weight * schedule_value(term.schedule, progress)


def evaluate(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    inputs: TermInputs,
    target: tuple[Features, Array | None],
    progress: Array,
) -> tuple[Array, dict[str, Array]]:
    """(weighted sum, value of each term before its floor and its weight, by label).

    `target` is what was seen of the target, and the mask [h, w, 1]; `progress` in [0, 1) drives the
    schedules of the weights. A term with a floor counts at least that (Menon et al. 2020, PULSE).
    """
    values = [_value(term, nets, inputs, target) for term in terms]
    total = jnp.zeros(())
    for term, value in zip(terms, values, strict=True):
        counted = distances.floor(value, term.floor) if term.floor else value
        total = total + weight_of(term, progress) * counted
    return total, dict(zip(labels(terms), values, strict=True))


def _value(
    term: Term, nets: dict[str, Params], inputs: TermInputs, target: tuple[Features, Array | None]
) -> Array:
    if term.kind.family == IMAGE:
        return image_term(term, nets, (inputs.features, target[0]), target[1], inputs.discriminator)
    if term.name == "locality":
        return image_term(as_image_term(term), nets, inputs.elsewhere_features, None)
    if term.kind.family == VARIABLE:
        return variable_term(term, inputs)
    return render_term(term, nets, inputs)
