"""Degradations y = A(x) of one image, made from their specs, with adjoints where linear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax

from jaxinv.operators import coding, filters, measurements, resampling
from jaxinv.operators.base import Given, Maker, Operator, Shape, keep, linear
from jaxinv.operators.masks import KEPT, hide, keeps
from jaxinv.operators.measurements import gaussian_matrix
from jaxinv.specs import OperatorSpec
from jaxinv.specs.checks import check_choice, check_key, check_kind, check_list, is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key

__all__ = ["Operator", "build", "gaussian_matrix", "mask", "seeded"]
ANYWHERE = ("identity", "noise", "quantize")  # they take vectors as well as images


def build(
    spec: OperatorSpec,
    image_shape: Shape,
    key: Key | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> Operator:
    """The operator that `spec` describes, for images of `image_shape` [h, w, 3] in [-1, 1].

    Random parts are drawn from the seed of the spec when they are applied; with a key, every key
    gives others. `arrays` are masks [h, w] and matrices [count, pixels] that the spec names; inside
    of a jitted function they may be its arguments.

    Raises `ValueError` where the operator does not fit the shape, and for arrays that are missing.
    """
    check_build(spec, image_shape, key, arrays)
    return _made(spec, tuple(image_shape), key, arrays or {})


def check_build(spec: object, image_shape: object, key: object, arrays: object) -> None:
    """Raise `ValueError` unless these are what `build` and `mask` take, whatever their values."""
    check_kind("operator", spec, OperatorSpec, " (read_operator makes one of text)")
    check_list("image shape", image_shape, "height, width, channels")
    sides: Any = image_shape
    if len(sides) != 3 or not all(is_number(n) and n == int(n) and n >= 1 for n in sides):
        raise ValueError(f"image shape {tuple(sides)}; allowed: (height, width, channels)")
    if key is not None:
        check_key(key)
    check_kind("arrays", arrays or {}, Mapping, ", a dict of arrays by name")


def _made(
    spec: OperatorSpec, shape: Shape, key: Key | None, arrays: Mapping[str, Array]
) -> Operator:
    if spec.name == "compose":
        operator = _composed(spec, shape, key, arrays)
    else:
        operator = MAKERS[spec.name](spec, shape, Given(seeded(spec, key), arrays))
    return operator._replace(show=keep) if operator.shape == shape else operator


def seeded(spec: OperatorSpec, key: Key | None = None) -> Key:
    """The key that the random part of `spec` is drawn from."""
    return jax.random.key(spec.seed) if key is None else jax.random.fold_in(key, spec.seed)


def mask(
    spec: OperatorSpec,
    image_shape: Shape,
    key: Key | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> Array:
    """Which pixels a mask keeps, float [h, w, 1]; `ValueError` if `spec` is no mask."""
    check_build(spec, image_shape, key, arrays)
    check_choice("mask", spec.name, tuple(KEPT))
    return keeps(spec, tuple(image_shape), Given(seeded(spec, key), arrays or {}))


def _identity(spec: OperatorSpec, shape: Shape, given: Given) -> Operator:
    del spec, given
    return linear(keep, shape)


def _composed(
    spec: OperatorSpec, shape: Shape, key: Key | None, arrays: Mapping[str, Array]
) -> Operator:
    """The parts from left to right; the adjoint and the pictures go from right to left."""
    parts: list[Operator] = []
    for part in spec.parts:
        if parts and not parts[-1].is_image and part.name not in ANYWHERE:
            raise ValueError(
                f"operator {part.name!r} after measurements; allowed: {', '.join(ANYWHERE)}"
            )
        parts.append(_made(part, parts[-1].shape if parts else shape, key, arrays))
    adjoints = [part.adjoint for part in reversed(parts) if part.adjoint is not None]
    return Operator(
        apply=_chain([part.apply for part in parts]),
        simulate=_chain([part.simulate for part in parts]),
        show=_chain([part.show for part in reversed(parts)]),
        adjoint=_chain(adjoints) if len(adjoints) == len(parts) else None,
        shape=parts[-1].shape,
    )


def _chain(functions: list[Callable[[Array], Array]]) -> Callable[[Array], Array]:
    def run(value: Array) -> Array:
        for function in functions:
            value = function(value)
        return value

    return run


MAKERS: dict[str, Maker] = {
    "identity": _identity,
    **dict.fromkeys(KEPT, hide),
    **resampling.MAKERS,
    **filters.MAKERS,
    **coding.MAKERS,
    **measurements.MAKERS,
}
