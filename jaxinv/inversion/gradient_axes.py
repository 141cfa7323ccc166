"""Gradient axes: the directions of W+ in which a loss pulls, the same for all images.

The curvature of an image loss around a latent code has nearly the same eigenvectors everywhere
(Wang & Ponce 2021, The Geometry of Deep Generative Image Models and its Applications, section 4),
so they are measured once per generator and kept. A solver that scales coordinates, as Adam does,
is at its best in these axes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.objective import Objective
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.latents.spaces import draw_prior, encode
from jaxinv.losses.terms import extract_features
from jaxinv.specs import Stage, Variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Term
    from jaxinv.types import Array, Key, Params

SAMPLES = 160
TOGETHER = 16
SIZE = 256
SEED = 0
WHITE = Variable("w+", codec="whiten")


def gradient_axes(
    gen: Generator, params: Params, nets: dict[str, Params], terms: tuple[Term, ...]
) -> Array:
    """Per row of W+, eigenvectors of the mean outer product of gradients, strongest first.

    [rows, d, d], eigenvectors in columns, in whitened W. Each of the `SAMPLES` gradients of the
    terms pulls a random code, drawn towards the mean, to the image of another, as a search on its
    way does.
    """
    problem, weights = problem_in(WHITE, gen, terms), NetworkParams(params, nets)
    pulls = sampled(gradients, problem, weights, SAMPLES)
    moments = np.einsum("nri,nrj->rij", pulls, pulls, optimize=True)
    # A little of the diagonal decides among directions that no sample has told apart.
    moments += 0.1 * np.einsum("rii->ri", moments)[:, None] * np.eye(moments.shape[1])
    return jnp.asarray(np.linalg.eigh(moments)[1][..., ::-1], jnp.float32)


def problem_in(variable: Variable, gen: Generator, terms: tuple[Term, ...]) -> Problem:
    """The terms as functions of the variable, at no more than `SIZE` px."""
    return Problem(gen, Stage((variable,), terms, steps=1), min(SIZE, gen.spec.resolution), 1)


def sampled(
    gradients: Callable[..., Array], problem: Problem, weights: NetworkParams, count: int
) -> np.ndarray:
    """`count` of `gradients(problem, weights, keys)` [count, rows, d], float64, a few at a time."""
    keys = jax.random.split(jax.random.key(SEED), count)
    spans = [keys[first : first + TOGETHER] for first in range(0, count, TOGETHER)]
    parts = [np.asarray(gradients(problem, weights, span), np.float64) for span in spans]
    return np.concatenate(parts)


@partial(jax.jit, static_argnums=0)
def gradients(problem: Problem, weights: NetworkParams, keys: Key) -> Array:
    """Gradients [n, rows, d] of the problem's terms in whitened W+, one per key."""
    gen, params = problem.gen, weights.params

    def one(key: Key) -> Array:
        ours, theirs, reach = jax.random.split(key, 3)
        image = gen.synthesize(params, draw_prior(gen.spec, theirs), problem.size)
        code = encode(gen, params, WHITE, draw_prior(gen.spec, ours))
        return gradient_at(problem, weights, key, image, 0.7 * jax.random.uniform(reach) * code)

    return jax.lax.map(one, keys)


def gradient_at(
    problem: Problem, weights: NetworkParams, key: Key, image: Array, code: Array
) -> Array:
    """Gradient [rows, d] of the problem's terms at a code of W+, towards `image` [h, w, 3]."""
    seen = extract_features(problem.stage.terms, weights.nets, image)
    lane = Lane(seen, None, key, jnp.zeros((), jnp.int32), {})
    loss: Any = Objective(problem, weights, lane, jnp.zeros(()))
    return jax.grad(lambda code: loss({"w+": code}, key)[0])(code)
