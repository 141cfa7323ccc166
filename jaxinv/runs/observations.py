"""What the search is given of a photo: pixels or measurements, weights, and the clean picture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.arguments import read_pixels
from jaxinv.inversion.compatibility import source_side
from jaxinv.io import images
from jaxinv.io.arrays import parse_npy
from jaxinv.io.files import BadFile
from jaxinv.io.image_ops import colour_beside_tint, noise_level
from jaxinv.operators import build as build_operator
from jaxinv.runs.masks import resize_mask

if TYPE_CHECKING:
    from jaxinv.operators import Operator
    from jaxinv.specs import OperatorSpec

SMALLEST = 32
MAX_CHANNEL_SPREAD = 0.1  # of the channels of a grey picture, on [-1, 1], for JPEG's sake
MAX_COLOUR = 0.06  # of a toned or stained picture beside its tint (see `colour_beside_tint`)
ESTIMATE_PER_IMAGE = "estimated"  # in the place of a strength of noise: each picture's own
MIN_NOISE = 1 / 127.5  # a level of 8 bits: there is always so much


@dataclass(frozen=True)
class ObservationModel:
    """What the pictures of a run have gone through, and the largest side that is drawn.

    `size` is the side of the clean pictures, if it was asked for. `simulate`: the files are clean.
    `noise` is the standard deviation on [-1, 1] of what is seen, or `ESTIMATE_PER_IMAGE`; `labels`
    how many classes the generator draws; `regions` the masks that terms use, "NAME", "not NAME".
    """

    resolution: int
    size: int | None = None
    operator: OperatorSpec | None = None
    border: float | None = None
    simulate: bool = False
    noise: float | str | None = None
    labels: int = 0
    regions: tuple[str, ...] = ()

    @property
    def keeps_size(self) -> bool:
        """Whether the files have the size of clean pictures."""
        return self.simulate or (self.operator is None or keeps_shape(self.operator, (64, 64, 3)))


@dataclass(frozen=True)
class Observation:
    """What is searched for: `measurement` [h, w, c] or [count], `mask` [h, w], clean picture.

    `side` is that of the clean picture [side, side, 3], `noise` the standard deviation of what is
    seen where it is noisy, `label` its class, `named_masks` [h, w] are 1 where the mask of that
    name holds, `named_images` [side, side, 3] are what terms of that name compare with. `notes` say
    what was done to the picture.
    """

    measurement: np.ndarray
    mask: np.ndarray | None
    reference: np.ndarray | None
    side: int
    noise: float | None = None
    label: int | None = None
    named_masks: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    named_images: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    notes: tuple[str, ...] = ()


def check_operator(operator: OperatorSpec, resolution: int, size: int | None) -> None:
    """Raise `ValueError` unless the operator can be applied to pictures of some size."""
    sides = [resolution >> k for k in range(resolution.bit_length()) if resolution >> k >= SMALLEST]
    errors = []
    for side in [size] if size else sides or [resolution]:
        try:
            build_operator(operator, (side, side, 3))
        except ValueError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def keeps_shape(operator: OperatorSpec, shape: tuple[int, ...]) -> bool:
    """Whether an operator makes pictures of the size of the clean ones; luma has one channel."""
    try:
        return build_operator(operator, shape).shape[:2] == shape[:2]
    except ValueError:
        return False


def loss_size(own: int, asked: int | None, resolution: int) -> int:
    """Resolution of the comparison: `asked`, or the largest power of two within the own size.

    An image as large as the generator's is compared at that.
    """
    if asked is not None:
        return asked
    if own >= resolution:
        return resolution
    return 1 << (min(max(own, SMALLEST), resolution).bit_length() - 1)


def make_observation(
    model: ObservationModel, photo: images.Photo, missing: np.ndarray | None
) -> Observation:
    """What is made of a photo whose pixels may be `missing` [n, n] in part.

    Raises `BadFile` where the photo and the operator do not fit.
    """
    kept = photo.mask
    if missing is not None and not missing.any():
        raise BadFile("its mask is black everywhere; allowed: white where pixels are missing")
    if missing is not None:
        kept = (1.0 if kept is None else kept) * (1 - missing)
    if model.border is not None:
        return _outpaint_observation(model, photo, kept)
    if not model.keeps_size:
        return _from_measured_size(model, photo)
    side = loss_size(len(photo.pixels), model.size, model.resolution)
    pixels = at_size(photo.pixels, side)
    mask = None if kept is None else resize_mask(kept, side, hard=missing is not None)
    if mask is not None and not mask.any():
        allowed = "white where pixels are missing, black else"
        raise BadFile(f"its mask leaves no pixel; allowed: {allowed}")
    reference = pixels if model.simulate or (model.operator is None and missing is None) else None
    if missing is not None and mask is not None:
        return Observation(pixels * mask[..., None], mask, reference, side)
    if model.operator is None:
        return Observation(pixels, mask, reference, side)
    if not model.simulate:
        made = build_operator(model.operator, (side, side, 3))
        seen = as_measured(pixels, model.operator, made)
        return Observation(seen, mask, None, side, notes=tint_notes(pixels, model.operator))
    measurement = simulated(model.operator, pixels)
    mask = mask if measurement.shape[:2] == pixels.shape[:2] else None
    return Observation(measurement, mask, reference, side)


def with_noise_level(model: ObservationModel, made: Observation) -> Observation:
    """The observation with the strength of its noise; estimates are in steps of the root of 2.

    Pictures with noise of one strength go through one compiled program.
    """
    if model.noise != ESTIMATE_PER_IMAGE:
        return replace(made, noise=model.noise)
    steps = 2 * np.log2(max(noise_level(made.measurement), MIN_NOISE))
    return replace(made, noise=float(2 ** (np.round(steps) / 2)))


def _outpaint_observation(
    model: ObservationModel, photo: images.Photo, kept: np.ndarray | None
) -> Observation:
    """The photo as the middle of a larger picture, or the middle of a photo."""
    share = model.border or 0.0
    own = len(photo.pixels) if model.simulate else int(len(photo.pixels) / (1 - 2 * share))
    side = loss_size(own, model.size, model.resolution)
    edge = round(share * side)
    inner = side if model.simulate else side - 2 * edge
    pixels = at_size(photo.pixels, inner)
    mask = np.ones((inner, inner), np.float32) if kept is None else resize_mask(kept, inner)
    reference = pixels if model.simulate else None
    if not model.simulate:
        pixels, mask = np.pad(pixels, [(edge, edge)] * 2 + [(0, 0)]), np.pad(mask, edge)
    inside = np.pad(np.ones((side - 2 * edge,) * 2, np.float32), edge)
    return Observation(pixels * inside[..., None], mask * inside, reference, side)


def _from_measured_size(model: ObservationModel, photo: images.Photo) -> Observation:
    """A photo that is what the operator made of a picture of another size."""
    operator, own = model.operator, len(photo.pixels)
    if operator is None:
        raise BadFile("no operator")
    try:
        side = model.size or source_side(model.resolution, operator, (own, own, 3))
        made = build_operator(operator, (side, side, 3))
    except ValueError as error:
        raise BadFile(f"{error}; or clean pictures with --simulate") from error
    if not made.is_image or made.shape[0] != made.shape[1]:
        raise BadFile(
            f"a picture, but {operator.name!r} makes {list(made.shape)}; allowed: a .npy file of "
            f"that shape, or clean pictures with --simulate"
        )
    pixels = at_size(photo.pixels, made.shape[0])
    mask = None if photo.mask is None else resize_mask(photo.mask, made.shape[0])
    seen = as_measured(pixels, operator, made)
    return Observation(seen, mask, None, side, notes=tint_notes(pixels, operator))


def measurements(model: ObservationModel, data: bytes) -> Observation:
    """The numbers of a .npy file's bytes; `BadFile` unless the operator can have made them."""
    if model.simulate or model.operator is None:
        raise BadFile("measurements; allowed with --simulate: clean pictures")
    try:
        numbers = parse_npy(data)
        if numbers.dtype.kind not in "fiub":
            raise BadFile(f"an array of {numbers.dtype}; allowed: whole numbers and floats")
        with np.errstate(over="ignore"):  # what is too large is not finite, which is said below
            measurement = numbers.astype(np.float32)
        shape = measurement.shape
        side = source_side(model.resolution, model.operator, shape) if measurement.size else 0
        if np.isfinite(measurement).all():
            read_pixels(measurement[None], model.operator)
    except ValueError as error:
        raise BadFile(f"cannot be used as measurements: {error}") from error
    if not side or not np.isfinite(measurement).all():
        raise BadFile(f"measurements {list(measurement.shape)} that are empty or not finite")
    return Observation(measurement, None, None, side)


