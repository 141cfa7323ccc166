"""A preconditioner: codes of W+ in which an image loss is about equally curved everywhere.

Gradient axes (see `gradient_axes`) say along which directions a loss pulls. Here their strengths
are measured, and the few directions across rows in which rows pull together, most of all their
common shift. Far from the answer by d the gradient of a loss with curvature H is H d, so that for d
alike in all directions the mean outer product of gradients is proportional to the square of H. A
solver that starts with the identity as its curvature (L-BFGS) needs no warm-up in these codes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.gradient_axes import gradient_at, problem_in, sampled
from jaxinv.inversion.problem import NetworkParams, Problem
from jaxinv.latents.codecs import GRADIENT_AXES
from jaxinv.latents.spaces import decode, draw_prior, encode
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs import Variable

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Term
    from jaxinv.types import Array, Key, Params

SAMPLES = 48
EIGEN = Variable("w+", codec="gradient-axes")
# How far from the answer gradients are taken, in standard deviations of W: up to `COMMON` in all
# rows together, and `SINGLE` in each row by itself.
COMMON, SINGLE = 0.8, 0.5
SHARED_DIRECTIONS = 16  # directions across rows
WINDOW = 4  # neighbours on either side that a strength is averaged with, half and half
NOISE = 0.8  # share of a random direction's variance that chance explains
FLOOR = 1e-3


def curvature(
    gen: Generator, params: Params, nets: dict[str, Params], terms: tuple[Term, ...]
) -> Params:
    """Natural units (see `preconditioner`) from `SAMPLES` gradients of the terms.

    The parameters must have gradient axes among their statistics.
    """
    problem, weights = problem_in(EIGEN, gen, terms), NetworkParams(params, nets)
    return preconditioner(sampled(gradient_samples, problem, weights, SAMPLES))


@partial(jax.jit, static_argnums=0)
def gradient_samples(problem: Problem, weights: NetworkParams, keys: Key) -> Array:
    """Gradients [n, rows, d] in gradient axes at codes near the answer, one per key."""
    gen, params = problem.gen, weights.params

    def one(key: Key) -> Array:
        drawn, common, single, reach = jax.random.split(key, 4)
        answer = encode(gen, params, EIGEN, draw_prior(gen.spec, drawn))
        image = gen.synthesize(params, {"w+": decode(params, EIGEN, answer)}, problem.size)
        shift = COMMON * jax.random.uniform(reach) * jax.random.normal(common, answer.shape[1:])
        # The axes of a row are a rotation: a common shift must be turned into each row's own.
        shift = jnp.einsum("rij,i->rj", params[STATISTICS][GRADIENT_AXES], shift)
        code = answer + shift + SINGLE * jax.random.normal(single, answer.shape)
        return gradient_at(problem, weights, key, image, code)

    return jax.lax.map(one, keys)


def preconditioner(pulled: np.ndarray) -> Params:
    """The preconditioner of gradients [n, rows, d]; `codecs.from_preconditioned` uses it.

    "step_scale" [rows, d], one over the root of every direction's curvature; "shared_directions"
    [k, rows, d], orthonormal directions, once so scaled, that are curved more than that, and
    "step_excess" [k], how much shorter a unit is along them, less 1.
    """
    count, rows, size = pulled.shape
    # Gradients at far codes are larger: all get the same weight.
    lengths = np.sqrt(np.sum(np.square(pulled), axis=(1, 2)))
    pulled = pulled * (np.median(lengths) / np.maximum(lengths, 1e-30))[:, None, None]
    squares = np.mean(np.square(pulled), axis=0) + 1e-30
    strengths = np.sqrt(np.sqrt(squares * smoothed(squares)))
    strengths += FLOOR * np.sqrt(np.mean(np.square(strengths)))
    flat = (pulled / strengths).reshape(count, -1)
    _, scales, ridges = np.linalg.svd(flat, full_matrices=False)
    kept = min(SHARED_DIRECTIONS, len(scales))
    # In n random gradients chance alone explains the variance of rows x d / n directions.
    excess = np.square(scales[:kept]) / count - NOISE * flat.shape[1] / count
    relief = np.maximum(excess, 1.0) ** -0.25 - 1.0
    distance = np.sqrt(COMMON**2 / 3 + SINGLE**2)
    found = {
        "step_scale": np.sqrt(distance / strengths),
        "shared_directions": ridges[:kept].reshape(kept, rows, size),
        "step_excess": relief,
    }
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def smoothed(squares: np.ndarray) -> np.ndarray:
    """Geometric means over `WINDOW` neighbours on either side in every row of [rows, d]."""
    padded = np.pad(np.log(squares), ((0, 0), (WINDOW, WINDOW)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * WINDOW + 1, axis=1)
    return np.exp(windows.mean(-1))
