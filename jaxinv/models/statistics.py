"""Statistics of W and P: means, principal axes and deviations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.progress import track
from jaxinv.models.weights import disk_cached
from jaxinv.nn.linear import leaky_relu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Params


SAMPLES = 20_000
P_SAMPLES = 1_000_000
BATCH = 2_000
SEED = 0


def sample_w_batches(gen: Generator, params: Params, samples: int) -> Iterator[np.ndarray]:
    """Batches [n, w_dim] of mapped draws (and classes) with a fixed seed, float64."""
    spec = gen.spec
    mapped = jax.jit(jax.vmap(partial(gen.map, params)))
    for key in jax.random.split(jax.random.key(SEED), samples // BATCH):
        z = jax.random.normal(key, (BATCH, spec.z_dim))
        classes = jax.random.randint(jax.random.fold_in(key, 1), (BATCH,), 0, max(spec.labels, 1))
        labels = (jax.nn.one_hot(classes, spec.labels),) if spec.labels else ()
        yield np.asarray(mapped(z, *labels)).astype(np.float64)


def w_statistics(gen: Generator, params: Params) -> Params:
    """Mean [d], scalar std, principal axes [d, d] and standard deviations along them [d] of W.

    From 20 000 mapped draws (and classes) with a fixed seed. The scalar std is the root mean square
    distance from the mean (Karras et al. 2020, StyleGAN2, appendix D). Axes are columns, largest
    deviation first.
    """
    w = np.concatenate(list(sample_w_batches(gen, params, SAMPLES)))
    mean = w.mean(0)
    found = principal_axes(mean, (w - mean).T @ (w - mean) / len(w))
    return as_float32({**found, "std": np.sqrt(np.sum(found["scales"] ** 2))})


def p_statistics(
    gen: Generator, params: Params, report: Callable[[str], object] | None = None
) -> Params:
    """Mean [d], principal axes [d, d], deviations along them and along the coordinates [d] of P.

    P is W before the last activation of the mapping network (Zhu et al. 2020, arXiv:2012.09036,
    section 3.1); from a million mapped draws, of which only one batch is in memory at a time.
    Lines about the progress go to `report`, or to stderr.
    """
    count, total, square = 0, 0.0, 0.0
    batches = sample_w_batches(gen, params, P_SAMPLES)
    for w in track(batches, P_SAMPLES // BATCH, f"measuring P of {gen.spec.name}", report):
        p = to_p(w, np)
        count, total, square = count + len(p), total + p.sum(0), square + p.T @ p
    mean = np.asarray(total / count)
    covariance = square / count - np.outer(mean, mean)
    deviations = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    return as_float32({**principal_axes(mean, covariance), "deviations": deviations})


def principal_axes(mean: np.ndarray, covariance: np.ndarray) -> dict[str, np.ndarray]:
    """The mean, axes in columns and deviations along them, the largest first."""
    values, axes = np.linalg.eigh(covariance)
    axes = axes[:, ::-1] * np.sign(axes[:, ::-1].sum(0))
    return {"mean": mean, "axes": axes, "scales": np.sqrt(np.maximum(values[::-1], 1e-12))}


def as_float32(found: dict[str, np.ndarray]) -> Params:
    """The arrays on the device, in float32."""
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def cached_statistics(gen: Generator, params: Params) -> Params:
    """`w_statistics`, kept in the cache folder under a hash of the mapping's weights."""
    label, names = f"w-{SAMPLES}-{SEED}", ("mean", "axes", "scales", "std")
    return disk_cached(label, params["mapping"], lambda: w_statistics(gen, params), names=names)


STATISTICS = "statistics"
P = "p"
ANCHORS = "anchors"  # codes [K, rows, w_dim] of the pictures to which a generator was tuned
FLOW = "flow"  # an invertible network from codes to a unit normal, see `nn.couplings`
SLOPE = 0.2


def to_p(w: Any, xp: Any = jnp) -> Any:
    """w before the last activation of the mapping network (leaky ReLU of slope 0.2), up to a gain.

    Zhu et al. 2020, arXiv:2012.09036: a leaky ReLU of slope 5. Computed by `xp`, numpy or JAX's.
    """
    return xp.where(w > 0, w, w / SLOPE)


def to_w(p: Array) -> Array:
    """The inverse of `to_p`."""
    return leaky_relu(p, SLOPE)
