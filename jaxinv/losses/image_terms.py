"""Terms that compare the render with the target, layer by layer of what a net sees of them.

Pixels are one layer, of images on [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.losses import distances
from jaxinv.losses.base import TermFunctions, TermInputs
from jaxinv.losses.views import masked_mean, named_mask, position_weights
from jaxinv.models.features.backbones import NETS
from jaxinv.specs.vocabulary import EMBEDDERS, GLOBAL_DISTANCES, LPIPS_LAYERS, OUTPUT
from jaxinv.types import Array

if TYPE_CHECKING:
    from jaxinv.models.discriminators.base import Discriminator
    from jaxinv.specs import Term
    from jaxinv.types import Params

PIXELS = "pixels"
ATTENTION_SUFFIX = "/attention"  # behind the name of a step of a discriminator: its map


def smallest_side(net: str) -> int:
    """Side in px of the smallest image that a net can look at; converted nets enlarge theirs."""
    return NETS[net].smallest if net in NETS else 1


class Layer(NamedTuple):
    """Features [h, w, c] of the render and of the target, and more that belongs to the layer.

    `mask` [h', w', 1]: that of the image; `their_mask` the target's, where it has its own; `head`
    [c]: the linear weights of LPIPS; `attention`: the target's map, behind an attention.
    """

    ours: Array
    theirs: Array
    mask: Array | None
    head: Any
    attention: Any
    their_mask: Array | None = None


Pair = Callable[[Array, Array], Array]
Comparison = Callable[["Term", Layer], Array]


def feature_key(term: Term) -> str:
    """Name of the features that `term` compares: terms with one net and one view share them."""
    return f"{term.net or PIXELS}|{term.view}"


def target_key(term: Term) -> str:
    """Name of the target's features that `term` compares: those of the picture that it names."""
    return named_key(feature_key(term), term.target)


def named_key(key: str, target: str) -> str:
    """Name of the features `key` of the picture called `target`; of the image itself, the same."""
    return f"{key}|{target}" if target else key


def layer_names(
    term: Term, discriminator: Discriminator | None = None, known: Container[str] = ()
) -> tuple[str, ...]:
    """Layers of the net that `term` compares; of "attention", those whose map is `known`."""
    if term.net is None:
        return (PIXELS,)
    if term.net in EMBEDDERS:
        return term.layers or (OUTPUT,)
    steps = () if discriminator is None else discriminator.steps
    if term.kind.attention:
        return tuple(name for name in term.layers or steps if name + ATTENTION_SUFFIX in known)
    if term.last_layers:
        return steps[-term.last_layers :]
    return term.layers or NETS[term.net].lpips


def layers_of(term: Term, inputs: TermInputs) -> Iterator[Layer]:
    """Every layer that an image term compares."""
    ours, theirs = inputs.features[feature_key(term)], inputs.target[target_key(term)]
    net: Params = inputs.nets[term.net] if term.net in NETS else {}
    heads = {
        name: net.get(f"lin{i}") for i, name in enumerate(LPIPS_LAYERS.get(term.net or "", ()))
    }
    own = term.target_mask
    mask = named_mask(inputs.named_masks, own) if own else inputs.mask
    for name in layer_names(term, inputs.discriminator, theirs):
        attention = theirs.get(name + ATTENTION_SUFFIX)
        yield Layer(ours[name], theirs[name], inputs.mask, heads.get(name), attention, mask)


def over_layers(compare: Comparison, difference: Comparison | None = None) -> TermFunctions:
    """The loss that adds up a scalar of every layer.

    difference: -> [h, w, c], whose squares add up, over channels, to what `compare` averages.
    """

    def value(term: Term, inputs: TermInputs) -> Array:
        return sum((compare(term, layer) for layer in layers_of(term, inputs)), jnp.zeros(()))

    vector = None if difference is None else partial(_layer_residuals, difference)
    return TermFunctions(value, vector)


def _layer_residuals(difference: Comparison, term: Term, inputs: TermInputs) -> Array:
    parts: list[Array] = []
    for layer in layers_of(term, inputs):
        weights = _mean_weights(term, layer.ours.shape, layer.mask)
        parts.append((difference(term, layer) * jnp.sqrt(weights)).ravel())
    return jnp.concatenate(parts)


