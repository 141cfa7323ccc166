"""Networks in a narrower type: that of their kernels, which decides for the activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxinv.specs.checks import check_choice
from jaxinv.specs.vocabulary import PRECISIONS

if TYPE_CHECKING:
    from jaxinv.types import Array, Params

WIDE = ("kernel", "backward", "pointwise", "depthwise")
POINTWISE = ("skip", "conv1", "conv4")  # fully connected layers that BigGANs apply to pixels
COLOURS = 3  # kernels that draw at most as many channels draw the image, in float32


def cast_params(params: Params, dtype: str) -> Params:
    """`params` with the kernels of convolutions and pointwise layers in `dtype`.

    Convolutions cast what they are given to the type of their kernel, and activations stay in it.
    Styles, demodulation, noise, the image, losses and solvers stay float32. Backward kernels are
    cast too: call it after `precompute_backward`. "float32" changes nothing in float32 parameters.
    Raises `ValueError` for another type.
    """
    check_choice("dtype", dtype, PRECISIONS)
    return _cast(params, dtype, "")


def _cast(tree: Params, dtype: str, parent: str) -> Params:
    cast: Params = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            cast[name] = _cast(value, dtype, name)
        elif hasattr(value, "ndim") and _narrow(name, value, parent):
            cast[name] = value.astype(dtype)
        else:
            cast[name] = value
    return cast


def _narrow(name: str, value: Array, parent: str) -> bool:
    if name not in WIDE or value.ndim < 2:
        return False
    if name == "kernel" and value.ndim == 2:
        return parent in POINTWISE
    return value.shape[2 if name == "backward" else -1] > COLOURS
