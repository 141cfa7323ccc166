"""Generators with a discriminator, and the value of one image term."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import extract_features, term_value
from jaxinv.models.discriminators.base import DISCRIMINATOR, Discriminator
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.specs import Term
from jaxinv.types import Array, Params
from tests.tiny import linear, style

SIDE = 24


def picture(seed: int, side: int = SIDE) -> Array:
    values = np.random.default_rng(seed).uniform(-1, 1, (side, side, 3))
    return jnp.asarray(values, jnp.float32)


def looking() -> Discriminator:
    """A stand-in for images of 16 px that attends in two heads at 8 px, to keys at 4 px."""

    def run(params: Params, image: Array, state: Any, span: tuple[int, int]) -> Any:
        own, state = params[DISCRIMINATOR], state or {"x": image}
        for index in range(*span):
            x = state["x"]
            if index == 0:
                state = {"x": jnp.tanh(x.reshape(8, 2, 8, 2, 3).mean((1, 3)) @ own["in"])}
                continue
            keys = x.reshape(4, 2, 4, 2, -1).max((1, 3)).reshape(16, -1)
            products = jnp.einsum("qc,hcd,kd->hqk", x.reshape(64, -1), own["mix"], keys)
            state = {"x": x + x**2, "attention": jax.nn.softmax(products, axis=-1)}
        return state

    return Discriminator(("block0", "attention0"), lambda key: {}, run, lambda *given: jnp.ones(()))


@lru_cache
def critical() -> tuple[Any, Params]:
    """A StyleGAN2 with its discriminator."""
    gen, params = style()
    draws = np.random.default_rng(4)

    def fill(leaf: jax.ShapeDtypeStruct) -> Array:
        scale = np.sqrt(2 / max(np.prod(leaf.shape[:-1]), 1))
        return jnp.asarray(scale * draws.standard_normal(leaf.shape), jnp.float32)

    judge: Any = gen.discriminator
    shapes = jax.eval_shape(judge.init, jax.random.key(1))
    params = {**params, DISCRIMINATOR: jax.tree.map(fill, shapes)}
    return gen, {**params, BACKWARD_KERNELS: precompute_backward(params)}


@lru_cache
def seer() -> tuple[Any, Params]:
    """The linear generator with a discriminator that attends in two heads."""
    gen, params = linear()
    draws = np.random.default_rng(3)
    own = {"in": draws.normal(size=(3, 4)), "mix": draws.normal(size=(2, 4, 4))}
    params = {**params, DISCRIMINATOR: {k: jnp.asarray(v, jnp.float32) for k, v in own.items()}}
    return gen._replace(discriminator=looking()), params


def distance(
    term: Term, ours: Array, theirs: Array, mask: Array | None = None, pair: Any = None
) -> Array:
    """The value of one image term, compiled once per term."""
    if not term.needs_discriminator:
        return _distance(term, None, {}, (ours, theirs), mask)
    gen, params = pair or critical()
    return _distance(term, gen.discriminator, params, (ours, theirs), mask)


@partial(jax.jit, static_argnums=(0, 1))
def _distance(term: Term, judge: Any, params: Params, pair: Any, mask: Array | None) -> Array:
    eyes = {DISCRIMINATOR: params}
    seen, target = (extract_features((term,), eyes, x, judge) for x in pair)
    given = TermInputs({}, {}, pair[0], seen, discriminator=judge, target=target, mask=mask)
    return term_value(term, given._replace(nets=eyes))
