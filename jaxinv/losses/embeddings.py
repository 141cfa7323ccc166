"""Terms of what other nets see of a picture as a whole.

Such nets are converted ones, whose sizes are those of their arrays, or functions that come with
their arrays: `jax.tree_util.Partial(function, params)`, called with an image [h, w, 3].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jaxinv.losses.image_terms import FEATURE_DISTANCES, feature_key
from jaxinv.models.features.named_layers import shapes_of
from jaxinv.models.features.nets import build_net
from jaxinv.specs.vocabulary import GLOBAL_DISTANCES, LATENT_SPACES, OUTPUT

if TYPE_CHECKING:
    from jaxinv.losses.base import TermInputs
    from jaxinv.losses.image_terms import Layer
    from jaxinv.specs import Term
    from jaxinv.types import Array, Latents


def embed(name: str, net: Any, image: Array) -> dict[str, Array]:
    """All outputs of a net for an image [h, w, 3] in [-1, 1]; "output" stands for the picture.

    A grey image is three equal channels. Raises `ValueError` for arrays that are not of the net.
    """
    image = jnp.broadcast_to(image, (*image.shape[:2], 3))
    if callable(net):
        found: Any = net(image)
        return found if isinstance(found, dict) else {OUTPUT: found}
    built = build_net(name, shapes_of(net))
    taps = built.taps(net, image)
    return {**taps, OUTPUT: taps[built.output]}


def embedding(term: Term, layer: Layer) -> Array:
    """The term's distance of two outputs, each taken as one vector."""
    distance = FEATURE_DISTANCES[term.distance]
    if term.distance in GLOBAL_DISTANCES:
        return distance(layer.ours, layer.theirs)
    return distance(layer.ours.ravel(), layer.theirs.ravel())


def cycle_difference(term: Term, inputs: TermInputs) -> Array:
    """The code minus what the encoder sees in its picture (Zhu et al. 2020, IDInvert, eq. 5)."""
    return code_among(inputs.latents) - inputs.features[feature_key(term)][OUTPUT]


def code_among(latents: Latents) -> Array:
    """The code of latents, whatever its space."""
    return next(latents[space] for space in reversed(LATENT_SPACES) if space in latents)
