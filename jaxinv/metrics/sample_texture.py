"""How far the fine texture of a written picture is from that of a generator's own samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from jaxinv.io.progress import track
from jaxinv.latents.spaces import draw_prior
from jaxinv.metrics.naturalness import (
    TILE,
    fine_patches,
    projected_quantiles,
    quantile_distance,
)
from jaxinv.models.generators.base import convert
from jaxinv.models.rendering import render_uint8
from jaxinv.models.weights import disk_cached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

SAMPLES, SEED = 8, 1
LABEL = "drawing samples to compare fine texture with"


class Texture(NamedTuple):
    """Fine patches of samples: quantiles along directions, and the usual distance of a sample.

    `usual` is the median distance of one sample's patches from those of all others.
    """

    quantiles: np.ndarray
    usual: np.ndarray

    def distance(self, picture: np.ndarray) -> float:
        """How far the patches of uint8 [h, w, 3] are, in usual distances of samples: 1 is usual."""
        found = projected_quantiles(fine_patches(picture[None]))
        return float(quantile_distance(found, self.quantiles) / self.usual)


def sample_texture(
    gen: Generator, params: Params, report: Callable[[str], object] | None = None
) -> Texture | None:
    """The texture of `SAMPLES` random pictures of a generator, drawn once and kept.

    None where pictures are below 64 px. Lines about the progress go to `report`, or to stderr.
    """
    if gen.spec.resolution < TILE:
        return None

    def compute() -> Params:
        drawn = track(samples(gen, params), SAMPLES, f"{LABEL} ({gen.spec.name})", report)
        return texture_of(list(drawn))._asdict()

    weights = [params[name] for name in ("mapping", "synthesis") if name in params]
    found = disk_cached(f"texture-{SAMPLES}-{SEED}", weights, compute, names=Texture._fields)
    return Texture(**jax.tree.map(np.asarray, found))


def samples(gen: Generator, params: Params) -> Iterator[np.ndarray]:
    """Random pictures, uint8 [h, w, 3], each of a code as results have them (W+ where there is)."""
    for key in jax.random.split(jax.random.key(SEED), SAMPLES):
        latents: Latents = draw_prior(gen.spec, key)
        if gen.spec.w_dim:  # the program that draws results is there already
            rest = {name: latents[name] for name in latents if name != "z"}
            latents = {**rest, "w+": convert(gen, params, latents, "w+")}
        yield render_uint8(gen, params, latents)


def texture_of(pictures: list[np.ndarray]) -> Texture:
    """The texture of at least two pictures uint8 [h, w, 3]."""
    patches = [fine_patches(picture[None]) for picture in pictures]
    apart = [
        quantile_distance(
            projected_quantiles(own),
            projected_quantiles(np.concatenate(patches[:place] + patches[place + 1 :])),
        )
        for place, own in enumerate(patches)
    ]
    whole = projected_quantiles(np.concatenate(patches))
    return Texture(whole.astype(np.float32), np.asarray(np.median(apart), np.float32))
