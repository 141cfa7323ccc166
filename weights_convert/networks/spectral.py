"""Spectral norms folded into weights, as each source computes them when it draws.

None of them uses the exact largest singular value: the vectors that a file holds decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError

Arrays = Mapping[str, np.ndarray]


def from_stored_vectors(arrays: Arrays, turned: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """`weight_orig`, `weight_u`, `weight_v` -> `weight`: divided by u W v (torch's own form).

    `turned` are the weights of transposed convolutions, whose outputs are the second axis.
    """
    found = dict(arrays)
    for name in [name for name in arrays if name.endswith(".weight_orig")]:
        base = name.removesuffix("_orig")
        weight, u, v = (_taken(found, f"{base}_{part}") for part in ("orig", "u", "v"))
        matrix = _matrix(base, weight.swapaxes(0, 1) if base in turned else weight, u, v)
        found[base] = _divided(weight, u @ matrix @ v)
    return found


def from_half_a_step(arrays: Arrays) -> dict[str, np.ndarray]:
    """`weight`, `u0` -> `weight`: half a power iteration from the stored vector (ajbrock's form).

    `sv0` is a record that nothing uses.
    """
    found = {name: array for name, array in arrays.items() if not name.endswith(".sv0")}
    for name in [name for name in found if name.endswith(".u0")]:
        base = f"{name.removesuffix('.u0')}.weight"
        u, weight = _taken(found, name).ravel(), _taken(found, base)
        matrix = _matrix(base, weight, u)
        found[base] = _divided(weight, np.linalg.norm(matrix @ unit(matrix.T @ u)))
    return found


def from_a_whole_step(arrays: Arrays) -> dict[str, np.ndarray]:
    """`weight_bar`, `weight_u`, `weight_v` -> `weight`; heykeetae/Self-Attention-GAN's form.

    That code makes one power iteration from the stored vectors in every call; the first call after
    loading is the reference.
    """
    found = dict(arrays)
    for name in [name for name in arrays if name.endswith(".weight_bar")]:
        base = name.removesuffix("_bar")
        weight, u, v = (_taken(found, f"{base}_{part}") for part in ("bar", "u", "v"))
        matrix = _matrix(base, weight, u, v)
        v = unit(matrix.T @ u)
        found[base] = _divided(weight, unit(matrix @ v) @ matrix @ v)
    return found


NORMED = ("w", "Matrix", "embedding_map")  # what TensorFlow's code divides by its norm


def from_last_axis(arrays: Arrays) -> dict[str, np.ndarray]:
    """`w`, `Matrix` or `embedding_map`, `u` -> the same divided: half a step (TensorFlow's SAGAN).

    The whole step that it makes ends in the same norm. `u` belongs to the outputs, which come last,
    or to the classes, which come first. Nothing is without a vector.
    """
    found = dict(arrays)
    for name in [name for name in arrays if name.rpartition("/")[2] in NORMED]:
        u, weight = _taken(found, f"{name.rpartition('/')[0]}/u").ravel(), found[name]
        matrix = _matrix(name, _outputs_first(name, weight), u)
        found[name] = _divided(weight, np.linalg.norm(matrix @ unit(matrix.T @ u)))
    return found


def from_the_inputs(arrays: Arrays, *, exactly: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """The same of TF-GAN's code, whose `u` belongs to the inputs (YLG).

    A norm below 1 divides only those weights whose name is `exactly`.
    """
    found = dict(arrays)
    for name in [name for name in arrays if name.rpartition("/")[2] in NORMED]:
        u, weight = _taken(found, f"{name.rpartition('/')[0]}/u").ravel(), found[name]
        outputs = _outputs_first(name, weight)
        # [inputs, outputs] in the order of the file, as it was multiplied by the vector.
        matrix = _matrix(name, np.moveaxis(outputs, 0, -1).reshape(-1, len(outputs)), u)
        sigma = np.linalg.norm(matrix @ unit(matrix.T @ u))
        found[name] = _divided(weight, sigma if exactly(name) else max(sigma, 1.0))
    return found


def _outputs_first(name: str, weight: np.ndarray) -> np.ndarray:
    return weight if name.endswith("embedding_map") else np.moveaxis(weight, -1, 0)


def _taken(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise UnsafeFileError(f"the source has no {name:.80}")
    return arrays.pop(name)


def _matrix(
    name: str, weight: np.ndarray, u: np.ndarray, v: np.ndarray | None = None
) -> np.ndarray:
    matrix = weight.reshape(len(weight), -1).astype(np.float64)
    if u.shape != (len(matrix),) or (v is not None and v.shape != matrix.shape[1:]):
        raise UnsafeFileError(f"{name}: vectors of another size than the matrix")
    return matrix


def _divided(weight: np.ndarray, sigma: Any) -> np.ndarray:
    """float32, what it is stored as: all weights are held at once."""
    return (weight / sigma).astype(np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    """x at length 1."""
    return x / (np.linalg.norm(x) + 1e-12)
