"""The interface of every degradation, and what its functions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from jaxinv.specs import OperatorSpec
    from jaxinv.types import Array, Key

Shape = tuple[int, ...]


class Operator(NamedTuple):
    """A degradation of ONE image x [h, w, c] in [-1, 1]; all members are pure functions.

    `apply(x)` is the model y = A(x) that an objective compares with a measurement. `simulate(x)`
    makes such a measurement of a clean image: it differs from `apply` only by random noise.
    `show(y)` is a picture [h, w, 3], for reports and for guesses of where to start. `adjoint(y)` is
    A'y, None where A is not linear. `shape` is that of y.
    """

    apply: Callable[[Array], Array]
    simulate: Callable[[Array], Array]
    show: Callable[[Array], Array]
    adjoint: Callable[[Array], Array] | None
    shape: Shape

    @property
    def linear(self) -> bool:
        """Whether A is a linear map."""
        return self.adjoint is not None

    @property
    def is_image(self) -> bool:
        """Whether y is an image [h', w', c'] rather than a vector of measurements."""
        return len(self.shape) == 3


class Given(NamedTuple):
    """What the function of an operator may use beside its spec: a key, and arrays by name."""

    key: Key
    arrays: Mapping[str, Array]

    def array(self, name: str, shape: Shape) -> Array:
        """The array called `name`; `ValueError` unless it was given and has this shape."""
        if name not in self.arrays:
            known = ", ".join(self.arrays) or "none"
            raise ValueError(f"no array {name!r} was given; given: {known}")
        found = self.arrays[name]
        if np.shape(found) != shape:
            raise ValueError(f"array {name!r} has shape {np.shape(found)}; allowed: {shape}")
        return found


Maker = Callable[["OperatorSpec", Shape, Given], Operator]


def keep(y: Array) -> Array:
    """Return y as it is."""
    return y


def linear(
    apply: Callable[[Array], Array], shape: Shape, show: Callable[[Array], Array] = keep
) -> Operator:
    """An operator on images of `shape` from a linear function; JAX derives its adjoint."""

    def adjoint(y: Array) -> Array:
        return jax.linear_transpose(apply, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]

    return Operator(apply, apply, show, adjoint, measured(apply, shape))


def measured(apply: Callable[[Array], Array], shape: Shape) -> Shape:
    """Shape of apply(x) for x of `shape`, without computing it."""
    return tuple(jax.eval_shape(apply, jax.ShapeDtypeStruct(shape, jnp.float32)).shape)


def fresh(key: Key) -> Key:
    """The same key, but opaque to the compiler, which would draw large arrays while compiling."""
    return jax.random.wrap_key_data(lax.optimization_barrier(jax.random.key_data(key)))


def straight_through(x: Array, y: Array) -> Array:
    """The value y with the gradient of x (Bengio et al. 2013, the straight-through estimator)."""
    return x + lax.stop_gradient(y - x)


def bordered(x: Array, axis: int, width: int, edge: str) -> Array:
    """Array x with `width` values more at both ends of `axis`; 0 for edge "renormalise"."""
    pads = [(width, width) if a == axis else (0, 0) for a in range(x.ndim)]
    return jnp.pad(x, pads, mode="constant" if edge == "renormalise" else edge)


def needs_colour(name: str, shape: Shape) -> None:
    """Raise `ValueError` unless images of `shape` have three channels."""
    if shape[-1] != 3:
        raise ValueError(f"operator {name!r} on {shape[-1]} channels; allowed: 3")