def as_measured(pixels: np.ndarray, operator: OperatorSpec, made: Operator) -> np.ndarray:
    """Pixels [h, w, 3] with the channels that the operator gives.

    Where it leaves no colour, toned and stained pictures are made grey. Raises `BadFile` for
    pictures that are plainly in colour.
    """
    if not leaves_grey(operator):
        return pixels
    if _spread(pixels) > MAX_CHANNEL_SPREAD and (left := colour_beside_tint(pixels)) > MAX_COLOUR:
        raise BadFile(
            f"it is in colour ({left:.2g} beside its tint, of at most {MAX_COLOUR}), operator "
            f"{operator.chain[-1].name!r} leaves no colour; allowed: grey pictures, whatever their "
            f"tint, or clean ones with --simulate (to recolour it, save it as grey first)"
        )
    grey = np.mean(pixels, axis=-1, keepdims=True)
    return np.broadcast_to(grey, made.shape).astype(np.float32)


def tint_notes(pixels: np.ndarray, operator: OperatorSpec) -> tuple[str, ...]:
    """What there is to say of a picture that `as_measured` makes grey: nothing, if it is grey."""
    spread = _spread(pixels)
    if not leaves_grey(operator) or spread <= MAX_CHANNEL_SPREAD:
        return ()
    return (f"made grey: it has a tint (its channels differ by up to {spread * 127.5:.0f} of 255)",)


def leaves_grey(operator: OperatorSpec) -> bool:
    """Whether what is seen through the operator has no colour."""
    return operator.chain[-1].name in ("gray", "luma")


def _spread(pixels: np.ndarray) -> float:
    return float(np.max(np.ptp(pixels, axis=-1)))


@partial(jax.jit, static_argnums=0)
def _simulate(operator: OperatorSpec, image: jax.Array) -> jax.Array:
    return build_operator(operator, image.shape).simulate(image)


def simulated(operator: OperatorSpec, image: np.ndarray) -> np.ndarray:
    """What the operator makes of a clean image; `BadFile` if it does not fit."""
    try:
        return np.asarray(_simulate(operator, jnp.asarray(image)))
    except ValueError as error:
        raise BadFile(str(error)) from error


def at_size(pixels: np.ndarray, size: int) -> np.ndarray:
    """Square pixels resized to `size` px, unless they have that size."""
    return pixels if len(pixels) == size else images.resize(pixels, size)
