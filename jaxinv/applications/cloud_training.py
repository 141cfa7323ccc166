"""A generator of clouds of points, learned from clouds.

Trained by implicit maximum likelihood (Li & Malik 2018, arXiv:1809.09087): each cloud pulls the
nearest of some random ones towards it, so that none is left out, as adversarial training may do.
tree-GAN itself is trained against a critic.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.training import Training, fit
from jaxinv.losses.clouds import chamfer_distance, patch_variance
from jaxinv.models.generators.wavegan import side_of
from jaxinv.models.loading import build
from jaxinv.specs import GeneratorSpec
from jaxinv.specs.checks import check_array, check_whole

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Params

EVEN = 0.003  # weight of the unevenness of clouds
USUAL = Training(2000, 2e-3, label="learning clouds")


def learn_clouds(
    clouds: np.ndarray,
    name: str,
    *,
    z_dim: int = 8,
    layers: tuple[tuple[int, int], ...] = ((64, 1), (64, 2), (32, 4), (32, 4)),
    support: int = 4,
    batch: int = 4,
    candidates: int = 16,
    training: Training = USUAL,
) -> tuple[Generator, Params]:
    """A tree-GAN whose clouds are distributed as those given, about.

    Args:
        clouds: [K, n, 3] in [-1, 1].
        name: of the new generator.
        z_dim: length of its z.
        layers: features and degree of every branching but the last, which makes as many points of
            each node as are wanted.
        support: how many times more features there are inside a branching.
        batch: clouds of a step.
        candidates: random clouds of a step, of which each of the batch takes the nearest.
        training: steps, rate and seed.

    Returns:
        A generator and its parameters, for `jaxinv.io.checkpoints.save`.

    Raises:
        ValueError: clouds that are none, and numbers of points that the tree does not divide.
    """
    given = check_array("clouds", clouds, "f")
    if given.ndim != 3 or given.shape[2] != 3 or not given.size or np.abs(given).max() > 1:
        raise ValueError(f"clouds have shape {list(given.shape)}; allowed: [K, n, 3] in [-1, 1]")
    for what, number in (("z_dim", z_dim), ("batch", batch), ("candidates", candidates)):
        check_whole(what, number, 1)
    nodes, count = math.prod(degree for _, degree in layers), given.shape[1]
    if count % nodes or side_of(count) < 8:
        raise ValueError(
            f"clouds of {count} points; allowed: at least 50, and a multiple of {nodes}, the nodes "
            f"of the tree"
        )
    facts = (("layers", (*layers, (3, count // nodes))), ("support", support))
    side = side_of(count)
    gen = build(GeneratorSpec(name, "treegan", side, z_dim, points=count, facts=facts))
    start = gen.init(jax.random.key(training.seed))
    loss = partial(_nearest_loss, gen, (batch, candidates))
    found = fit(loss, start, jnp.asarray(given, jnp.float32), training)
    return gen, jax.tree.map(np.asarray, found.params)


def _nearest_loss(
    gen: Generator, counts: tuple[int, int], params: Params, clouds: Any, key: Key
) -> Array:
    """The mean Chamfer distance of some clouds to the nearest of random ones."""
    batch, candidates = counts
    first, second = jax.random.split(key)
    wanted = clouds[jax.random.randint(first, (batch,), 0, len(clouds))]
    codes = jax.random.normal(second, (candidates, gen.spec.z_dim))
    known = jnp.ones(clouds.shape[1])

    def drawn(code: Array) -> Array:
        return gen.synthesize(params, {"z": code}).reshape(-1, 3)[: gen.spec.points]

    whole = jax.vmap(drawn)(codes)

    def one(cloud: Array) -> Array:
        apart = jax.vmap(lambda other: chamfer_distance(other, cloud, known))(whole)
        return jnp.min(apart)

    even = jnp.mean(jax.vmap(patch_variance)(whole))
    return jnp.mean(jax.vmap(one)(wanted)) + EVEN * even
