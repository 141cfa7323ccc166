"""Latent spaces and codecs: how the array that a solver moves becomes latents to draw."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.latents.codecs import CODECS
from jaxinv.models.generators.base import Generator, convert, label_of
from jaxinv.models.statistics import STATISTICS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import GeneratorSpec, Variable
    from jaxinv.types import Array, Key, Latents, Params, Tree


CAMERA_SPREAD = 0.2  # radians, of cameras that are drawn


class Space(NamedTuple):
    """One latent space: its mean, a draw from its prior, and the code of given latents in it.

    sample(gen, params, key, given) is of the class that is `given`, if there is one.
    """

    mean: Callable[[Generator, Params], Tree]
    sample: Callable[[Generator, Params, Key, Latents], Tree]
    encode: Callable[[Generator, Params, Latents], Tree]


def _truncated(key: Key, shape: tuple[int, ...]) -> Array:
    return jax.random.truncated_normal(key, -2.0, 2.0, shape)


DRAWS: dict[str, Callable[..., Array]] = {
    "normal": jax.random.normal,
    "uniform": partial(jax.random.uniform, minval=-1.0, maxval=1.0),
    "truncated_normal": _truncated,
}


def draw_prior(spec: GeneratorSpec, key: Key) -> Latents:
    """A random z, and a random class where there are classes."""
    latents: Latents = {"z": DRAWS[spec.prior](key, (spec.z_dim,))}
    if spec.labels:
        number = jax.random.randint(jax.random.fold_in(key, 1), (), 0, spec.labels)
        latents["label"] = jax.nn.one_hot(number, spec.labels)
    return latents


def _chain(space: str) -> Space:
    return Space(
        mean=lambda gen, params: convert(gen, params, {"w": params[STATISTICS]["mean"]}, space),
        sample=lambda gen, params, key, given: convert(
            gen, params, {**draw_prior(gen.spec, key), **given}, space
        ),
        encode=lambda gen, params, latents: convert(gen, params, latents, space),
    )


def _draw_noise(gen: Generator, params: Params, key: Key, given: Latents) -> tuple[Array, ...]:
    del params, given
    keys = jax.random.split(key, len(gen.spec.noise))
    return tuple(
        jax.random.normal(k, (side, side)) for k, side in zip(keys, gen.spec.noise, strict=True)
    )


def _given_noise(gen: Generator, params: Params, latents: Latents) -> tuple[Array, ...]:
    return latents["noise"] if "noise" in latents else gen.stored_noise(params)


def _draw_rows(gen: Generator, params: Params, key: Key, given: Latents) -> Array:
    del params, given
    keys = jax.random.split(key, gen.spec.rows)
    return jnp.stack([draw_prior(gen.spec, k)["z"] for k in keys])


def _vector(gen: Generator, params: Params, latents: Latents) -> Array:
    if "embedding" in latents:
        return latents["embedding"]
    return gen.embed(params, label_of(gen, latents))


def _any_class(gen: Generator, params: Params) -> Array:
    del params
    return jnp.full(gen.spec.labels, 1 / gen.spec.labels)


SPACES: dict[str, Space] = {
    "z": Space(
        mean=lambda gen, params: jnp.zeros((gen.spec.z_dim,)),
        sample=lambda gen, params, key, given: draw_prior(gen.spec, key)["z"],
        encode=lambda gen, params, latents: convert(gen, params, latents, "z"),
    ),
    "z+": Space(
        mean=lambda gen, params: jnp.zeros((gen.spec.rows, gen.spec.z_dim)),
        sample=_draw_rows,
        encode=lambda gen, params, latents: convert(gen, params, latents, "z+"),
    ),
    "w": _chain("w"),
    "w+": _chain("w+"),
    "s": _chain("s"),
    "noise": Space(
        mean=lambda gen, params: gen.stored_noise(params), sample=_draw_noise, encode=_given_noise
    ),
    "label": Space(
        mean=_any_class,
        sample=lambda gen, params, key, given: draw_prior(gen.spec, key)["label"],
        encode=lambda gen, params, latents: label_of(gen, latents),
    ),
    "embedding": Space(
        mean=lambda gen, params: gen.embed(params, _any_class(gen, params)),
        sample=lambda gen, params, key, given: gen.embed(
            params, draw_prior(gen.spec, key)["label"]
        ),
        encode=_vector,
    ),
    "camera": Space(
        mean=lambda gen, params: jnp.zeros((gen.spec.camera,)),
        sample=lambda gen, params, key, given: (
            CAMERA_SPREAD * jax.random.normal(key, (gen.spec.camera,))
        ),
        encode=lambda gen, params, latents: latents.get("camera", jnp.zeros((gen.spec.camera,))),
    ),
}


def decode(params: Params, variable: Variable, code: Tree) -> Tree:
    """The value in `variable.space` of a solver's code."""
    if variable.tie:
        code = code[jnp.asarray(variable.tie)]
    return CODECS[variable.codec].decode(params.get(STATISTICS, {}), code)


def encode(gen: Generator, params: Params, variable: Variable, latents: Latents) -> Tree:
    """The solver's code of given latents: moved into the space, then the inverse of `decode`."""
    if variable.space not in SPACES:
        return latents[variable.space]
    value = SPACES[variable.space].encode(gen, params, latents)
    code = CODECS[variable.codec].encode(params.get(STATISTICS, {}), value)
    if variable.tie:
        members = np.eye(max(variable.tie) + 1, dtype=np.float32)[list(variable.tie)]
        code = (members / members.sum(0)).T @ code
    return code
