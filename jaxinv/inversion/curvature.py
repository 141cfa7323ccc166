"""Gradient axes and a preconditioner: coordinates of W+ in which a loss is curved alike everywhere.

The curvature of an image loss around a latent code has nearly the same eigenvectors everywhere
(Wang & Ponce 2021, The Geometry of Deep Generative Image Models and its Applications, section 4),
so they are measured once per generator and kept. Far from the answer by d the gradient of a loss
with curvature H is H d, so that for d alike in all directions the mean outer product of gradients
is proportional to the square of H. A solver that starts with the identity as its curvature
(L-BFGS) needs no warm-up in these codes, and one that scales coordinates (Adam) is at its best.

A row of W+ acts through its styles alone, s = A w + b, so its gradient is A' times that by the
styles. With the latter's mean squares on a diagonal D, the mean outer product is A' D A: a few
gradients tell D, and the weights tell A. What that leaves out, rows that pull together, is added
as a few directions across rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.gradient_samples import COMMON, SINGLE
from jaxinv.models.statistics import STATISTICS

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Params

SHARED_DIRECTIONS = 16  # directions across rows
WINDOW = 4  # neighbours on either side that a strength is averaged with, half and half
# Added to strengths, as a share of the usual one: what no gradient has shown may be there, and
# penalties on the code are curved in all directions.
FLOOR = 0.02


def gradient_axes(gen: Generator, params: Params, gradients: np.ndarray) -> Array:
    """Per row of W+, eigenvectors of the mean outer product of gradients, strongest first.

    [rows, d, d], eigenvectors in columns, of gradients [n, rows, d], all in whitened W.
    """
    pulls = of_one_length(gradients)
    moments = [
        style_moments(jacobian, pulls[:, row])
        for row, jacobian in enumerate(style_jacobians(gen, params))
    ]
    return jnp.asarray(np.linalg.eigh(np.stack(moments))[1][..., ::-1], jnp.float32)


def style_jacobians(gen: Generator, params: Params) -> list[np.ndarray]:
    """Per row, the derivatives [d, styles] of its styles by its code in whitened W."""
    known = params[STATISTICS]
    mean = jnp.broadcast_to(known["mean"], (gen.spec.rows, gen.spec.w_dim))

    @jax.jit
    def along(params: Params, steps: Array) -> Array:
        """Derivatives [n, all styles] along steps [n, rows, d]."""

        def styles(w: Array) -> Array:
            return jnp.concatenate([x.ravel() for x in jax.tree.leaves(gen.affine(params, w))])

        return jax.vmap(lambda step: jax.jvp(styles, (mean,), (step,))[1])(steps)

    columns = np.asarray(known["axes"] * known["scales"]).T
    together = np.broadcast_to(columns[:, None], (len(columns), *mean.shape))
    # Which styles are whose: those that move when the row does.
    alone = np.eye(len(mean), dtype=np.float32)[:, :, None] * columns.sum(0)
    found = np.asarray(along(params, np.concatenate([together, alone])), np.float64)
    return [found[: len(columns), own] for own in found[len(columns) :] != 0]


def style_moments(jacobian: np.ndarray, pulls: np.ndarray) -> np.ndarray:
    """J D J' [d, d] for J [d, styles], D the mean squares of what J turns into pulls [n, d]."""
    by_style = np.linalg.lstsq(jacobian, pulls.T, rcond=1e-6)[0]
    return (jacobian * np.mean(np.square(by_style), axis=1)) @ jacobian.T


def preconditioner(gradients: np.ndarray, axes: np.ndarray) -> Params:
    """The preconditioner of gradients [n, rows, d]; `codecs.from_preconditioned` uses it.

    "step_scale" [rows, d], one over the root of every direction's curvature along the `axes`;
    "shared_directions" [k, rows, d], orthonormal directions, once so scaled, that are curved more
    than that, and "step_excess" [k], how much shorter a unit is along them, less 1.
    """
    pulled = np.einsum("nri,rij->nrj", of_one_length(gradients), axes.astype(np.float64))
    count, rows, size = pulled.shape
    squares = np.mean(np.square(pulled), axis=0) + 1e-30
    strengths = np.sqrt(np.sqrt(squares * smoothed(squares)))
    strengths += FLOOR * np.sqrt(np.mean(np.square(strengths)))
    directions, excess = shared_directions((pulled / strengths).reshape(count, -1))
    distance = np.sqrt(COMMON**2 / 3 + SINGLE**2)
    found = {
        "step_scale": np.sqrt(distance / strengths),
        "shared_directions": directions.reshape(-1, rows, size),
        "step_excess": excess**-0.25 - 1.0,
    }
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def shared_directions(pulled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The strongest directions [k, m] of scaled gradients [n, m], and their mean squares, >= 1.

    Each mean square is that of gradients that had no part in the direction, one left out at a
    time: of few gradients in many dimensions chance alone makes strong directions.
    """
    count = len(pulled)
    kept = min(SHARED_DIRECTIONS, count - 2, pulled.shape[1])
    products = pulled @ pulled.T
    left_out = np.empty((count, kept))
    for one in range(count):
        others = np.delete(np.arange(count), one)
        values, mix = np.linalg.eigh(products[np.ix_(others, others)])
        along = products[one, others] @ mix[:, ::-1][:, :kept]
        left_out[one] = np.square(along) / np.maximum(values[::-1][:kept], 1e-30)
    excess = left_out.mean(0) / np.mean(np.square(pulled))
    directions = np.linalg.svd(pulled, full_matrices=False)[2][:kept]
    return directions, np.minimum.accumulate(np.maximum(excess, 1.0))


def of_one_length(gradients: np.ndarray) -> np.ndarray:
    """Gradients [n, rows, d] of the same length: those at far codes are larger."""
    gradients = gradients.astype(np.float64)
    lengths = np.sqrt(np.sum(np.square(gradients), axis=(1, 2)))
    return gradients * (np.median(lengths) / np.maximum(lengths, 1e-30))[:, None, None]


def smoothed(squares: np.ndarray) -> np.ndarray:
    """Geometric means over `WINDOW` neighbours on either side in every row of [rows, d]."""
    padded = np.pad(np.log(squares), ((0, 0), (WINDOW, WINDOW)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * WINDOW + 1, axis=1)
    return np.exp(windows.mean(-1))
