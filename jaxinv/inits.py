"""Where a variable starts, in the codec's units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.spaces import SPACES, project
from jaxinv.vocabulary import CLASSES

if TYPE_CHECKING:
    from jaxinv.generators.base import Generator
    from jaxinv.specs import Variable
    from jaxinv.types import Array, Key, Latents, Params, Tree


def start(
    gen: Generator, params: Params, variable: Variable, previous: Latents, lane: tuple[Key, Array]
) -> Tree:
    """Initial code of one lane; `lane` is (key, index of the restart).

    "mean" and "stored" give the space's centre, "learned" a guess that came with the lane; around
    either, the restarts but number 0 are spread. "prior" gives a random draw, "previous" the
    latents of the stage before, as they are.
    """
    key, restart = lane
    draw, spread = jax.random.split(key)
    space = SPACES[variable.space]
    if variable.init.kind in ("previous", "learned"):  # what was learned came with the lane
        value = previous
    elif variable.init.kind == "prior":
        given = {name: previous[name] for name in CLASSES if name in previous}
        value = {variable.space: space.sample(gen, params, draw, given)}
    else:
        value = {variable.space: space.mean(gen, params)}
    code, unravel = ravel_pytree(project(gen, params, variable, value))
    if variable.init.kind in ("prior", "previous"):
        return unravel(code)
    shake = jnp.where(restart > 0, variable.init.spread, 0.0)
    return unravel(code + shake * jax.random.normal(spread, code.shape))
