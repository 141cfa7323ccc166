"""Latent spaces and codecs: how the array that a solver moves becomes latents to draw."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.generators.base import Generator, convert, label_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import GeneratorSpec, Variable
    from jaxinv.types import Array, Key, Latents, Params, Tree

STATISTICS = "statistics"
TURNS = "turns"
P = "p"
SLOPE = 0.2
WITHIN = 1 - 1e-6  # where tanh can still be undone in float32
LEAST = 1e-4  # the probability, relative to that of a class, from which others start
CURVATURE = "curvature"


class Space(NamedTuple):
    """One latent space: its mean, a draw from its prior, and the code of given latents in it.

    sample(gen, params, key, given) is of the class that is `given`, if there is one.
    """

    mean: Callable[[Generator, Params], Tree]
    sample: Callable[[Generator, Params, Key, Latents], Tree]
    project: Callable[[Generator, Params, Latents], Tree]


class Codec(NamedTuple):
    """decode(statistics, u) -> value in the space; encode is its inverse."""

    decode: Callable[[Params, Tree], Tree]
    encode: Callable[[Params, Tree], Tree]


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
        project=lambda gen, params, latents: convert(gen, params, latents, space),
    )


def _draw_noise(gen: Generator, params: Params, key: Key, given: Latents) -> tuple[Array, ...]:
    del params, given
    keys = jax.random.split(key, len(gen.spec.noise))
    return tuple(
        jax.random.normal(k, (side, side)) for k, side in zip(keys, gen.spec.noise, strict=True)
    )


def _held_noise(gen: Generator, params: Params, latents: Latents) -> tuple[Array, ...]:
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
        project=lambda gen, params, latents: convert(gen, params, latents, "z"),
    ),
    "z+": Space(
        mean=lambda gen, params: jnp.zeros((gen.spec.rows, gen.spec.z_dim)),
        sample=_draw_rows,
        project=lambda gen, params, latents: convert(gen, params, latents, "z+"),
    ),
    "w": _chain("w"),
    "w+": _chain("w+"),
    "s": _chain("s"),
    "noise": Space(
        mean=lambda gen, params: gen.stored_noise(params), sample=_draw_noise, project=_held_noise
    ),
    "label": Space(
        mean=_any_class,
        sample=lambda gen, params, key, given: draw_prior(gen.spec, key)["label"],
        project=lambda gen, params, latents: label_of(gen, latents),
    ),
    "embedding": Space(
        mean=lambda gen, params: gen.embed(params, _any_class(gen, params)),
        sample=lambda gen, params, key, given: gen.embed(
            params, draw_prior(gen.spec, key)["label"]
        ),
        project=_vector,
    ),
}


def _whitened(statistics: Params, w: Array) -> Array:
    return ((w - statistics["mean"]) @ statistics["axes"]) / statistics["scales"]


def _unwhitened(statistics: Params, u: Array) -> Array:
    return statistics["mean"] + (u * statistics["scales"]) @ statistics["axes"].T


def relaxed(statistics: Params, u: Array) -> Array:
    """Codes [rows, d] in gradient axes of codes in natural units (see `curvature`)."""
    units = statistics[CURVATURE]
    along = jnp.einsum("krd,rd->k", units["ridges"], u)
    return units["widths"] * (u + jnp.einsum("krd,k->rd", units["ridges"], units["relief"] * along))


def tightened(statistics: Params, code: Array) -> Array:
    """The inverse of `relaxed`."""
    units = statistics[CURVATURE]
    code = code / units["widths"]
    along = jnp.einsum("krd,rd->k", units["ridges"], code) / (1 + units["relief"])
    return code - jnp.einsum("krd,k->rd", units["ridges"], units["relief"] * along)


def _in_axes(statistics: Params, value: Array) -> Array:
    return jnp.einsum("rij,...ri->...rj", statistics[TURNS], _whitened(statistics, value))


def _off_axes(statistics: Params, code: Array) -> Array:
    return _unwhitened(statistics, jnp.einsum("rij,...rj->...ri", statistics[TURNS], code))


CODECS: dict[str, Codec] = {
    "identity": Codec(decode=lambda statistics, u: u, encode=lambda statistics, value: value),
    "whiten": Codec(decode=_unwhitened, encode=_whitened),
    "eigen": Codec(decode=_off_axes, encode=_in_axes),
    "natural": Codec(
        decode=lambda st, u: _off_axes(st, relaxed(st, u)),
        encode=lambda st, value: tightened(st, _in_axes(st, value)),
    ),
    "p": Codec(decode=lambda st, u: to_w(u), encode=lambda st, value: to_p(value)),
    "pn": Codec(
        decode=lambda st, u: to_w(_unwhitened(st[P], u)),
        encode=lambda st, value: _whitened(st[P], to_p(value)),
    ),
    "gaussianised": Codec(
        decode=lambda st, u: to_w(st[P]["mean"] + u * st[P]["deviations"]),
        encode=lambda st, value: (to_p(value) - st[P]["mean"]) / st[P]["deviations"],
    ),
    "tanh": Codec(
        decode=lambda st, u: jnp.tanh(u),
        encode=lambda st, value: jnp.arctanh(jnp.clip(value, -WITHIN, WITHIN)),
    ),
    "sphere": Codec(
        decode=lambda st, u: u * (u.shape[-1] ** 0.5) * unit(u), encode=lambda st, value: value
    ),
    "softmax": Codec(
        decode=lambda st, u: jax.nn.softmax(u), encode=lambda st, value: jnp.log(value + LEAST)
    ),
}
IN_P = ("pn", "gaussianised")  # codecs that need the statistics of P


def to_p(w: Array) -> Array:
    """w before the last activation of the mapping network (leaky ReLU of slope 0.2), up to a gain.

    Zhu et al. 2020, arXiv:2012.09036: a leaky ReLU of slope 5.
    """
    return jnp.where(w > 0, w, w / SLOPE)


def to_w(p: Array) -> Array:
    """The inverse of `to_p`."""
    return jnp.where(p > 0, p, p * SLOPE)


def unit(u: Array) -> Array:
    """1 / length of every vector, finite at 0."""
    return jax.lax.rsqrt(jnp.sum(u * u, axis=-1, keepdims=True) + 1e-12)


def hold(variable: Variable, code: Tree) -> Tree:
    """The code itself, but its frozen rows or maps pass no gradient, so that no term moves them."""
    if variable.freeze is None:
        return code
    first, last = variable.freeze
    if isinstance(code, tuple):
        still = jax.lax.stop_gradient(code[first:last])
        return (*code[:first], *still, *code[last:])
    return code.at[first:last].set(jax.lax.stop_gradient(code[first:last]))


def in_deviations(params: Params, variable: Variable, code: Tree) -> Tree:
    """The code as penalties see it: natural units are turned into standard deviations of W."""
    return relaxed(params[STATISTICS], code) if variable.codec == "natural" else code


def from_deviations(params: Params, variable: Variable, code: Tree) -> Tree:
    """The inverse of `in_deviations`, of one code or of several copies."""
    if variable.codec != "natural":
        return code
    inverse = partial(tightened, params[STATISTICS])
    return jax.vmap(inverse)(code) if variable.copies else inverse(code)


def lift(params: Params, variable: Variable, code: Tree) -> Tree:
    """The value in `variable.space` of a solver's code."""
    if variable.tie:
        code = code[jnp.asarray(variable.tie)]
    return CODECS[variable.codec].decode(params.get(STATISTICS, {}), code)


def project(gen: Generator, params: Params, variable: Variable, latents: Latents) -> Tree:
    """The solver's code of given latents: moved into the space, then the inverse of `lift`."""
    if variable.space not in SPACES:
        return latents[variable.space]
    value = SPACES[variable.space].project(gen, params, latents)
    code = CODECS[variable.codec].encode(params.get(STATISTICS, {}), value)
    if variable.tie:
        members = np.eye(max(variable.tie) + 1, dtype=np.float32)[list(variable.tie)]
        code = (members / members.sum(0)).T @ code
    return code
