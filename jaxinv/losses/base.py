"""What every term of the objective is given, and the functions that make one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxinv.models.discriminators.base import Discriminator
    from jaxinv.specs import Term
    from jaxinv.types import Array, Latents, Params, Tree


Features = dict[str, dict[str, "Array"]]  # of an image: by net and view, then by layer


class Told(NamedTuple):
    """What belongs to one sample of an encoder in training.

    attribute: the one asked for, in [0, 1], and the `gap` by which the picture is to change.
    aside: a second output of the network, and `due`, what it should be; or trees of such.
    redrawn: what layers make of their inverses, and `layers`, what they should be; trees.
    identity: the features of the picture of whom it is to show.
    counts: how much the sample counts where a term counts for some, by the term's `when`.
    """

    attribute: Any = None
    gap: Any = None
    aside: Any = None
    due: Any = None
    redrawn: Any = None
    layers: Any = None
    identity: Any = None
    counts: Any = None


class TermInputs(NamedTuple):
    """Everything of one lane that a term may need; each term uses a part of it.

    codes: the free variables, in the units of their codecs; `start`: the same at the first step.
    latents: what the generator was given.
    image: the render [h, w, 3] that is compared, before any degradation; `render` is the
        generator's own, where that is another; `pivot` is what the stage starts with.
    features: those of the degraded image; `target`: those of the target, with the `mask` [h, w, 1].
    named_masks: those that terms name, [h, w, 1].
    params, nets: parameters of the generator and of the feature nets.
    known: codes of which the target is known to be the picture.
    told: what an encoder in training was told, and what it says beside its code: see `Told`.
    elsewhere_features: those of images at another code, with changed and with unchanged weights.
    """

    codes: dict[str, Tree]
    latents: Latents
    image: Array
    features: Features
    params: Params = {}  # noqa: RUF012 - never written to
    start: dict[str, Tree] = {}  # noqa: RUF012
    render: Array | None = None
    discriminator: Discriminator | None = None
    elsewhere_features: tuple[Features, Features] = ({}, {})
    target: Features = {}  # noqa: RUF012
    mask: Array | None = None
    named_masks: dict[str, Array] = {}  # noqa: RUF012
    nets: dict[str, Params] = {}  # noqa: RUF012
    pivot: Array | None = None
    known: Latents = {}  # noqa: RUF012
    told: Told | None = None


TermFunction = Callable[["Term", TermInputs], "Array"]


class TermFunctions(NamedTuple):
    """The functions of one loss.

    value: a scalar, before floor and weight.
    residuals: a vector [m] whose squared norm is the value; None where it is no sum of squares.
    smallest: side of the smallest view of an image that the term takes, in px.
    multiple: of which the sides of the view must be, in px.
    """

    value: TermFunction
    residuals: TermFunction | None = None
    smallest: Callable[[Term], int] = lambda term: 1
    multiple: int = 1


def sum_of_squares(residuals: TermFunction) -> TermFunctions:
    """The loss that is the sum of the squares of a vector."""
    return TermFunctions(
        lambda term, inputs: jnp.sum(jnp.square(residuals(term, inputs))), residuals
    )


def mean_square(values: Callable[[Term, TermInputs], Tree]) -> TermFunctions:
    """The loss that is the mean square of an array; of a tree, the sum of those of its arrays."""

    def value(term: Term, inputs: TermInputs) -> Array:
        leaves = jax.tree.leaves(values(term, inputs))
        return sum((jnp.mean(jnp.square(x)) for x in leaves), jnp.zeros(()))

    def residuals(term: Term, inputs: TermInputs) -> Array:
        leaves = jax.tree.leaves(values(term, inputs))
        return jnp.concatenate([x.ravel() / math.sqrt(x.size) for x in leaves])

    return TermFunctions(value, residuals)
