"""Where a variable starts, in the codec's units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.latents.auxiliary_variables import identity_value, inherit
from jaxinv.latents.codecs import from_std_units
from jaxinv.latents.spaces import SPACES, encode
from jaxinv.specs.vocabulary import CLASSES, LATENT_SPACES

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Variable
    from jaxinv.types import Array, Key, Latents, Params, Tree

DRAWN = ("prior", "best-of")


def starts(
    gen: Generator,
    params: Params,
    variables: tuple[Variable, ...],
    previous: Latents,
    lane: tuple[Key, Array],
) -> dict[str, Tree]:
    """Initial codes of all variables of one lane; see `start`."""
    keys = [jax.random.fold_in(lane[0], i) for i in range(len(variables))]
    return {
        v.space: start(gen, params, v, previous, (key, lane[1]))
        for v, key in zip(variables, keys, strict=True)
    }


def start(
    gen: Generator, params: Params, variable: Variable, previous: Latents, lane: tuple[Key, Array]
) -> Tree:
    """Initial code of one lane; `lane` is (key, index of the restart).

    Codes and noise that start at one place do so in restart 0, and are spread around it in the
    others (preconditioned codes by standard deviations of W, since some of their own units hardly
    change the image); what is drawn, or comes from the stage before, is taken as it is.
    "best-of" gives one draw: the stage compares several.
    """
    key, restart = lane
    draw, spread = jax.random.split(key)
    if not variable.num_codes or variable.space not in SPACES or variable.init.kind == "previous":
        code = _one(gen, params, variable, previous, draw)
    else:
        keys = jax.random.split(draw, variable.num_codes)
        code = jax.vmap(lambda k: _one(gen, params, variable, previous, k))(keys)
    together = variable.init.kind in (*DRAWN, "previous")
    if variable.space not in (*LATENT_SPACES, "noise") or (together and not _repeated(variable)):
        return code
    flat, unravel = ravel_pytree(code)
    shake = variable.init.spread * ((restart > 0) | _repeated(variable))
    away = unravel(shake * jax.random.normal(spread, flat.shape))
    return jax.tree.map(jnp.add, code, from_std_units(params, variable, away))


def _repeated(variable: Variable) -> bool:
    """Whether several codes would start at the same place, where no gradient tells them apart."""
    return (
        variable.num_codes > 1
        and variable.init.kind not in DRAWN
        and variable.space in LATENT_SPACES
    )


def _one(gen: Generator, params: Params, variable: Variable, previous: Latents, key: Key) -> Tree:
    kind = variable.init.kind
    if variable.space not in SPACES:
        fresh = identity_value(gen, params, variable, key)
        held = previous.get(variable.space, {}) if kind in ("previous", "given") else {}
        return inherit(fresh, held)
    if kind in (
        "previous",
        "given",
        "class",
        "learned",
        "layerwise",
        "encoder",
    ):  # what was computed came with the lane
        return encode(gen, params, variable, previous)
    space = SPACES[variable.space]
    if kind in DRAWN:
        named = {name: previous[name] for name in CLASSES if name in previous}
        value = space.sample(gen, params, key, named)
    else:
        value = space.mean(gen, params)
    if kind == "zeros":
        value = jax.tree.map(jnp.zeros_like, value)
    return encode(gen, params, variable, {variable.space: value})
