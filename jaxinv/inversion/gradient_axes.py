"""Gradient axes: the directions of W+ in which a loss pulls, the same for all images.

The curvature of an image loss around a latent code has nearly the same eigenvectors everywhere
(Wang & Ponce 2021, The Geometry of Deep Generative Image Models and its Applications, section 4),
so they are measured once per generator and kept. A solver that scales coordinates, as Adam does,
is at its best in these axes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.inversion.objective import Objective
from jaxinv.inversion.problem import Lane, NetworkParams, Problem, image_terms
from jaxinv.latents.codecs import GRADIENT_AXES
from jaxinv.latents.spaces import draw_prior, encode
from jaxinv.losses.terms import extract_features
from jaxinv.models.statistics import STATISTICS
from jaxinv.models.weights import disk_cached
from jaxinv.specs import Preset, Stage, Variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Params

SAMPLES = 160
TOGETHER = 16
SIZE = 256
SEED = 0
CODECS = ("gradient-axes", "preconditioned")  # that live in these axes
WHITE = Variable("w+", codec="whiten")


def stage_with_axes(preset: Preset) -> Stage | None:
    """The first stage whose codes live in gradient axes, or None."""
    stages = (s for s in preset.stages if any(v.codec in CODECS for v in s.variables))
    return next(stages, None)


def with_axes(
    gen: Generator,
    params: Params,
    preset: Preset,
    nets: dict[str, Params],
    *,
    report: Callable[[str], object] = lambda line: None,
) -> Params:
    """The parameters, their statistics with gradient axes [rows, d, d] if `preset` needs them.

    They are measured on the image terms of the preset's stage and kept in the cache folder;
    `report` is told before a measurement begins.
    """
    stage = stage_with_axes(preset)
    if stage is None or GRADIENT_AXES in params[STATISTICS]:
        return params
    terms = image_terms(stage)

    def compute() -> Params:
        report(f"measuring the gradient axes of {gen.spec.name}, once (a minute or two on a CPU)")
        return {GRADIENT_AXES: gradient_axes(gen, params, nets, Stage((WHITE,), terms, steps=1))}

    content = (params["mapping"], params["synthesis"], nets)
    turns = disk_cached(f"axes-{SAMPLES}-{SEED}-{terms}", content, compute)
    return {**params, STATISTICS: {**params[STATISTICS], **turns}}


def gradient_axes(gen: Generator, params: Params, nets: dict[str, Params], stage: Stage) -> Array:
    """Per row of W+, eigenvectors of the mean outer product of gradients, strongest first.

    [rows, d, d], eigenvectors in columns, in whitened W. Each of the `SAMPLES` gradients pulls a
    random code, drawn towards the mean, to the image of another, as a search on its way does.
    """
    problem = Problem(gen, stage, min(SIZE, gen.spec.resolution), 1)
    keys = jax.random.split(jax.random.key(SEED), SAMPLES)
    weights = NetworkParams(params, nets)
    parts = [
        np.asarray(gradients(problem, weights, keys[first : first + TOGETHER]), np.float64)
        for first in range(0, SAMPLES, TOGETHER)
    ]
    pulls = np.concatenate(parts)
    moments = np.einsum("nri,nrj->rij", pulls, pulls, optimize=True)
    # A little of the diagonal decides among directions that no sample has told apart.
    moments += 0.1 * np.einsum("rii->ri", moments)[:, None] * np.eye(moments.shape[1])
    return jnp.asarray(np.linalg.eigh(moments)[1][..., ::-1], jnp.float32)


@partial(jax.jit, static_argnums=0)
def gradients(problem: Problem, weights: NetworkParams, keys: Key) -> Array:
    """Gradients [n, rows, d] of the stage's loss in whitened W+, one per key."""
    gen, params = problem.gen, weights.params

    def one(key: Key) -> Array:
        ours, theirs, reach = jax.random.split(key, 3)
        image = gen.synthesize(params, draw_prior(gen.spec, theirs), problem.size)
        lane = Lane(
            extract_features(problem.stage.terms, weights.nets, image),
            None,
            key,
            jnp.zeros((), jnp.int32),
            {},
        )
        code = encode(gen, params, WHITE, draw_prior(gen.spec, ours))
        code = 0.7 * jax.random.uniform(reach) * code
        loss: Any = Objective(problem, weights, lane, jnp.zeros(()))
        return jax.grad(lambda code: loss({"w+": code}, key)[0])(code)

    return jax.lax.map(one, keys)
