"""How torch and TensorFlow lay out what the progressive family shares."""

from __future__ import annotations

import numpy as np

from weights_convert.rules import Rule


def side_of(number: int) -> int:
    """Pixels of layer `number`: 0 at 4 px, then two per resolution."""
    return 4 << ((number + 1) // 2)


def dense(target: str, source: str, shape: tuple[int, int], tf: bool, rate: float = 1.0) -> Rule:
    """A fully connected layer, [in, out] in TensorFlow and [out, in] in torch, with its gain."""
    gain = rate / np.sqrt(shape[0])
    return Rule(target, (source,), lambda x: gain * (x if tf else x.T), shape)


def kernel(x: np.ndarray, *, tf: bool, flip: bool) -> np.ndarray:
    """[h, w, in, out] of a correlation, from OIHW (maybe with leading axes) or HWIO."""
    x = x.reshape(x.shape[-4:])
    x = x if tf else x.transpose(2, 3, 1, 0)
    return x[::-1, ::-1] if flip else x
