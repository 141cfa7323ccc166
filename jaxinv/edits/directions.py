"""Directions of editing: which way a code moves, in which generator, and what one unit means."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.edits.stated_facts import (
    check_facts,
    check_generator_of,
    read_facts,
    written_facts,
)
from jaxinv.io import checkpoints
from jaxinv.io.latent_files import LAYOUT
from jaxinv.models.statistics import STATISTICS
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.specs.checks import (
    check_array,
    check_choice,
    check_kind,
    check_list,
    check_place,
)

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Params, Tree

# Where a direction may lie: the latent spaces, P and P+ (w and w+ before their last activation),
# class vectors, and the generator's own parameters.
DIRECTION_SPACES = ("z", "z+", "w", "w+", "p", "p+", "s", "embedding", "weights")
ROWED = ("z+", "w+", "p+")  # a code has rows there, and only some of them may move
DERIVED = (BACKWARD_KERNELS, STATISTICS)  # computed of the parameters when they are loaded


@dataclass(frozen=True, eq=False)
class Direction:
    """One way to move a code: code + amount * vector.

    Attributes:
        name: what it changes, such as "age".
        space: one of `DIRECTION_SPACES`.
        vector: float32 [d]; [rows, d] in the spaces with rows, unless it is the same in every row;
            in "s" a tuple of one array per layer; in "weights" a nested dict of arrays that are
            added, laid out as the parameters are, of those that change.
        generator: `generator_hash` of the parameters that it belongs to; "" when nobody knows.
        generator_name: what that generator is called.
        rows: those that move, from 0; None is all.
        unit: what an amount of 1 means.
        usable: least and greatest amount at which pictures stay intact; None when not measured.
        effects: measured change of every attribute per unit of the amount.
        source: method and reference.

    Raises:
        ValueError: a field has another type, or the vector is not finite, empty or all zero.
    """

    name: str
    space: str
    vector: Tree
    generator: str = ""
    generator_name: str = ""
    rows: tuple[int, ...] | None = None
    unit: str = ""
    usable: tuple[float, float] | None = None
    effects: dict[str, float] = field(default_factory=dict[str, float])
    source: str = ""

    def __post_init__(self) -> None:
        check_facts(self)
        what = f"direction {self.name!r}"
        check_choice(f"space of {what}", self.space, DIRECTION_SPACES)
        object.__setattr__(self, "vector", _checked_vector(what, self.space, self.vector))
        if self.rows is not None:
            object.__setattr__(self, "rows", _checked_rows(what, self.space, self.rows))


def _checked_vector(what: str, space: str, vector: Tree) -> Tree:
    kind = {"s": tuple, "weights": dict}.get(space)
    if kind is not None:
        check_kind(f"vector of {what}", vector, kind, f", as {space!r} is laid out")
    elif isinstance(vector, tuple | dict):
        raise ValueError(f"vector of {what} is a {type(vector).__name__}; allowed: an array")

    def array(leaf: Any) -> np.ndarray:
        return check_array(f"vector of {what}", leaf, "iuf").astype(np.float32)

    found = array(vector) if kind is None else jax.tree.map(array, vector)
    most = {"s": 1, "weights": math.inf}.get(space, 2 if space in ROWED else 1)
    leaves = jax.tree.leaves(found)
    for leaf in leaves:
        if not (leaf.size and (leaf.ndim or most == math.inf) and leaf.ndim <= most):
            raise ValueError(
                f"vector of {what} has shape {list(leaf.shape)}; allowed in {space!r}: [d]"
                + (" or [rows, d]" if most == 2 else "")
            )
    if not any(leaf.any() for leaf in leaves):
        raise ValueError(f"vector of {what} is all zero; allowed: one that leads somewhere")
    return found


def _checked_rows(what: str, space: str, rows: tuple[int, ...]) -> tuple[int, ...]:
    if space not in (*ROWED, "w", "p"):
        raise ValueError(f"rows of {what} in {space!r}; allowed: None, since it has no rows")
    return row_numbers(f"rows of {what}", rows)


def row_numbers(what: str, rows: Sequence[int]) -> tuple[int, ...]:
    """Numbers of rows in order, each once; `ValueError` unless they are whole numbers from 0."""
    if not isinstance(rows, range):
        check_list(what, rows, "whole numbers")
    found = check_array(what, list(rows), "iuf")
    if not found.size or found.ndim != 1 or found.dtype.kind not in "iu" or found.min() < 0:
        raise ValueError(f"{what} are {list(rows)}; allowed: whole numbers from 0")
    return tuple(sorted({int(row) for row in found}))


def generator_hash(params: Params) -> str:
    """What tells one generator from another: SHA-256 over its parameters, as 64 hex digits.

    It is the "content_sha256" that its file states, and does not change with the file's name.
    """
    check_kind("params", params, dict, ", the parameters of a generator")
    return checkpoints.content_sha256({k: v for k, v in params.items() if k not in DERIVED})


def save_direction(path: str | Path, direction: Direction) -> Path:
    """Write a direction as one .safetensors file, all fields with it; returns `path`."""
    check_place("path", path)
    check_kind("direction", direction, Direction)
    vector = direction.vector
    if isinstance(vector, tuple):
        vector = {f"{i:03d}": leaf for i, leaf in enumerate(vector)}
    facts = written_facts(direction) | {"rows": json.dumps(direction.rows)}
    return checkpoints.save(path, {"vector": vector}, facts)


def load_direction(path: str | Path) -> Direction:
    """The direction that `save_direction` has written; nothing in the file is executed.

    Raises `ValueError` for a file that holds none, `OSError` where there is no file.
    """
    check_place("path", path)
    tree, facts = checkpoints.load(path)
    if facts.get("kind") != "direction" or "vector" not in tree:
        raise ValueError(
            f"{path} holds {facts.get('kind', 'nothing known')!r}; allowed: 'direction'"
        )
    try:
        rows = json.loads(facts.get("rows", "null"))
        vector: Any = tree["vector"]
        if facts.get("space") == "s" and isinstance(vector, dict):
            vector = tuple(vector[key] for key in sorted(vector))
        return Direction(
            **read_facts(facts), vector=vector, rows=None if rows is None else tuple(rows)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no usable direction: {error}") from error


def fit_direction(direction: Direction, gen: Generator, params: Params) -> Direction:
    """The direction as one of this generator, in its own rows.

    What is laid out in the 18 rows of StyleGAN2, vector and `rows`, spreads over the generator's
    own rows, as codes do. A direction whose generator nobody knows is taken at its word: only its
    shape is compared. Raises `ValueError` naming both generators, or both spaces or shapes.
    """
    check_kind("direction", direction, Direction)
    if direction.generator:
        check_generator_of(direction, gen.spec, generator_hash(params))
    return fit_shape(direction, gen.spec, params)


def fit_shape(direction: Direction, spec: GeneratorSpec, params: Params) -> Direction:
    """The direction laid out for the generator of `spec`; `ValueError` naming spaces or shapes."""
    space, vector, rows = direction.space, direction.vector, direction.rows
    base = {"p": "w", "p+": "w+"}.get(space, space)
    if base != "weights" and base not in spec.spaces:
        raise ValueError(
            f"direction {direction.name!r} lies in {space!r}; generator {spec.name!r} has "
            f"{', '.join(spec.spaces)}"
        )
    if space == "weights":
        _check_weights(direction, params)
        return direction
    if space in ROWED and vector.ndim == 2 and len(vector) == LAYOUT != spec.rows and spec.layout18:
        vector = vector[np.asarray(spec.layout18)]
        if rows is not None:
            rows = tuple(i for i, row in enumerate(spec.layout18) if row in rows)
    expected = _shapes(base, spec)
    found = tuple(a.shape for a in vector) if isinstance(vector, tuple) else vector.shape
    if found not in expected:
        raise ValueError(
            f"direction {direction.name!r} has shape {found} in {space!r}; generator "
            f"{spec.name!r} allows {' or '.join(map(str, expected))}"
        )
    if rows is not None and (not rows or rows[-1] >= spec.rows):
        raise ValueError(
            f"direction {direction.name!r} moves rows {list(rows)}; generator {spec.name!r} has "
            f"rows 0 to {spec.rows - 1}"
        )
    return replace(direction, vector=vector, rows=rows)


def _shapes(space: str, spec: GeneratorSpec) -> list[tuple[Any, ...]]:
    width = spec.z_dim if space in ("z", "z+") else spec.w_dim
    if space == "s":
        return [tuple((channels,) for channels in spec.styles)]
    if space == "embedding":
        return [(spec.embedding,)]
    return [(width,), (spec.rows, width)] if space in ROWED else [(width,)]


def _check_weights(direction: Direction, params: Params) -> None:
    """Raise `ValueError` unless every array of the vector changes one of `params`, in its shape."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(direction.vector):
        names = [part.key for part in path]
        held: Any = params
        for name in names:
            held = held.get(name) if isinstance(held, dict) else None
        shape = getattr(held, "shape", None)
        if shape != leaf.shape:
            raise ValueError(
                f"direction {direction.name!r} changes {'/'.join(names)!r} by {list(leaf.shape)}; "
                f"the generator has {'no such array' if shape is None else list(shape)}"
            )