def _mean_weights(term: Term, shape: tuple[int, ...], mask: Array | None) -> Array:
    """What every position [h, w, 1] counts in the term's average or sum."""
    summed = term.reduction == "sum"
    if mask is None:
        return jnp.full((1, 1, 1), 1.0 if summed else 1 / (shape[0] * shape[1]))
    weights = position_weights(mask, term.view, shape)
    return (weights if summed else weights / jnp.maximum(jnp.sum(weights), 1e-6))[..., None]


def averaged(compare: Comparison) -> Comparison:
    """The mean (or sum) of a comparison -> [h, w] over positions, weighted by the mask."""
    return lambda term, layer: masked_mean(
        compare(term, layer), layer.mask, term.view, term.reduction
    )


def faded(compare: Comparison) -> Comparison:
    """A comparison of all positions at once -> a scalar.

    A mask fades both sides by its root, so that their squares are weighted by it.
    """

    def faded_compare(term: Term, layer: Layer) -> Array:
        ours = _fade(term, layer.ours, layer.mask)
        theirs = _fade(term, layer.theirs, layer.their_mask)
        return compare(term, layer._replace(ours=ours, theirs=theirs))

    return faded_compare


def _fade(term: Term, features: Array, mask: Array | None) -> Array:
    if mask is None:
        return features
    weights = position_weights(mask, term.view, features.shape)
    if term.distance in ("style", "appearance"):  # a mean over the positions that count
        weights = weights / jnp.maximum(jnp.mean(weights), 1e-6)
    weights = weights if term.distance == "appearance" else jnp.sqrt(weights)
    return features * weights[..., None]


def by(distance: Pair) -> Comparison:
    """The average of a distance of two arrays by position."""
    return averaged(lambda term, layer: distance(layer.ours, layer.theirs))


def mean_difference(term: Term, layer: Layer) -> Array:
    """The difference, whose squares add up to their mean over channels."""
    del term
    return (layer.ours - layer.theirs) / math.sqrt(layer.ours.shape[-1])


def normalize_channels(features: Array) -> Array:
    """Features divided by their norm over channels; the constant keeps the gradient at 0 finite."""
    return features * lax.rsqrt(jnp.sum(features * features, axis=-1, keepdims=True) + 1e-20)


def lpips(term: Term, layer: Layer) -> Array:
    """Squared difference of normalised features, times the head (Zhang et al. 2018, eq. 1)."""
    del term
    apart = normalize_channels(layer.ours) - normalize_channels(layer.theirs)
    return jnp.square(apart) @ layer.head


def lpips_difference(term: Term, layer: Layer) -> Array:
    """The difference whose squares add up to `lpips` over channels."""
    del term
    apart = normalize_channels(layer.ours) - normalize_channels(layer.theirs)
    return apart * jnp.sqrt(jnp.maximum(layer.head, 0.0))


FEATURE_DISTANCES: dict[str, Pair] = {
    "l2": distances.l2,
    "l1": distances.l1,
    "cosine": distances.cosine,
    "style": distances.style,
    "appearance": distances.appearance,
    "norm": distances.norm,
}


def features(term: Term, layer: Layer) -> Array:
    """The term's distance of features, averaged over positions or of all positions at once."""
    reduced = faded if term.distance in GLOBAL_DISTANCES else averaged
    distance = FEATURE_DISTANCES[term.distance]
    return reduced(lambda term, layer: distance(layer.ours, layer.theirs))(term, layer)


def attention(term: Term, layer: Layer) -> Array:
    """Norms of the difference where each head attends, added up (Daras et al. 2020, YLG)."""
    rows, columns, _ = layer.ours.shape
    weights = distances.saliency(layer.attention, (rows, columns))
    weights = weights if term.weighted else jnp.ones_like(weights)
    weights = weights[jnp.asarray(term.heads)] if term.heads else weights
    a, b = (x * weights[..., None] for x in layer[:2])
    return jnp.sum(jax.vmap(distances.norm)(a, b))
