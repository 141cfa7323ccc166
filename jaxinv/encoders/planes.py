"""What an encoder sees of one sample: its planes, each brought to the encoder's size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.nn.pool import adaptive_average, bilinear
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Array, Tree

    Resize = Callable[[Array, tuple[int, int]], Array]


class Sample(NamedTuple):
    """One sample: its picture and what else an encoder may ask for.

    `image` [h, w, 3] in [-1, 1]; `mask` [h, w], 1 where it is known; `labels` [h, w, labels] in [0,
    1]; `attribute`, a number in [0, 1]; `stage`, for heads that are trained in stages; `identity`
    [h, w, 3], the picture of whom it is to show, by default the picture itself; `code`, where the
    picture's is known, in place of what the encoder before would say; `move`, an edit of the code.
    """

    image: Array | None = None
    mask: Array | None = None
    labels: Array | None = None
    attribute: Array | None = None
    stage: Array | None = None
    identity: Array | None = None
    code: Tree = None
    move: Tree = None


CLIPPED = "bilinear-clipped"
IDENTITY = "identity"
DRAWN = ("reconstruction", "edited")  # planes that the generator draws


def _antialiased(x: Array, size: tuple[int, int]) -> Array:
    return jax.image.resize(x, (*size, x.shape[-1]), "linear")


def _unchanged(x: Array, size: tuple[int, int]) -> Array:
    if x.shape[:2] != size:
        raise ValueError(f"a picture of {x.shape[0]}x{x.shape[1]}; allowed: {size[0]}x{size[1]}")
    return x


# "bilinear" is smoothed where it shrinks, as in Pillow; "bilinear-plain" is not, nor is "-clipped",
# before which values are clipped to [-1, 1]; "pool" means whole pixels, and repeats them where it
# enlarges.
RESIZERS: dict[str, Resize] = {
    "area": resize,
    "bilinear": _antialiased,
    "bilinear-plain": bilinear,
    CLIPPED: bilinear,
    "pool": adaptive_average,
    "none": _unchanged,
}


def planes_of(
    spec: EncoderSpec, sample: Sample, drawn: Array | None, edited: Array | None = None
) -> Array:
    """The input [h, w, channels] of an encoder; `drawn` is what the generator draws so far.

    `edited` is what it draws of edited latents, if they are.

    Of an encoder that sees a mask, unknown pixels of the picture are 0, the middle of its range.

    Raises `ValueError` for a plane that is not given.
    """
    flat = jnp.ones((*spec.input_shape[:2], 1))
    image, mask = sample.image, None if sample.mask is None else sample.mask[..., None]
    if "mask" in spec.planes and image is not None and mask is not None:
        image = image * mask
    given = {
        "image": image,
        "mask": mask,
        "labels": sample.labels,
        "attribute": None if sample.attribute is None else flat * sample.attribute,
        "reconstruction": drawn,
        "edited": drawn if edited is None else edited,
    }
    parts: list[Array] = []
    for plane in spec.planes:
        if plane == IDENTITY:  # a vector of another net, not a plane
            continue
        part = given[plane]
        if part is None:
            raise ValueError(f"encoder {spec.name!r} needs {plane!r} beside the picture")
        kind = spec.resize_drawn if plane in DRAWN else spec.resize
        parts.append(fitted(spec, part, kind))
    return jnp.concatenate(parts, axis=-1)


def fitted(spec: EncoderSpec, x: Array, kind: str) -> Array:
    """A picture [h, w, c] in the encoder's size; of square ones, the middle rows where it is not.

    A picture of any other shape is resized as a whole.
    """
    rows, columns, _ = spec.input_shape
    if x.shape[:2] == (rows, columns) or x.shape[0] != x.shape[1]:
        return _resized(x, (rows, columns), kind)
    top = (columns - rows) // 2
    return _resized(x, (columns, columns), kind)[top : top + rows]


def _resized(x: Array, size: tuple[int, int], kind: str) -> Array:
    x = jnp.clip(x, -1.0, 1.0) if kind == CLIPPED else x
    return x if x.shape[:2] == size else RESIZERS[kind](x, size)
