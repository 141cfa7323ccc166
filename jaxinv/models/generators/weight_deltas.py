"""Changes of a network's weights that belong to one image.

A change is a tree laid out as the parameters are, of those arrays that change. Each of its ends
is a dict of the form's own arrays: {"value": p'} replaces p, {"add": d} gives p + d, {"times": d}
gives p (1 + d), {"down": a, "up": b} gives p + a b with p seen as a matrix whose columns are its
last axis.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp

from jaxinv.nn.conv import BACKWARD_KERNELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.types import Array, Key, Params, Tree

FORMS: dict[str, tuple[str, ...]] = {
    "replace": ("value",),
    "add": ("add",),
    "multiply": ("times",),
    "low-rank": ("down", "up"),
}
NETWORK = "synthesis"  # what may change: the part of the parameters that draws
OF_KERNELS = ("backward", "energy")  # what `nn.conv.precompute_backward` keeps of one
Path = tuple[str, ...]


def changed(array: Array, change: dict[str, Array]) -> Array:
    """One array with its change."""
    if "value" in change:
        return change["value"]
    if "add" in change:
        return array + change["add"]
    if "times" in change:
        return array * (1 + change["times"])
    return array + (change["down"] @ change["up"]).reshape(array.shape)


def difference(array: Array, change: dict[str, Array]) -> Array:
    """What one array gains by its change."""
    if "value" in change:
        return change["value"] - array
    if "add" in change:
        return change["add"]
    if "times" in change:
        return array * change["times"]
    return (change["down"] @ change["up"]).reshape(array.shape)


def differences(params: Params, changes: Params) -> list[Array]:
    """What every array that changes gains."""
    found: list[Array] = []
    for name, change in changes.items():
        if _is_end(change):
            found.append(difference(params[name], change))
        else:
            found += differences(params[name], change)
    return found


def patched(params: Params, changes: Params | None) -> Params:
    """The parameters with their changes; a changed kernel loses what was computed of it once."""
    if not changes:
        return params
    found = _merged(params, changes)
    if BACKWARD_KERNELS in params:
        found[BACKWARD_KERNELS] = _thawed(params[BACKWARD_KERNELS], changes)
    return found


def _is_end(change: Any) -> bool:
    return not any(isinstance(value, dict) for value in change.values())


def _merged(params: Params, changes: Params) -> Params:
    found = dict(params)
    for name, change in changes.items():
        merge = changed if _is_end(change) else _merged
        found[name] = merge(params[name], change)
    return found


def _thawed(frozen: Params, changes: Params) -> Params:
    """What was computed once, but for layers whose kernel changes."""
    found = dict(frozen)
    for name, change in changes.items():
        if name == "kernel":
            found = {kind: value for kind, value in found.items() if kind not in OF_KERNELS}
        elif isinstance(change, dict) and isinstance(found.get(name), dict):
            found[name] = _thawed(found[name], change)
    return found


def leaves(tree: Params, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, array) of every array of a nested dict."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def select(
    params: Params, steps: tuple[str, ...], patterns: tuple[str, ...], part: tuple[float, float]
) -> list[Path]:
    """Paths of the drawing network's arrays that match a pattern and belong to a part of its steps.

    Patterns are those of file names, for "step/layer/kernel" and the like. `part` are fractions of
    the number of steps, from the first to the last; arrays before the first step (a constant)
    belong to it, others of no step (image layers) to the last. Raises `ValueError` if none is left.
    """
    bounds = [edge * len(steps) for edge in part]
    found: list[Path] = []
    for path, _ in leaves(params[NETWORK]):
        name = "/".join(path)
        place = 0.5 + _place(path[0], steps)
        if bounds[0] <= place <= bounds[1] and any(fnmatchcase(name, p) for p in patterns):
            found.append((NETWORK, *path))
    if not found:
        known = ", ".join(sorted({path[0] for path, _ in leaves(params[NETWORK])}))
        raise ValueError(
            f"no weights match {', '.join(patterns)} in the part {part} of the steps; "
            f"allowed: names below {known}"
        )
    return found


def _place(name: str, steps: tuple[str, ...]) -> int:
    if name in steps:
        return steps.index(name)
    return 0 if name == "const" else len(steps) - 1


def unchanged(params: Params, path: Path, kind: tuple[str, int], key: Key) -> dict[str, Array]:
    """The change of one array that changes nothing; `kind` is its form, and the rank of "low-rank".

    There the first factor is drawn at random, so that the second has a gradient.
    """
    (form, rank), array = kind, cast("Any", params)
    for name in path:
        array = array[name]
    if form == "replace":
        return {"value": array}
    if form != "low-rank":
        return {FORMS[form][0]: jnp.zeros(array.shape, array.dtype)}
    columns = array.shape[-1] if array.ndim else 1
    rows = max(array.size // columns, 1)
    down = jax.random.normal(key, (rows, rank)) / jnp.sqrt(rank)
    return {"down": down.astype(array.dtype), "up": jnp.zeros((rank, columns), array.dtype)}


def nested(pairs: list[tuple[Path, Tree]]) -> Params:
    """A nested dict of (path, value) pairs."""
    found: Params = {}
    for path, value in pairs:
        at = found
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    return found
