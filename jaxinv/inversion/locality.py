"""What changed weights draw elsewhere: the renders that term "locality" compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.latents.sampling import truncate
from jaxinv.latents.spaces import SPACES
from jaxinv.losses.terms import extract_features, locality_terms
from jaxinv.nn.resample import area_reduce
from jaxinv.specs.vocabulary import CLASSES

if TYPE_CHECKING:
    from jaxinv.inversion.problem import NetworkParams, Problem
    from jaxinv.losses.base import Features
    from jaxinv.types import Array, Key, Latents

LOCALITY_TRUNCATION = 0.5  # truncation of the random w of "locality"
LOCALITY_KEY = 1  # folded into a step's key for that w


def locality_features(
    problem: Problem, weights: NetworkParams, latents: Latents, key: Key
) -> tuple[Features, Features]:
    """What changed weights and unchanged ones draw at one other code, as "locality" sees it.

    The code is the lane's, moved by the term's radius towards a random w, half way from the mean
    of W (Roich et al. 2021, PTI, section 3.3, and its code's truncation).
    """
    looks = locality_terms(problem.stage.terms)
    if not looks:
        return {}, {}
    gen, params = problem.gen, weights.params
    name = "w+" if "w+" in latents else "w"
    if name not in latents:
        raise ValueError(f"term 'locality' with codes {', '.join(latents)}; allowed: w, w+")
    named = {one: latents[one] for one in CLASSES if one in latents}
    here = jax.lax.stop_gradient(latents[name])
    w: Array = SPACES["w"].sample(gen, params, jax.random.fold_in(key, LOCALITY_KEY), named)
    step = truncate(params, w, LOCALITY_TRUNCATION) - here
    rows = gen.spec.rows if name == "w" else 1
    length = jnp.sqrt(rows * jnp.sum(jnp.square(step)))
    radius = next(term.radius for term in problem.stage.terms if term.name == "locality")
    there = here + radius * step / length
    pair: list[Features] = []
    for kept in ({"weights": latents["weights"]}, {}):
        image = gen.synthesize(params, {name: there, **kept}, problem.render_size)
        pair.append(
            extract_features(looks, weights.feature_params, area_reduce(image, problem.size))
        )
    return pair[0], jax.lax.stop_gradient(pair[1])
