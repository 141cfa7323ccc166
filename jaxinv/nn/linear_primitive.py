"""Linear maps that bring their own adjoint, in forward and in reverse mode.

`jax.custom_vjp` would do for gradients, but it cannot be differentiated forwards;
`jax.custom_derivatives.linear_call` can, but it has no rule for `vmap`. This is one primitive with
the four rules: its tangent is the map itself, its transpose is the map with the two functions
exchanged, and a batch of it is the map of the two functions' batches.
"""

# jax annotates its arguments only in part, the rules of its primitives hardly.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array

    Map = Callable[..., Array]

linear_p = Primitive("linear_with_adjoint")


def linear(forward: Map, backward: Map, x: Array, *constants: Array) -> Array:
    """`forward(x, *constants)`, linear in x, whose transpose is `backward(g, *constants)`.

    The constants are constants: their gradient is zero by definition.
    """
    return linear_p.bind(x, *constants, forward=forward, backward=backward)


def _run(x: Array, *constants: Array, forward: Map, backward: Map) -> Array:
    del backward
    return forward(x, *constants)


def _shape(*given: Any, forward: Map, backward: Map) -> Any:
    del backward
    return shape_of(forward, tuple((a.shape, a.dtype) for a in given))


@lru_cache(maxsize=4096)
def shape_of(forward: Map, given: tuple[tuple[Any, Any], ...]) -> Any:
    """What `forward` makes of arrays with those shapes and types.

    Remembered: tracing the same layers anew in every pass was a large part of a first step.
    """
    out = jax.eval_shape(forward, *(jax.ShapeDtypeStruct(*one) for one in given))
    return ShapedArray(out.shape, out.dtype)


@dataclass(frozen=True)
class Mapped:
    """`jax.vmap` of a function, as data: two of the same are equal."""

    function: Map
    axes: tuple[int | None, ...]

    def __call__(self, *given: Array) -> Array:
        """The function on every lane."""
        return jax.vmap(self.function, self.axes)(*given)


def _tangent(primals: Any, tangents: Any, **maps: Map) -> tuple[Array, Any]:
    out = linear_p.bind(*primals, **maps)
    if isinstance(tangents[0], ad.Zero):
        return out, ad.Zero(jax.typeof(out).to_tangent_aval())
    return out, linear_p.bind(tangents[0], *primals[1:], **maps)


def _transpose(g: Any, x: Any, *constants: Any, forward: Map, backward: Map) -> list[Any]:
    rest = [None] * len(constants)
    if isinstance(g, ad.Zero):
        return [ad.Zero(x.aval), *rest]
    return [linear_p.bind(g, *constants, forward=backward, backward=forward), *rest]


def _batch(values: Any, axes: Any, *, forward: Map, backward: Map) -> tuple[Array, int]:
    if axes[0] is None:  # every lane has its own constants, and the same x
        size = next(v.shape[a] for v, a in zip(values, axes, strict=True) if a is not None)
        values = [jax.numpy.broadcast_to(values[0], (size, *values[0].shape)), *values[1:]]
    values = [jax.numpy.moveaxis(values[0], axes[0] or 0, 0), *values[1:]]
    mapped = (0, *axes[1:])
    out = linear_p.bind(*values, forward=Mapped(forward, mapped), backward=Mapped(backward, mapped))
    return out, 0


linear_p.def_impl(_run)
linear_p.def_abstract_eval(_shape)
ad.primitive_jvps[linear_p] = _tangent
ad.primitive_transposes[linear_p] = _transpose
batching.primitive_batchers[linear_p] = _batch
mlir.register_lowering(linear_p, mlir.lower_fun(_run, multiple_results=False))
