"""Parts of clouds of points, completed by a generator of whole ones.

Source: Zhang et al. 2021, Unsupervised 3D Shape Completion through GAN Inversion, arXiv:2104.13788
(preset "shapeinversion").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv.inversion.invert import invert
from jaxinv.metrics.clouds import check_cloud, farthest, one_way
from jaxinv.models.arguments import check_generator
from jaxinv.models.rendering import render
from jaxinv.specs.checks import check_list, check_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset
    from jaxinv.types import Latents, Params


class Completed(NamedTuple):
    """Whole clouds for B parts.

    clouds: [B, points, 3]. latents: of which they are drawn, [B, ...]. distances: [B], the mean
    squared distance of every point of a part to the nearest of the whole.
    """

    clouds: np.ndarray
    latents: Latents
    distances: np.ndarray


def as_picture(cloud: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A cloud [n, 3] as a picture [side, side, 3], and its mask [side, side], 1 at its points.

    Raises `ValueError` for more than side x side points, and points outside [-1, 1].
    """
    points = check_cloud("cloud", cloud)
    if len(points) > side * side:
        raise ValueError(f"{len(points)} points; allowed: at most {side * side}")
    if np.abs(points).max() > 1:
        raise ValueError(
            f"points up to {np.abs(points).max():.3g} away along an axis; allowed: -1 to 1, in the "
            f"frame of the generator's shapes"
        )
    picture, mask = np.zeros((side * side, 3), np.float32), np.zeros(side * side, np.float32)
    picture[: len(points)], mask[: len(points)] = points, 1
    return picture.reshape(side, side, 3), mask.reshape(side, side)


def as_cloud(gen: Generator, picture: np.ndarray) -> np.ndarray:
    """The points [points, 3] of what a generator of clouds has drawn, [side, side, 3]."""
    return np.asarray(picture).reshape(-1, 3)[: gen.spec.points]


def draw_clouds(gen: Generator, params: Params, latents: Latents) -> np.ndarray:
    """Clouds [B, points, 3] of latents [B, ...]; `ValueError` for a generator of pictures."""
    _check_clouds(gen)
    return np.stack([as_cloud(gen, one) for one in render(gen, params, latents)])


def complete(
    gen: Generator,
    params: Params,
    parts: Sequence[np.ndarray],
    *,
    preset: Preset | str = "shapeinversion",
    **options: Any,
) -> Completed:
    """Whole clouds of which the parts may be seen.

    Args:
        gen: a generator of clouds, with its `params`.
        params: its parameters.
        parts: clouds [n, 3] of at most as many points as the generator draws, in its frame.
        preset: a method whose terms compare clouds.
        **options: of `invert`.

    Raises:
        ValueError: parts that are no clouds or do not fit, a generator of pictures; as `invert`.
    """
    check_generator(gen, params)
    _check_clouds(gen)
    check_list("parts", parts, "clouds [n, 3]")
    pairs = [as_picture(part, gen.spec.resolution) for part in parts]
    if not pairs:
        raise ValueError("no parts; allowed: at least one cloud [n, 3]")
    pictures, masks = (np.stack(some) for some in zip(*pairs, strict=True))
    found = invert(gen, params, pictures, preset=preset, masks=masks, **options)
    clouds = draw_clouds(gen, params, found.latents)
    apart = [one_way(part, cloud) for part, cloud in zip(parts, clouds, strict=True)]
    return Completed(clouds, found.latents, np.array(apart))


def complete_variously(
    gen: Generator, params: Params, part: np.ndarray, count: int, **options: Any
) -> Completed:
    """`count` whole clouds of ONE part that differ: of more searches, those farthest apart.

    Arguments and errors as of `complete`. As many searches are run as `restarts` says (three times
    the count), and the half that is nearest to the part is chosen from.
    """
    check_whole("count", count, 1)
    tries = options.pop("restarts", None) or 3 * count
    check_whole("restarts", tries, count)
    seed = options.pop("seed", 0)
    parts, seeds = [part], range(seed, seed + tries)
    found = [complete(gen, params, parts, seed=one, **options) for one in seeds]
    order = np.argsort([one.distances[0] for one in found])[: max(count, tries // 2)]
    near = [found[number] for number in order]
    chosen = [near[number] for number in farthest([one.clouds[0] for one in near], count)]
    return Completed(
        np.concatenate([one.clouds for one in chosen]),
        jax.tree.map(lambda *leaves: np.concatenate(leaves), *[one.latents for one in chosen]),
        np.concatenate([one.distances for one in chosen]),
    )


def _check_clouds(gen: Generator) -> None:
    if not gen.spec.points:
        raise ValueError(f"generator {gen.spec.name!r} draws pictures; allowed: one of clouds")
