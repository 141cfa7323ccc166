"""Terms of encoders in training alone: codes that are known or judged, what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.losses.base import Told
from jaxinv.losses.embeddings import embedding
from jaxinv.losses.image_terms import FEATURE_DISTANCES, feature_key, layer_names, layers_of
from jaxinv.specs.vocabulary import ALIGNER, CRITIC

if TYPE_CHECKING:
    from jaxinv.losses.base import Features, TermInputs
    from jaxinv.specs import Term
    from jaxinv.types import Array, Tree

YEARS = {"age": 100.0}  # what 1 of an attribute stands for, of outputs that are no shares


def from_known_code(term: Term, inputs: TermInputs) -> Array:
    """Mean over rows of the term's distance of the code from the known one."""
    ours, known = (some[str(term.variable)] for some in (inputs.latents, inputs.known))
    return jnp.mean(FEATURE_DISTANCES[term.distance](ours, known))


def code_realism(term: Term, inputs: TermInputs) -> Array:
    """Mean over rows of softplus(-score) of the critic of codes (Tov et al. 2021, section 4.2)."""
    critic: Any = inputs.nets[CRITIC]
    return jnp.mean(jax.nn.softplus(-critic(inputs.latents[str(term.variable)])))


def style_alignment(term: Term, inputs: TermInputs) -> Array:
    """How far the styles of the code point from those of random codes, summed over rows.

    Cao et al. 2022, LSAP, section 3.
    """
    aligner: Any = inputs.nets[ALIGNER]
    return aligner({str(term.variable): inputs.latents[str(term.variable)]})


def aside(term: Term, inputs: TermInputs) -> Array:
    """The term's distance of the second output of an encoder from what it should be, a mean.

    Of several, the sum of their means.
    """
    told = _told(inputs)
    return _of_all(term, told.aside, told.due)


def redrawn(term: Term, inputs: TermInputs) -> Array:
    """The term's distance of what layers make of their inverses from what they should, summed."""
    told = _told(inputs)
    return _of_all(term, told.redrawn, told.layers)


def _of_all(term: Term, ours: Tree, theirs: Tree) -> Array:
    distance = FEATURE_DISTANCES[term.distance]
    parts = jax.tree.map(lambda a, b: jnp.mean(distance(a, b)), ours, theirs)
    return sum(jax.tree.leaves(parts), jnp.zeros(()))


def identity(term: Term, inputs: TermInputs) -> Array:
    """An "embedding" compared with that of the picture of whom it is to show.

    Nitzan et al. 2020, section 3.2.
    """
    inputs = inputs._replace(target=_told(inputs).identity)
    return sum((embedding(term, layer) for layer in layers_of(term, inputs)), jnp.zeros(()))


def counted(term: Term, inputs: TermInputs, value: Array) -> Array:
    """A term's value, times how much the sample counts for its `when`."""
    return _told(inputs).counts[term.when] * value if term.when else value


def attribute_of(term: Term, features: Features) -> Array:
    """The attribute in [0, 1] that the term's net sees in a picture: the mean of its outputs."""
    seen = features[feature_key(term)]
    parts = [jnp.mean(seen[name]) / YEARS.get(name, 1.0) for name in layer_names(term)]
    return jnp.mean(jnp.stack(parts))


def attribute(term: Term, inputs: TermInputs) -> Array:
    """The squared distance of the picture's attribute from the one asked for."""
    return jnp.square(attribute_of(term, inputs.features) - _told(inputs).attribute)


def embedding_at_gap(term: Term, inputs: TermInputs) -> Array:
    """An "embedding" that counts (3 + cos(pi gap)) / 4 at a gap between two attributes.

    Between the one asked for and the picture's own, also on the way back (Alaluf et al. 2021, SAM,
    section 3.3).
    """
    share = 0.75 + 0.25 * jnp.cos(jnp.pi * _told(inputs).gap)
    distance = sum((embedding(term, layer) for layer in layers_of(term, inputs)), jnp.zeros(()))
    return share * distance


def _told(inputs: TermInputs) -> Told:
    return inputs.told or Told()
