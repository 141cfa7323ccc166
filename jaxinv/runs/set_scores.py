"""The pictures of runs as sets: what a net sees in them, and how far they are from real ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io import images
from jaxinv.metrics.distributions import class_pixels
from jaxinv.metrics.set_table import INCEPTION, PARTS, TwoSets, measure_sets
from jaxinv.models.features.backbones import NETS
from jaxinv.models.features.nets import embed, load_net
from jaxinv.models.loading import load_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jaxinv.runs.finished import FinishedRun
    from jaxinv.types import Array, Params


class Extractor(NamedTuple):
    """A net by its name, its features [d] of a picture uint8 [h, w, 3], its logits if any."""

    net: str
    features: Callable[[np.ndarray], np.ndarray]
    logits: Callable[[np.ndarray], np.ndarray] | None = None


def extractor(name: str) -> Extractor:
    """The net of that name or file, for features of whole pictures.

    "alexnet" and "vgg16" give the means of their last layer over the picture; a net that `jaxinv
    convert` made its own vector; one that parses pictures the number of pixels of every class.
    Raises `ValueError` for other names and files.
    """
    if name in NETS:
        return Extractor(name, partial(_means, name, load_features((name,))[name]))
    net, params = load_net(name)

    def see(tap: str, picture: np.ndarray) -> np.ndarray:
        return embed(net, params, picture[None], tap=tap)[0]

    def parts(picture: np.ndarray) -> np.ndarray:
        scores = see("", picture)
        return class_pixels(scores.argmax(-1)[None], scores.shape[-1])[0]

    own = net.architecture
    logits = partial(see, "logits") if own == INCEPTION else None
    return Extractor(own, parts if own == PARTS else partial(see, ""), logits)


def _means(name: str, params: Params, picture: np.ndarray) -> np.ndarray:
    return np.asarray(_last_means(name, params, picture))


@partial(jax.jit, static_argnums=0)
def _last_means(name: str, params: Params, picture: Array) -> Array:
    net = NETS[name]
    taps = net.taps(params, picture.astype(jnp.float32) / 127.5 - 1)
    return taps[net.lpips[-1]].mean((0, 1))


class SetScores(NamedTuple):
    """Scores by run, the net, what the reference was, and what could not be measured or read."""

    values: dict[str, dict[str, float]]
    net: str
    protocol: dict[str, object]
    problems: list[str]


def score_sets(
    runs: Sequence[FinishedRun], shared: Sequence[str], reference: str, net: str | None
) -> SetScores:
    """Distances of each run's shared pictures from those of the folder `reference`.

    All are brought to the smallest side at which one was scored, reduced to a power of two.
    Raises `ValueError` for a folder without pictures, and for a net that cannot be used.
    """
    used = None if net is None else extractor(net)
    files = images.find_images([reference])
    if not files:
        raise ValueError(f"no image files in {reference}; allowed: a folder of real pictures")
    smallest = min(run.pictures[content].size for run in runs for content in shared)
    side = 2 ** (smallest.bit_length() - 1)
    problems: list[str] = []
    real = read_pictures(files, side, problems)
    if not len(real):
        raise ValueError(f"no picture in {reference} can be read: {problems[0]}")
    seen = None if used is None else _rows(used.features, real)
    values = {}
    for run in runs:
        fake = read_pictures(map(run.picture, shared), side, problems)
        if not len(fake):
            continue
        sets = TwoSets(fake, real)
        if used is not None:
            logits = None if used.logits is None else _rows(used.logits, fake)
            sets = TwoSets(fake, real, used.net, _rows(used.features, fake), seen, logits)
        values[run.label], reasons = measure_sets(sets)
        problems += [f"{run.label}: {reason}" for reason in reasons]
    protocol: dict[str, object] = {"reference": f"{reference}: {len(real)} pictures at {side} px"}
    if used is not None:
        protocol["features"] = f"{net} ({used.net}) on pictures of {side} px"
    return SetScores(values, used.net if used else "", protocol, problems)


def _rows(see: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    return np.stack([see(picture) for picture in pictures])


def read_pictures(files: Iterable[Path], side: int, problems: list[str]) -> np.ndarray:
    """Pictures uint8 [n, side, side, 3]; one that cannot be read goes to `problems`."""
    found = []
    for file in files:
        try:
            found.append(images.to_uint8(images.read_photo(file, size=side).pixels))
        except images.ImageError as error:
            problems.append(str(error))
    return np.stack(found) if found else np.empty((0, side, side, 3), np.uint8)
