"""Up- and downsampling by given filters, along each axis or over both; one sample [h, w, c]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax import lax

from jaxinv.nn.linear import cast_like

if TYPE_CHECKING:
    from jaxinv.types import Array

Pads = tuple[tuple[int, int], tuple[int, int]]
NONE: Pads = ((0, 0), (0, 0))


def resample(x: Array, taps: Array, *, up: int = 1, down: int = 1, pads: Pads = NONE) -> Array:
    """Zeros put between the pixels, padding (rows, columns; negative cuts), filter, every n-th.

    taps: [k], applied along both axes, or [k, k]. The filter is a true convolution with gain `up`
    per axis, as in the upfirdn of Karras et al. 2021 (StyleGAN3), appendix C.
    """
    taps = cast_like(taps, x)
    # One zero more than lies between: the last pixel is followed by zeros too.
    wide: Pads = ((pads[0][0], pads[0][1] + up - 1), (pads[1][0], pads[1][1] + up - 1))
    if taps.ndim == 2:
        return _filtered(x, up * up * taps, (up, up), (down, down), pads=wide)
    rows = _filtered(x, up * taps[:, None], (up, 1), (down, 1), pads=(wide[0], (0, 0)))
    return _filtered(rows, up * taps[None], (1, up), (1, down), pads=((0, 0), wide[1]))


def _filtered(
    x: Array, taps: Array, up: tuple[int, int], down: tuple[int, int], *, pads: Pads
) -> Array:
    # Channels take the place of the batch: a grouped convolution is far slower on CPU.
    out = lax.conv_general_dilated(
        x.transpose(2, 0, 1)[..., None],
        taps[::-1, ::-1, None, None],
        down,
        pads,
        lhs_dilation=up,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out[..., 0].transpose(1, 2, 0)
