"""Named masks of a preset: from the caller, an operator, a face, or what an earlier stage drew."""

# scipy annotates its arguments only in part.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.stages import map_lanes
from jaxinv.io.face_detection import AlignerMissing, face_finder, landmarks_from_dlib
from jaxinv.io.image_ops import to_uint8
from jaxinv.losses.image_terms import normalize_channels
from jaxinv.models.features.backbones import NETS
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.operators import build as build_operator
from jaxinv.specs.checks import check_array, check_choice, check_kind
from jaxinv.specs.masks import NOT, base_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxinv.inversion.problem import NetworkParams, Problem
    from jaxinv.specs import MaskSpec, OperatorSpec, Preset
    from jaxinv.types import Array, Latents, Params

BROWS, CHIN, NOSE = slice(17, 27), 8, 27  # of the 68 landmarks; the top of the nose
FOREHEAD = (
    0.35  # height of a forehead over the brows, in units from the chin to the top of the nose
)
LEAST_FACE = 128  # px, to which small pictures are enlarged for a face to be found


def check_named_masks(
    preset: Preset, given: dict[str, np.ndarray] | None, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """The masks that the caller gives, float32; `ValueError` unless they are those of the preset.

    Each must have the `shape` [B, S, S] and lie in [0, 1]. Raises `ValueError` too where a mask
    needs landmarks and dlib or its files are missing.
    """
    wanted = tuple(mask.name for mask in preset.masks if mask.source == "given")
    given = {} if given is None else given
    check_kind("named_masks", given, dict, " of masks by name")
    found: dict[str, np.ndarray] = {}
    for name, values in given.items():
        check_choice(f"mask of preset {preset.name!r}", name, wanted or ("none",))
        mask = check_array(f"mask {name!r}", values, "biuf", finite=False).astype(np.float32)
        if mask.shape != shape:
            raise ValueError(f"mask {name!r} has shape {mask.shape}; allowed: {shape}")
        if not (np.all(mask >= 0) and np.all(mask <= 1)):
            raise ValueError(f"mask {name!r} has values outside [0, 1]; allowed: 0 to 1")
        for row in mask:
            check_region(preset.regions, name, row)
        found[name] = mask
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"preset {preset.name!r} needs named masks {', '.join(missing)} [B, S, S]")
    if any(mask.source == "face" for mask in preset.masks):
        try:
            face_finder()
        except AlignerMissing as error:
            raise ValueError(f"preset {preset.name!r} needs landmarks of faces: {error}") from error
    return found


def check_region(regions: Sequence[str], name: str, mask: np.ndarray) -> None:
    """Raise `ValueError` where a mask [S, S] leaves one of the regions that are used no pixel."""
    for region in regions:
        outside = region.startswith(NOT)
        if base_name(region) == name and not ((1 - mask) if outside else mask).any():
            allowed = "some pixels below 1, where it does not hold" if outside else "some above 0"
            raise ValueError(f"mask {name!r} is {int(outside)} everywhere; allowed: {allowed}")


def known_masks(
    preset: Preset, given: dict[str, np.ndarray], images: np.ndarray
) -> dict[str, np.ndarray]:
    """All masks [B, S, S] of images [B, S, S, 3] that no stage is needed for."""
    found: dict[str, np.ndarray] = {}
    for mask in preset.masks:
        if mask.source not in SOURCES:
            continue
        values = SOURCES[mask.source](mask, given, images)
        found[mask.name] = values * found[mask.within] if mask.within else values
    return found


def kept_by_operator(operator: OperatorSpec | None, side: int) -> np.ndarray:
    """[side, side], 1 where the mask that an operator is keeps pixels; all without one."""
    shape = (side, side, 3)
    if operator is None:
        return np.ones(shape[:2], np.float32)
    return np.asarray(build_operator(operator, shape).apply(jnp.ones(shape)))[..., 0]


def face_mask(image: np.ndarray) -> np.ndarray:
    """[S, S], 1 inside the hull of the first face's landmarks and of its forehead, else 0.

    The forehead is taken to reach as far over the brows as `FOREHEAD` of the way from the chin to
    the top of the nose. Image [S, S, 3] in [-1, 1]; without a face the mask is 0.
    """
    from scipy.spatial import ConvexHull  # only faces need it

    side = len(image)
    large = max(side, LEAST_FACE)
    grown = image if large == side else np.asarray(resize(jnp.asarray(image), large))
    faces = landmarks_from_dlib(to_uint8(grown))
    if not faces:
        return np.zeros((side, side), np.float32)
    points = np.asarray(faces[0]) * side / large
    lifted = points[BROWS] + FOREHEAD * (points[NOSE] - points[CHIN])
    planes = ConvexHull(np.concatenate([points, lifted])).equations  # a x + b y + c <= 0 inside
    rows, columns = np.mgrid[:side, :side] + 0.5
    places = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    return np.all(places @ planes.T <= 0, axis=-1).astype(np.float32)


# Masks [B, S, S] of a `MaskSpec`, what the caller gives, and images, that no stage is needed for.
SOURCES: dict[str, Callable[[MaskSpec, dict[str, np.ndarray], np.ndarray], np.ndarray]] = {
    "given": lambda mask, given, images: given[mask.name],
    "face": lambda mask, given, images: np.stack([face_mask(image) for image in images]),
    "operator": lambda mask, given, images: np.broadcast_to(
        kept_by_operator(mask.operator, images.shape[1]), images.shape[:3]
    ),
}


def lpips_map(net: str, params: Params, a: Array, b: Array) -> Array:
    """LPIPS [h, w] of two images [h, w, 3], by position: layers are enlarged, then summed.

    Zhang et al. 2018, equation 1, without its mean over positions.
    """
    total = jnp.zeros(a.shape[:2])
    ours, theirs = (NETS[net].taps(params, image) for image in (a, b))
    for index, layer in enumerate(NETS[net].lpips):
        difference = normalize_channels(ours[layer]) - normalize_channels(theirs[layer])
        apart = jnp.square(difference) @ params[f"lin{index}"]
        total = total + jax.image.resize(apart, a.shape[:2], "linear")
    return total


@partial(jax.jit, static_argnums=(0, 1))
def lpips_mask(
    problem: Problem, mask: MaskSpec, weights: NetworkParams, latents: Latents, images: Array
) -> Array:
    """[L, h, w, 1], 1 where the LPIPS between images [L, h, w, 3] and what latents draw is low."""
    net = str(mask.net)

    def one(lane: tuple[Latents, Array]) -> Array:
        drawn = problem.gen.synthesize(weights.params, lane[0], problem.render_size)
        seen = area_reduce(drawn, problem.size)
        apart = lpips_map(net, weights.nets[net], seen, lane[1])
        return (apart < mask.below).astype(jnp.float32)[..., None]

    return map_lanes(one, problem.width, (latents, images))


def masks_after(
    problem: Problem,
    weights: NetworkParams,
    preset: Preset,
    stage: int,
    lanes: tuple[Latents, Array, dict[str, Array]],
) -> dict[str, Array]:
    """All masks of lanes (latents, images, masks so far) once stage number `stage` has ended."""
    latents, images, found = lanes
    for mask in preset.masks:
        if mask.after == stage:
            values = lpips_mask(problem, mask, weights, latents, images)
            found = found | {mask.name: values * found[mask.within] if mask.within else values}
    return found
