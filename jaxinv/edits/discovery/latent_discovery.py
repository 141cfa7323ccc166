"""Directions that a net can tell apart (Voynov & Babenko 2020, arXiv:2002.03754), and the RCA.

The same in the space of a layer's weights is Cherepkov et al. 2021 (arXiv:2011.13786).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxinv.edits.discovery.boundaries import unit
from jaxinv.edits.discovery.reconstructors import orthogonal
from jaxinv.edits.discovery.training import USUAL, Training, fit, small_net, small_net_init
from jaxinv.specs.checks import check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Params, Tree

MATRICES = ("ortho", "linear", "random", "axes")  # of the last two only the net learns
LABEL_WEIGHT, SHIFT_WEIGHT = 1.0, 0.25


class Shifts(NamedTuple):
    """How far samples are moved: evenly up to `scale`, at least by `least` either way."""

    scale: float = 6.0
    least: float = 0.5
    batch: int = 32


EVENLY = Shifts()


class Discovered(NamedTuple):
    """Directions [K, d] of unit length, the net that tells them, and how often it is right."""

    directions: np.ndarray
    net: Params
    accuracy: float
    losses: np.ndarray


def shift_sizes(uniform: Array, shifts: Shifts) -> Array:
    """Signed sizes of numbers in [0, 1): linear to [-scale, scale], lifted to `least`, but 0."""
    found = shifts.scale * (2 * uniform - 1)
    return jnp.where(jnp.abs(found) < shifts.least, jnp.sign(found) * shifts.least, found)


def losses(logits: Array, guesses: Array, targets: Array, sizes: Array) -> tuple[Array, Array]:
    """Of which direction (cross entropy) and of how far (mean magnitude), weighted as published."""
    label = optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()
    return LABEL_WEIGHT * label, SHIFT_WEIGHT * jnp.abs(guesses - sizes).mean()


def accuracy(logits: Array, targets: Array) -> Array:
    """The share of samples whose largest logit is the direction's."""
    return (logits.argmax(-1) == targets).mean()


def discover(
    draw: Callable[[Tree, Array, Array], Array],
    data: Tree,
    sample: Callable[[Tree, Key, int], Array],
    size: tuple[int, int, int],
    training: Training = USUAL,
    *,
    matrix: str = "ortho",
    shifts: Shifts = EVENLY,
) -> Discovered:
    """K directions of d numbers that a small net tells apart in pairs of pictures.

    Args:
        draw: (data, codes [n, ...], moves [n, d]) -> images [n, h, w, 3] of the moved codes. What a
            move is, only it knows: a step in a latent space, or a change of weights.
        data: what `draw` needs: a generator's parameters.
        sample: (data, key, n) -> codes [n, ...].
        size: (K, d, side of the images).
        training: 1e5 steps and a rate of 1e-4 in the paper.
        matrix: "ortho" (K <= d orthonormal directions, by a matrix exponential), "linear" (unit
            columns; K may exceed d), or fixed for comparison: "random" (orthonormal) and "axes".
        shifts: their sizes, and how many a step sees.

    Raises:
        ValueError: an unknown matrix, or more directions than numbers where they are orthonormal.

    Accuracy is the RCA of section 4: of 100 fresh batches.
    """
    check_choice("matrix", matrix, MATRICES)
    count, width, side = size
    check_whole("number of directions", count, 2)
    if count > width and matrix != "linear":
        raise ValueError(f"{count} directions of {width} numbers by {matrix!r}; allowed: 'linear'")
    keys = jax.random.split(jax.random.key(training.seed), 3)
    half = jax.random.normal(keys[0], (width, width)) * (1.0 if matrix == "random" else 0.001)
    columns = jax.random.normal(keys[0], (width, count))
    net = small_net_init(keys[1], 6, side, {"logits": count, "shift": 1})
    held = {"ortho": half, "linear": columns}
    start = {"net": net} | ({"matrix": held[matrix]} if matrix in held else {})

    def basis(params: Params) -> Array:
        if matrix == "linear":
            return params["matrix"] / jnp.linalg.norm(params["matrix"], axis=0)
        if matrix == "axes":
            return jnp.eye(width)[:, :count]
        return orthogonal(params["matrix"] if matrix == "ortho" else half)[:, :count]

    def guess(params: Params, data: Tree, key: Key) -> tuple[Array, ...]:
        first, second, third = jax.random.split(key, 3)
        codes = sample(data, first, shifts.batch)
        targets = jax.random.randint(second, (shifts.batch,), 0, count)
        sizes = shift_sizes(jax.random.uniform(third, (shifts.batch,)), shifts)
        moves = sizes[:, None] * basis(params).T[targets]
        pair = [draw(data, codes, moved) for moved in (jnp.zeros_like(moves), moves)]
        found = small_net(params["net"], jnp.concatenate(pair, -1))
        return found["logits"], found["shift"][:, 0], targets, sizes

    def loss(params: Params, data: Tree, key: Key) -> Array:
        return sum(losses(*guess(params, data, key)), jnp.zeros(()))

    found = fit(loss, start, data, training)

    def right(key: Key) -> Array:
        logits, _, targets, _ = guess(found.params, data, key)
        return accuracy(logits, targets)

    score = jax.jit(lambda: jax.lax.map(right, jax.random.split(keys[2], 100)).mean())()
    directions = unit(np.asarray(basis(found.params), np.float64).T)
    return Discovered(directions, found.params["net"], float(score), found.losses)


def kernel_basis(kernel: np.ndarray, count: int) -> np.ndarray:
    """Changes [count, ...] of a layer's kernel [..., in, out] along its leading singular pairs.

    Each has unit length as an array. Cherepkov et al. 2021, section 3.2 (their SVD basis).
    """
    flat = np.asarray(kernel, np.float64).reshape(-1, np.shape(kernel)[-1])
    check_whole("count", count, 1)
    if count > min(flat.shape):
        raise ValueError(f"{count} changes of a {flat.shape} matrix; allowed: {min(flat.shape)}")
    left, _, right = np.linalg.svd(flat, full_matrices=False)
    return np.einsum("ik,kj->kij", left[:, :count], right[:count]).reshape(count, *kernel.shape)


def curvature_basis(
    distance: Callable[[Array], Array], shape: tuple[int, ...], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Changes [count, ...] that move pictures most, and the curvatures of the distance [count].

    `distance` is the mean distance between pictures before and after a change [...] of weights; its
    second derivative at no change is taken exactly, by products alone. Cherepkov et al. 2021,
    section 3.2 (their Hessian basis, by finite differences there).
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    check_whole("count", count, 1)
    size = int(np.prod(shape))
    if count >= size:
        raise ValueError(f"{count} changes of {size} numbers; allowed: less")
    zero = jnp.zeros(shape)
    slope = jax.grad(distance)
    product = jax.jit(lambda v: jax.jvp(slope, (zero,), (v.reshape(shape),))[1].ravel())
    kind: Any = LinearOperator
    operator = kind(
        (size, size),
        matvec=lambda v: np.asarray(product(jnp.asarray(v, zero.dtype)), np.float64),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).standard_normal(size)
    values, vectors = eigsh(operator, count, which="LA", v0=start)
    order = np.argsort(-values)
    return vectors.T[order].reshape(count, *shape), values[order]
