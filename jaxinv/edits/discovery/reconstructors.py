"""Published nets that tell which direction lies between two pictures (Voynov & Babenko 2020).

Their parameters are named and laid out as in the published files, in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv.edits.discovery.training import convolve
from jaxinv.specs.checks import check_choice

if TYPE_CHECKING:
    from jaxinv.types import Array

EPSILON = 1e-5
Weights = Mapping[str, Any]


def normalised(weights: Weights, name: str, x: Array, epsilon: float = EPSILON) -> Array:
    """x [..., c] by the running statistics of the batch normalisation `name`."""
    held = [weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    gain, shift, mean, variance = map(jnp.asarray, held)
    return (x - mean) * (gain * lax.rsqrt(variance + epsilon)) + shift


def dense(weights: Weights, name: str, x: Array) -> Array:
    """x [..., in] by the fully connected layer `name`, whose weight is [out, in]."""
    y = x @ jnp.asarray(weights[f"{name}.weight"]).T
    return y + jnp.asarray(weights[f"{name}.bias"]) if f"{name}.bias" in weights else y


def _pool(x: Array, size: int, stride: int, padding: int = 0) -> Array:
    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), edges
    )


def _block(weights: Weights, name: str, x: Array, stride: int) -> Array:
    kernels = [jnp.asarray(weights[f"{name}.conv{i}.weight"]) for i in (1, 2)]
    y = jax.nn.relu(normalised(weights, f"{name}.bn1", convolve(x, kernels[0], stride, 1)))
    y = normalised(weights, f"{name}.bn2", convolve(y, kernels[1], 1, 1))
    if f"{name}.downsample.0.weight" in weights:
        x = convolve(x, jnp.asarray(weights[f"{name}.downsample.0.weight"]), stride)
        x = normalised(weights, f"{name}.downsample.1", x)
    return jax.nn.relu(x + y)


def resnet(weights: Weights, a: Array, b: Array) -> tuple[Array, Array]:
    """Logits [n, K] and shifts [n] of pairs of images [n, h, w, 3] in [-1, 1], by a ResNet-18."""
    place = "features_extractor"
    x = convolve(jnp.concatenate([a, b], -1), jnp.asarray(weights[f"{place}.conv1.weight"]), 2, 3)
    x = _pool(jax.nn.relu(normalised(weights, f"{place}.bn1", x)), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            stride = 2 if layer > 1 and block == 0 else 1
            x = _block(weights, f"{place}.layer{layer}.{block}", x, stride)
    x = x.mean((1, 2))
    return dense(weights, "type_estimator", x), dense(weights, "shift_estimator", x)[:, 0]


def lenet(weights: Weights, a: Array, b: Array) -> tuple[Array, Array]:
    """The same by a LeNet, of images [n, h, w, c] with as many channels as it was made for."""
    x = jnp.concatenate([a, b], -1)
    for index in (0, 4, 8):
        kernel, bias = (jnp.asarray(weights[f"convnet.{index}.{n}"]) for n in ("weight", "bias"))
        y = normalised(weights, f"convnet.{index + 1}", convolve(x, kernel) + bias)
        x = _pool(jax.nn.relu(y), 2, 2) if index < 8 else jax.nn.relu(y)
    x = x.mean((1, 2))

    def head(name: str) -> Array:
        y = normalised(weights, f"{name}.1", dense(weights, f"{name}.0", x))
        return dense(weights, f"{name}.3", jax.nn.relu(y))

    return head("fc_logits"), head("fc_shift")[:, 0]


def deform(kind: str, weights: Weights, shifts: Array, width: int | None = None) -> Array:
    """Shifts [n, k] in the space of codes [n, d], by a deformator of a `kind` of `DEFORMATORS`.

    The result is cut, or filled up with zeros, to `width`. Raises `ValueError` for another kind.
    """
    check_choice("deformator", kind, tuple(DEFORMATORS))
    y = DEFORMATORS[kind](weights, jnp.asarray(shifts))
    if width is None:
        return y
    return jnp.pad(y, ((0, 0), (0, max(width - y.shape[1], 0))))[:, :width]


def _projective(weights: Weights, x: Array) -> Array:
    y = dense(weights, "linear", x)
    lengths = [jnp.linalg.norm(one, axis=1, keepdims=True) for one in (x, y)]
    return lengths[0] / lengths[1] * y


def _fully_connected(weights: Weights, x: Array) -> Array:
    y, total = x, jnp.zeros(())
    for index in (1, 2, 3):
        total = total + dense(weights, f"fc{index}", y)
        y = jax.nn.elu(normalised(weights, f"bn{index}", total))
    return dense(weights, "fc4", y) + x


def orthogonal(half: Array) -> Array:
    """The orthogonal matrix exp(A - A^T) of any square A [d, d]."""
    return jax.scipy.linalg.expm(half - half.T)


DEFORMATORS = {
    "linear": lambda weights, x: dense(weights, "linear", x),
    "projective": _projective,
    "fc": _fully_connected,
    "ortho": lambda weights, x: x @ orthogonal(jnp.asarray(weights["log_mat_half"])).T,
    "id": lambda weights, x: x,
}
