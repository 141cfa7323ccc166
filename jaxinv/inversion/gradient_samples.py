"""What all statistics of a loss are computed from: gradients near random pictures of a generator.

Of every random picture are kept the gradient that pulls a code nearby towards it, what the picture
looks like, and its code. Few are enough, because the rest is known from the weights (see
`curvature`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders.ridge_regression import features_of
from jaxinv.inversion.objective import Objective
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.io.progress import track
from jaxinv.latents.spaces import decode, draw_prior, encode
from jaxinv.losses.terms import extract_features
from jaxinv.models.compilation import Program
from jaxinv.specs import Stage, Variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Term
    from jaxinv.types import Array, Key

SAMPLES = 24
AT_ONCE = 4  # samples of one call: asking for the memory of each anew takes a third of its time
SIZE = 256
SEED = 0
WHITE = Variable("w+", codec="whiten")
# How far from the picture's code gradients are taken, in standard deviations of W: up to `COMMON`
# in all rows together, and `SINGLE` in each row by itself.
COMMON, SINGLE = 0.8, 0.5
WEIGHT_STEP = 4.0


class Samples(NamedTuple):
    """Of n pictures: gradients [n, rows, d] and codes [n, d] in whitened W, features by group."""

    gradients: np.ndarray
    codes: np.ndarray
    features: dict[str, np.ndarray]


def rounded(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The terms with weights relative to the largest, rounded to powers of `WEIGHT_STEP`.

    So a changed weight changes what is measured only where it changes much.
    """
    largest = max(abs(term.weight) for term in terms) or 1.0

    def near(weight: float) -> float:
        share = abs(weight) / largest
        return WEIGHT_STEP ** round(math.log(share, WEIGHT_STEP)) if share else 0.0

    return tuple(
        replace(term, weight=math.copysign(near(term.weight), term.weight)) for term in terms
    )


def measure(
    gen: Generator,
    weights: NetworkParams,
    terms: tuple[Term, ...],
    seen_by: tuple[str, ...],
    report: Callable[[str], object] | None = None,
) -> Samples:
    """`SAMPLES` gradients of the terms, a few in every call, at no more than `SIZE` px.

    Features are of pixels and of the nets in `seen_by`. Lines about the progress go to `report`.
    """
    problem = Problem(gen, Stage((WHITE,), terms, steps=1), min(SIZE, gen.spec.resolution), 1)
    keys = jax.random.split(jax.random.key(SEED), SAMPLES)
    calls = keys.reshape(-1, math.gcd(SAMPLES, AT_ONCE))
    label = f"measuring gradients of {gen.spec.name}"
    found = [
        jax.device_get(samples(problem, seen_by, weights, few))
        for few in track(calls, SAMPLES, label, report, each=calls.shape[1])
    ]
    return Samples(*jax.tree.map(lambda *parts: np.concatenate(parts), *found))


@partial(Program, static_argnums=(0, 1))
def samples(
    problem: Problem, seen_by: tuple[str, ...], weights: NetworkParams, keys: Key
) -> tuple[Array, Array, dict[str, Array]]:
    """`sample` of every key [n], one after the other."""
    return jax.lax.map(partial(sample, problem, seen_by, weights), keys)


def sample(
    problem: Problem, seen_by: tuple[str, ...], weights: NetworkParams, key: Key
) -> tuple[Array, Array, dict[str, Array]]:
    """(gradient [rows, d], code [d], features by group) of one random picture."""
    gen, params = problem.gen, weights.params
    drawn, common, single, reach = jax.random.split(key, 4)
    answer = encode(gen, params, WHITE, draw_prior(gen.spec, drawn))
    image = gen.synthesize(params, {"w+": decode(params, WHITE, answer)}, problem.size)
    shift = COMMON * jax.random.uniform(reach) * jax.random.normal(common, answer.shape[1:])
    code = answer + shift + SINGLE * jax.random.normal(single, answer.shape)
    seen = extract_features(problem.stage.terms, weights.nets, image)
    lane = Lane(seen, None, key, jnp.zeros((), jnp.int32), {})
    loss: Any = Objective(problem, weights, lane, jnp.zeros(()))
    gradient = jax.grad(lambda u: loss({"w+": u}, key)[0])(code)
    nets = {name: weights.nets[name] for name in seen_by}
    return gradient, answer[0], features_of(gen, nets, image)
