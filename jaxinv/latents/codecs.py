"""Codecs: how a solver's unknowns are turned into values of a latent space, and back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.models.statistics import ANCHORS, FLOW, STATISTICS, P, to_p, to_w
from jaxinv.nn import couplings

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import Variable
    from jaxinv.types import Array, Params, Tree


GRADIENT_AXES = "gradient_axes"
TANH_LIMIT = 1 - 1e-6  # where tanh can still be undone in float32
MIN_PROBABILITY = 1e-4  # the probability, relative to that of a class, from which others start
CURVATURE = "curvature"


HULL_MARGIN = 0.02  # by which a share of an anchor may be negative
HULL_RIDGE = 1e-3  # of the anchors' mean square, where a code is expressed by them
SMALLEST_SHARE = 1e-3  # of an anchor, at which its logit starts


class Codec(NamedTuple):
    """decode(statistics, u) -> value in the space; encode is its inverse."""

    decode: Callable[[Params, Tree], Tree]
    encode: Callable[[Params, Tree], Tree]


def _whitened(statistics: Params, w: Array) -> Array:
    return ((w - statistics["mean"]) @ statistics["axes"]) / statistics["scales"]


def _unwhitened(statistics: Params, u: Array) -> Array:
    return statistics["mean"] + (u * statistics["scales"]) @ statistics["axes"].T


def from_preconditioned(statistics: Params, u: Array) -> Array:
    """Preconditioned codes to codes [rows, d] in gradient axes (see `inversion.curvature`)."""
    units = statistics[CURVATURE]
    along = jnp.einsum("krd,rd->k", units["shared_directions"], u)
    return units["step_scale"] * (
        u + jnp.einsum("krd,k->rd", units["shared_directions"], units["step_excess"] * along)
    )


def to_preconditioned(statistics: Params, code: Array) -> Array:
    """The inverse of `from_preconditioned`."""
    units = statistics[CURVATURE]
    code = code / units["step_scale"]
    along = jnp.einsum("krd,rd->k", units["shared_directions"], code) / (1 + units["step_excess"])
    return code - jnp.einsum("krd,k->rd", units["shared_directions"], units["step_excess"] * along)


def _to_axes(statistics: Params, value: Array) -> Array:
    return jnp.einsum("rij,...ri->...rj", statistics[GRADIENT_AXES], _whitened(statistics, value))


def _from_axes(statistics: Params, code: Array) -> Array:
    return _unwhitened(statistics, jnp.einsum("rij,...rj->...ri", statistics[GRADIENT_AXES], code))


def from_hull(statistics: Params, u: Array) -> Array:
    """Logits [rows, K] to codes [rows, d] in the enlarged convex hull of K anchors, by row.

    The shares of the anchors add up to 1 and are at least `-HULL_MARGIN` (Nitzan et al. 2022,
    MyStyle; the margin is not verified).
    """
    anchors = statistics[ANCHORS]
    shares = jax.nn.softmax(u) * (1 + len(anchors) * HULL_MARGIN) - HULL_MARGIN
    return jnp.einsum("rk,krd->rd", shares, anchors)


def to_hull(statistics: Params, value: Array) -> Array:
    """Logits of the point of the hull near codes [rows, d]; of a point of the hull, its own.

    Shares by least squares that add up to 1, those that are too small made `SMALLEST_SHARE`.
    """
    anchors = jnp.swapaxes(statistics[ANCHORS], 0, 1)  # [rows, K, d]
    middle = jnp.mean(anchors, axis=1)
    apart = anchors - middle[:, None]
    gram = jnp.einsum("rkd,rld->rkl", apart, apart)
    count = anchors.shape[1]
    ridge = HULL_RIDGE * jnp.trace(gram, axis1=1, axis2=2)[:, None, None] / count
    onto = jnp.einsum("rkd,rd->rk", apart, value - middle)
    found = jnp.linalg.solve(gram + (ridge + 1e-12) * jnp.eye(count), onto[..., None])[..., 0]
    shares = found - jnp.mean(found, axis=1, keepdims=True) + 1 / count
    return jnp.log(jnp.maximum(shares + HULL_MARGIN, SMALLEST_SHARE))


CODECS: dict[str, Codec] = {
    "identity": Codec(decode=lambda statistics, u: u, encode=lambda statistics, value: value),
    "whiten": Codec(decode=_unwhitened, encode=_whitened),
    "gradient-axes": Codec(decode=_from_axes, encode=_to_axes),
    "preconditioned": Codec(
        decode=lambda st, u: _from_axes(st, from_preconditioned(st, u)),
        encode=lambda st, value: to_preconditioned(st, _to_axes(st, value)),
    ),
    "p": Codec(decode=lambda st, u: to_w(u), encode=lambda st, value: to_p(value)),
    "pn": Codec(
        decode=lambda st, u: to_w(_unwhitened(st[P], u)),
        encode=lambda st, value: _whitened(st[P], to_p(value)),
    ),
    "gaussianized": Codec(
        decode=lambda st, u: to_w(st[P]["mean"] + u * st[P]["deviations"]),
        encode=lambda st, value: (to_p(value) - st[P]["mean"]) / st[P]["deviations"],
    ),
    "hull": Codec(decode=from_hull, encode=to_hull),
    "flow": Codec(
        decode=lambda st, u: couplings.inverse(st[FLOW], u),
        encode=lambda st, value: couplings.forward(st[FLOW], value)[0],
    ),
    "tanh": Codec(
        decode=lambda st, u: jnp.tanh(u),
        encode=lambda st, value: jnp.arctanh(jnp.clip(value, -TANH_LIMIT, TANH_LIMIT)),
    ),
    "sphere": Codec(
        decode=lambda st, u: u * (u.shape[-1] ** 0.5) * inverse_norm(u),
        encode=lambda st, value: value,
    ),
    "softmax": Codec(
        decode=lambda st, u: jax.nn.softmax(u),
        encode=lambda st, value: jnp.log(value + MIN_PROBABILITY),
    ),
}
P_CODECS = ("pn", "gaussianized")  # codecs that need the statistics of P


def inverse_norm(u: Array) -> Array:
    """1 / length of every vector, finite at 0."""
    return jax.lax.rsqrt(jnp.sum(u * u, axis=-1, keepdims=True) + 1e-12)


def stop_frozen_gradients(variable: Variable, code: Tree) -> Tree:
    """The code itself, but its frozen rows or maps get no gradient, so that no term moves them."""
    if variable.freeze is None:
        return code
    first, last = variable.freeze
    if isinstance(code, tuple):
        still = jax.lax.stop_gradient(code[first:last])
        return (*code[:first], *still, *code[last:])
    return code.at[first:last].set(jax.lax.stop_gradient(code[first:last]))


def to_std_units(params: Params, variable: Variable, code: Tree) -> Tree:
    """The code in the units of penalties: preconditioned codes by standard deviations of W."""
    return (
        from_preconditioned(params[STATISTICS], code)
        if variable.codec == "preconditioned"
        else code
    )


def from_std_units(params: Params, variable: Variable, code: Tree) -> Tree:
    """The inverse of `to_std_units`, of one code or of several."""
    if variable.codec != "preconditioned":
        return code
    inverse = partial(to_preconditioned, params[STATISTICS])
    return jax.vmap(inverse)(code) if variable.num_codes else inverse(code)
