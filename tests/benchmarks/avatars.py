"""How near the pictures of the packaged generator are to held-out ones: `... avatars DATA`.

Fréchet distances of AlexNet features (means over positions of its last layer), which no
published figure uses; beside them, that of other pictures of the data.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.decoding import decode
from jaxinv.io.images import resize
from jaxinv.io.picture_sets import open_set
from jaxinv.latents.sampling import sample_latents
from jaxinv.metrics.distributions import frechet_distance
from jaxinv.models.features.backbones import NETS
from jaxinv.models.loading import load_features, load_generator
from jaxinv.models.rendering import render
from jaxinv.training.data import split

NET, LAYER, SIDE = "alexnet", "relu5", 128


def features(pictures: np.ndarray) -> np.ndarray:
    """[n, channels] of pictures [n, s, s, 3], enlarged to SIDE."""
    params = load_features((NET,))[NET]

    @jax.jit
    def look(picture: jax.Array) -> jax.Array:
        seen = NETS[NET].taps(params, jax.image.resize(picture, (SIDE, SIDE, 3), "cubic"))
        return seen[LAYER].mean((0, 1))

    return np.stack([np.asarray(look(jnp.asarray(one))) for one in pictures])


def report(data: Path, name: str = "avatars") -> None:
    """Print the distances; `data` are the pictures that it was trained on."""
    gen, params = load_generator(name)
    pictures = open_set(str(data))
    seen, held = split(len(pictures.names))

    def read(few: list[int]) -> np.ndarray:
        whole = [decode(pictures.read(i), size=None, background=0.5).pixels for i in few]
        return np.stack([resize(one, gen.spec.resolution) for one in whole])

    count = len(held)
    asked, others = read(held), read(seen[:: max(len(seen) // count, 1)][:count])
    drawn = render(gen, params, sample_latents(gen, params, count, seed=0))
    known = features(asked)
    for words, few in (("samples", drawn), ("other pictures", others)):
        print(f"{words}: {frechet_distance(features(few), known):.3f}")
