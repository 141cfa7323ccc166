"""Names or files -> generators and feature nets, ready to use.

Nothing is downloaded here: see `jaxinv pull`.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import checkpoints
from jaxinv.checkpoints import read_spec, weights_file
from jaxinv.checks import check_choice
from jaxinv.generators import (
    biggan,
    chain_discriminator,
    dcgan,
    mobilestylegan,
    pggan,
    progressive_discriminator,
    residual_discriminator,
    stylegan1,
    stylegan2,
    stylegan3,
)
from jaxinv.nn.conv import FROZEN, freeze
from jaxinv.spaces import IN_P, SLOPE, STATISTICS, P
from jaxinv.specs import GeneratorSpec
from jaxinv.vocabulary import NETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxinv.generators.base import Generator
    from jaxinv.generators.discriminator import Discriminator
    from jaxinv.specs import Preset
    from jaxinv.types import Params, Tree

ARCHITECTURES: dict[str, Callable[[GeneratorSpec], Generator]] = {
    "biggan": biggan.build,
    "dcgan": dcgan.build,
    "mobilestylegan": mobilestylegan.build,
    "pggan": pggan.build,
    "stylegan1": stylegan1.build,
    "stylegan2": stylegan2.build,
    "stylegan3": stylegan3.build,
}
DISCRIMINATORS: dict[str, Callable[[GeneratorSpec], Discriminator]] = {
    "chain": chain_discriminator.build,
    "progressive": progressive_discriminator.build,
    "residual": residual_discriminator.build,
}
SAMPLES = 20_000
P_SAMPLES = 1_000_000
BATCH = 2_000
SEED = 0


@lru_cache
def build(spec: GeneratorSpec) -> Generator:
    """The generator of `spec`; equal specs give one object, so that programs are shared.

    Raises `ValueError` for facts that fit no architecture.
    """
    check_choice("architecture", spec.architecture, tuple(ARCHITECTURES))
    try:
        return _built(spec)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"the facts of {spec.name!r} fit no generator ({error!r:.120})") from error


def _built(spec: GeneratorSpec) -> Generator:
    gen = ARCHITECTURES[spec.architecture](spec)
    plan = dict(spec.facts).get("discriminator")
    if plan is None:
        return gen
    check_choice("discriminator", plan[0], tuple(DISCRIMINATORS))
    return gen._replace(discriminator=DISCRIMINATORS[plan[0]](spec))


def read_weights(path: Path) -> tuple[Params, dict[str, str]]:
    """Parameters and metadata of a converted checkpoint.

    Raises `ValueError` if its contents are not what it says.
    """
    params, metadata = checkpoints.load(path)
    expected = metadata.get("content_sha256")
    if expected is not None and checkpoints.content_sha256(params) != expected:
        raise ValueError(
            f"{path} is damaged: its contents do not have the recorded SHA-256 {expected}; "
            f"pull it again"
        )
    return jax.device_put(params), metadata  # `jnp.asarray` would compile a program per shape


def use_compilation_cache() -> None:
    """Keep compiled programs in the cache folder, unless the user has chosen a place, or none."""
    chosen: Any = jax.config  # its options are attributes that are made when it starts
    if chosen.jax_compilation_cache_dir is None and chosen.jax_enable_compilation_cache:
        jax.config.update("jax_compilation_cache_dir", str(checkpoints.cache_dir() / "compiled"))
        # Small programs too: a first step needs dozens of them.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def load_generator(name: str = "ffhq") -> tuple[Generator, Params]:
    """The generator called `name` (or a converted .safetensors file) and its parameters.

    The parameters gain "frozen" (backward kernels) and, for generators with a W space, "statistics"
    (see `w_statistics`). Raises `ValueError` when the weights are missing or malformed.
    """
    path = weights_file(name)
    use_compilation_cache()
    params, metadata = read_weights(path)
    gen = build(read_spec(metadata))
    params[FROZEN] = freeze(params)
    if gen.spec.w_dim:
        params[STATISTICS] = cached_statistics(gen, params)
    return gen, params


def load_features(names: tuple[str, ...]) -> dict[str, Params]:
    """Parameters of the feature nets called `names` ("alexnet", "vgg16"), with backward kernels."""
    nets: dict[str, Params] = {}
    for name in names:
        check_choice("feature net", name, NETS)
        params = read_weights(weights_file(name))[0]
        nets[name] = {**params, FROZEN: freeze(params)}
    return nets


def mapped_batches(gen: Generator, params: Params, samples: int) -> Iterator[np.ndarray]:
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
    w = np.concatenate(list(mapped_batches(gen, params, SAMPLES)))
    mean = w.mean(0)
    found = principal(mean, (w - mean).T @ (w - mean) / len(w))
    return _single({**found, "std": np.sqrt(np.sum(found["scales"] ** 2))})


def p_statistics(gen: Generator, params: Params) -> Params:
    """Mean [d], principal axes [d, d], deviations along them and along the coordinates [d] of P.

    P is W before the last activation of the mapping network (Zhu et al. 2020, arXiv:2012.09036,
    section 3.1); from a million mapped draws, of which no more than a batch is held at a time.
    """
    count, total, square = 0, 0.0, 0.0
    for w in mapped_batches(gen, params, P_SAMPLES):
        p = np.where(w > 0, w, w / SLOPE)
        count, total, square = count + len(p), total + p.sum(0), square + p.T @ p
    mean = np.asarray(total / count)
    covariance = square / count - np.outer(mean, mean)
    deviations = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    return _single({**principal(mean, covariance), "deviations": deviations})


def principal(mean: np.ndarray, covariance: np.ndarray) -> dict[str, np.ndarray]:
    """The mean, axes in columns and deviations along them, the largest first."""
    values, axes = np.linalg.eigh(covariance)
    axes = axes[:, ::-1] * np.sign(axes[:, ::-1].sum(0))
    return {"mean": mean, "axes": axes, "scales": np.sqrt(np.maximum(values[::-1], 1e-12))}


def _single(found: dict[str, np.ndarray]) -> Params:
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def with_p(
    gen: Generator,
    params: Params,
    preset: Preset,
    *,
    report: Callable[[str], object] = lambda line: None,
) -> Params:
    """The parameters, their statistics with those of P if any part of `preset` needs them.

    They are kept in the cache folder; `report` is told before they are computed.
    """
    variables = [v for stage in preset.stages for v in stage.variables]
    terms = [term for stage in preset.stages for term in stage.terms]
    needed = any(v.codec in IN_P for v in variables) or any(t.name == "mahalanobis" for t in terms)
    if not needed or P in params[STATISTICS]:
        return params

    def compute() -> Params:
        report(f"statistics of P of {gen.spec.name}, once (about a minute on a CPU)")
        return p_statistics(gen, params)

    found = remembered(f"p-{P_SAMPLES}-{SEED}", params["mapping"], compute)
    return {**params, STATISTICS: {**params[STATISTICS], P: found}}


def cached_statistics(gen: Generator, params: Params) -> Params:
    """`w_statistics`, kept in the cache folder under a hash of the mapping's weights."""
    return remembered(f"w-{SAMPLES}-{SEED}", params["mapping"], lambda: w_statistics(gen, params))


def remembered(label: str, content: Tree, compute: Callable[[], Params]) -> Params:
    """`compute()`, kept in the cache folder under a hash of `label` and of the arrays of `content`.

    A file that is damaged is computed anew; a folder that cannot be written is done without.
    """
    digest = hashlib.sha256(label.encode())
    for leaf in jax.tree.leaves(content):
        digest.update(np.asarray(leaf).tobytes())
    path = checkpoints.cache_dir() / "statistics" / f"{digest.hexdigest()[:32]}.safetensors"
    try:
        return read_weights(path)[0]
    except (OSError, ValueError):
        found = compute()
    facts = {"format": "jaxinv", "schema": "1", "kind": "statistics", "label": label}
    facts["content_sha256"] = checkpoints.content_sha256(found)
    with suppress(OSError):
        checkpoints.save(path, found, facts)
    return found
