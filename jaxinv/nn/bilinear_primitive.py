"""Maps that are linear in each of two arguments and bring their own adjoints, to any order.

The automatic gradients of a convolution are often on slow paths of XLA:CPU. Here the map, its
adjoint in the first argument and its adjoint in the second are given; the derivatives of each are
the other two. Where lanes share an argument, its gradient is summed by the map itself if it can:
one product of matrices then serves the whole batch.
"""

# jax annotates its arguments only in part, the rules of its primitives hardly.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxinv.nn.linear_primitive import Mapped, shape_of

if TYPE_CHECKING:
    from jaxinv.types import Array

    Map = Any  # a function of two arrays, perhaps with `total`
    Maps = tuple[Map, Map, Map]

bilinear_p = Primitive("bilinear_with_adjoints")
OPERANDS = ((0, 1), (2, 1), (2, 0))  # of each map: 0 is x, 1 the kernel, 2 the result


def bilinear(maps: Maps, x: Array, kernel: Array) -> Array:
    """`maps[0](x, kernel)`, linear in each, differentiable by both to any order.

    `maps[1](g, kernel)` is the adjoint in x and `maps[2](g, x)` that in the kernel. All three are
    data: equal maps are equal objects. `total()` of a map, where it has one, gives the map that
    takes a leading axis of both arguments and sums over it.
    """
    return bilinear_p.bind(x, kernel, maps=maps, at=0)


@dataclass(frozen=True)
class Total:
    """The sum over lanes of a map of two arguments that are both mapped."""

    function: Map

    def __call__(self, a: Array, b: Array) -> Array:
        """The function on every lane, added up."""
        return jax.vmap(self.function)(a, b).sum(0)


def _run(a: Array, b: Array, *, maps: Maps, at: int) -> Array:
    return maps[at](a, b)


def _shape(a: Any, b: Any, *, maps: Maps, at: int) -> Any:
    return shape_of(maps[at], ((a.shape, a.dtype), (b.shape, b.dtype)))


def _other(at: int, operand: int) -> int:
    """Which map gives what `operand` (0 or 1) of map `at` is."""
    return OPERANDS.index(tuple(sorted({0, 1, 2} - {OPERANDS[at][operand]}, key=_ORDER.get)))


_ORDER: Any = {2: 0, 0: 1, 1: 2}  # the result stands before x, and x before the kernel


def _first(g: Any, a: Any, b: Any, *, maps: Maps, at: int) -> Any:
    del a
    return _with(g, b, maps, at, 0)


def _second(g: Any, a: Any, b: Any, *, maps: Maps, at: int) -> Any:
    del b
    return _with(g, a, maps, at, 1)


def _with(g: Any, rest: Any, maps: Maps, at: int, operand: int) -> Any:
    """The cotangent of one operand of map `at`, from that of its result and the other operand."""
    given = {_result(at): g, OPERANDS[at][1 - operand]: rest}
    target = _other(at, operand)
    return bilinear_p.bind(*(given[name] for name in OPERANDS[target]), maps=maps, at=target)


def _result(at: int) -> int:
    return ({0, 1, 2} - set(OPERANDS[at])).pop()


def _batch(values: Any, axes: Any, *, maps: Maps, at: int) -> tuple[Array, int]:
    mapped = {name: axis is not None for name, axis in zip(OPERANDS[at], axes, strict=True)}
    mapped[_result(at)] = True
    lanes = tuple(_over_lanes(maps[i], OPERANDS[i], mapped) for i in range(3))
    moved = [
        v if axis is None else jax.numpy.moveaxis(v, axis, 0)
        for v, axis in zip(values, axes, strict=True)
    ]
    return bilinear_p.bind(*moved, maps=lanes, at=at), 0


def _over_lanes(function: Map, operands: tuple[int, int], mapped: dict[int, bool]) -> Map:
    axes = tuple(0 if mapped[name] else None for name in operands)
    if axes != (0, 0) or all(mapped.values()):
        return Mapped(function, axes)
    return function.total() if hasattr(function, "total") else Total(function)


bilinear_p.def_impl(_run)
bilinear_p.def_abstract_eval(_shape)
ad.defbilinear(bilinear_p, _first, _second)
batching.primitive_batchers[bilinear_p] = _batch
mlir.register_lowering(bilinear_p, mlir.lower_fun(_run, multiple_results=False))
