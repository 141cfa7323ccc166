"""Learned starts: a linear guess of w from what a picture looks like, better than the mean of W.

A ridge regression from pixels and pooled features to whitened w, learned on a few of the
generator's own pictures, once per generator (Hoerl & Kennard 1970; as encoders of GANs are, for
example Zhu et al. 2016, arXiv:1609.03552, but linear). It is a start, not an answer: the search
begins there with the same w in all rows.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.features.backbones import NETS
from jaxinv.models.statistics import STATISTICS
from jaxinv.nn.resample import resize

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset, Stage
    from jaxinv.types import Array, Latents, Params

RIDGE = "start"
SIDE = 256  # of the pictures that features are taken from
THUMBNAIL = 16  # side of the pixels that are compared
GRID = 4  # cells along a side that a layer is averaged over
NET, TAPS = "alexnet", ("relu2", "relu3", "relu4", "relu5")
DIRECTIONS = 128  # principal axes of W that are guessed; a linear map cannot tell the others
RIDGE_PENALTIES = tuple(10.0**power for power in range(-9, 3))


def needs_learned_init(preset: Preset) -> bool:
    """Whether a variable of the preset begins at a learned start."""
    return any(map(begins_learned, preset.stages))


def begins_learned(stage: Stage) -> bool:
    """Whether a variable of the stage begins at a learned start."""
    return any(v.init.kind == "learned" for v in stage.variables)


def usable_nets(gen: Generator, preset: Preset, nets: dict[str, Params]) -> dict[str, Params]:
    """The net whose features are regressed on, where the preset has it and pictures are enough."""
    enough = side(gen) >= NETS[NET].smallest
    return {NET: nets[NET]} if NET in preset.nets and enough else {}


def side(gen: Generator) -> int:
    """Side of the pictures that features are taken from, whatever the size of photographs."""
    return min(SIDE, gen.spec.resolution)


def features_of(gen: Generator, nets: dict[str, Params], image: Array) -> dict[str, Array]:
    """Features of image [h, w, 3] by group, each a vector: a thumbnail, and pooled layers."""
    image = resize(image, side(gen))
    groups = {"pixels": image} | (NETS[NET].taps(nets[NET], image) if nets else {})
    cells = {"pixels": THUMBNAIL} | dict.fromkeys(TAPS if nets else (), GRID)
    return {
        name: resize(groups[name], min(count, *groups[name].shape[:2])).ravel()
        for name, count in sorted(cells.items())
    }


def regress(groups: dict[str, np.ndarray], codes: np.ndarray) -> Params:
    """Ridge regression of codes [n, d] on groups of features [n, p], all groups of equal weight.

    "centre" [d'] plus (features - "mean" [p]) @ "matrix" [p, d'] guesses the first `DIRECTIONS`.

    Every code has the ridge that predicts best what is left out, one sample at a time: with the
    hat matrix H the error of a sample left out is its residual / (1 - H_ii) (Hastie et al. 2009,
    The Elements of Statistical Learning, equation 7.64).
    """
    features = np.concatenate(list(groups.values()), axis=1).astype(np.float64)
    codes = codes[:, :DIRECTIONS]
    mean, centre = features.mean(0), codes.mean(0, dtype=np.float64)
    features -= mean
    scale = np.concatenate([_scales(group.astype(np.float64)) for group in groups.values()])
    features /= scale
    values, vectors = np.linalg.eigh(features @ features.T)
    values, turned = np.maximum(values, 0.0)[:, None], vectors.T @ (codes - centre)
    errors: list[np.ndarray] = []
    for ridge in RIDGE_PENALTIES:
        keep = values / (values + ridge)
        left_out = (codes - centre - vectors @ (keep * turned)) / (1 - np.square(vectors) @ keep)
        errors.append(np.mean(np.square(left_out), axis=0))
    shrunk = 1 / (values + np.asarray(RIDGE_PENALTIES)[np.argmin(errors, axis=0)])
    matrix = features.T @ (vectors @ (shrunk * turned)) / scale[:, None]
    found = {"mean": mean, "centre": centre, "matrix": matrix}
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def _scales(group: np.ndarray) -> np.ndarray:
    """What a group's features are divided by: deviations, floored, and their number of samples."""
    deviations = group.std(0)
    floored = deviations + 0.05 * np.sqrt(np.mean(np.square(deviations))) + 1e-12
    return floored * np.sqrt(np.sum(np.square(deviations / floored)))


@partial(jax.jit, static_argnums=0)
def predict_w(gen: Generator, params: Params, nets: dict[str, Params], images: Array) -> Array:
    """Guessed w [n, w_dim] of images [n, h, w, 3], each on its own."""
    st = params[STATISTICS]
    start = st[RIDGE]

    def one(image: Array) -> Array:
        seen = jnp.concatenate(list(features_of(gen, nets, image).values()))
        code = start["centre"] + (seen - start["mean"]) @ start["matrix"]
        known = code.shape[0]
        return st["mean"] + (code * st["scales"][:known]) @ st["axes"][:, :known].T

    return jax.lax.map(one, images)


def learned_init(
    gen: Generator, params: Params, preset: Preset, nets: dict[str, Params], images: Array
) -> Latents:
    """{"w": guessed w [n, w_dim]} for images [n, h, w, 3] if the preset begins there, else {}."""
    if not needs_learned_init(preset):
        return {}
    return {"w": predict_w(gen, params, usable_nets(gen, preset, nets), images)}
