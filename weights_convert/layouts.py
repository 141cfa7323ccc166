"""How torch and TensorFlow lay out what the progressive family shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.rules import Rule

RATE = 0.01  # learning-rate multiplier of every StyleGAN's mapping, folded into its weights


def side_of(number: int) -> int:
    """Pixels of layer `number`: 0 at 4 px, then two per resolution."""
    return 4 << ((number + 1) // 2)


def dense(target: str, source: str, shape: tuple[int, int], tf: bool, rate: float = 1.0) -> Rule:
    """A fully connected layer, [in, out] in TensorFlow and [out, in] in torch, with its gain."""
    gain = rate / np.sqrt(shape[0])
    return Rule(target, (source,), lambda x: gain * (x if tf else x.T), shape)


def fully_connected(
    index: int, names: tuple[str, str], shape: tuple[int, int], *, tf: bool = False, late: float = 1
) -> Iterator[Rule]:
    """Layer `index` of a mapping from its weight's and bias's names.

    `late` is what our layer multiplies by after the bias and the source's did before it.
    """
    yield dense(f"mapping/fc{index}/kernel", names[0], shape, tf, RATE)
    bias = f"mapping/fc{index}/bias"
    yield Rule(bias, names[1:], lambda b: b * RATE / late, shape[1:])


def kernel(x: np.ndarray, *, tf: bool, flip: bool) -> np.ndarray:
    """[h, w, in, out] of a correlation, from OIHW (maybe with leading axes) or HWIO."""
    x = x.reshape(x.shape[-4:])
    x = x if tf else x.transpose(2, 3, 1, 0)
    return x[::-1, ::-1] if flip else x


def without_filters(
    arrays: Mapping[str, np.ndarray], taps: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """`arrays` without those that hold a filter, which must be that of `taps` along both axes.

    Its gain may be any. Raises `UnsafeFileError` for another filter.
    """
    expected = np.outer(taps, taps) / sum(taps) ** 2
    return {n: a for n, a in arrays.items() if not _is_filter(n, a, expected)}


def _is_filter(name: str, array: np.ndarray, expected: np.ndarray) -> bool:
    if not name.endswith(("resample_filter", "kernel")):
        return False
    square = array.shape[-2:] == expected.shape
    gains = array.sum((-1, -2), keepdims=True) if square else array
    if not square or not np.allclose(array, gains * expected, atol=1e-6):
        raise UnsafeFileError(f"{name}: another filter than the usual one; allowed: that one")
    return True
