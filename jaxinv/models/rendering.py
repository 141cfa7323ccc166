"""Latents -> images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import numpy as np
from flax.errors import FlaxError

from jaxinv.io import images
from jaxinv.io.latent_files import fit_latents
from jaxinv.io.point_clouds import picture_of
from jaxinv.models.arguments import check_generator, check_latents, samples_of
from jaxinv.nn.resample import area_reduce
from jaxinv.specs.checks import check_whole

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Latents, Params


@partial(jax.jit, static_argnums=0)
def _drawn(gen: Generator, params: Params, latents: Latents) -> Array:
    return gen.synthesize(params, latents)


_reduced = partial(jax.jit, static_argnums=1)(area_reduce)


def draw_one(gen: Generator, params: Params, latents: Latents, size: int | None) -> Array:
    """Image [size, size, 3] of one sample, reduced by area means; None: as large as it is drawn.

    Two programs: in one, a CPU computes the last layers anew for every part of a mean, and every
    size would have to be compiled.
    """
    image = _drawn(gen, params, latents)
    return image if size is None else _reduced(image, size)


def render(
    gen: Generator, params: Params, latents: Latents, *, size: int | None = None
) -> np.ndarray:
    """Draw latents: images float32 [B, size, size, 3] in about [-1, 1].

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: by space, each with a leading axis B, as in `Inversion.latents`.
        size: side in px, at most the generator's, which is the default; reduced by area means.

    Raises:
        ValueError: the latents cannot be drawn by this generator.

    Samples go through the compiled program one at a time, so that an image's bytes do not depend on
    what is drawn beside it.
    """
    check_generator(gen, params)
    if size is not None:
        check_whole("size", size, 1)
        if size > gen.spec.resolution:
            raise ValueError(f"size {size}; allowed: at most {gen.spec.resolution}")
    latents, _ = check_latents(gen, params, latents)
    samples = (fit_latents(gen.spec, one) for one in samples_of(latents))
    try:
        return np.stack([np.asarray(draw_one(gen, params, sample, size)) for sample in samples])
    except (LookupError, TypeError, AttributeError, FlaxError) as error:
        raise ValueError(
            f"generator {gen.spec.name!r} cannot draw {', '.join(sorted(latents))} "
            f"({type(error).__name__}: {' '.join(str(error).split()):.120})"
        ) from error


def render_uint8(gen: Generator, params: Params, latents: Latents) -> np.ndarray:
    """The image of one sample as it is written: uint8 [H, W, 3] at full resolution.

    Of a cloud of points, a picture of it.
    """
    batch = jax.tree.map(lambda a: np.asarray(a)[None], latents)
    (drawn,) = render(gen, params, batch)
    if gen.spec.points:
        return picture_of(drawn.reshape(-1, 3))
    return images.to_uint8(drawn)
