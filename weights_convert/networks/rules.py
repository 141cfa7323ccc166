"""Renaming by table: every source array is used and every target filled, or conversion fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError

# What parameters may take: so many times the source's arrays, and noise maps that it lacks.
GROWTH, SLACK = 4, 2**26


@dataclass(frozen=True)
class Rule:
    """One line of a table: `target` ("a/b/c") is `transform(*sources)`, float32 `shape`.

    `inverse` gives the one source back, so that the table can be read in both directions.
    """

    target: str
    sources: tuple[str, ...]
    transform: Callable[..., np.ndarray]
    shape: tuple[int, ...]
    inverse: Callable[[np.ndarray], np.ndarray] | None = None


def apply_rules(
    rules: Iterable[Rule],
    weights: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Build the nested dict that `rules` describe out of `weights`, all of which must be used.

    `constants` may be used but need not be. Raises `UnsafeFileError` for a missing source, an
    unused or empty weight, a target filled twice, a wrong shape, values that are not finite, and
    where arrays that the source names again and again would fill the memory.
    """
    for name, weight in weights.items():
        if not np.size(weight):
            raise UnsafeFileError(f"{name[:80]!r} holds no numbers: shape {np.shape(weight)}")
    known = {**(constants or {}), **weights}
    nested: dict[str, Any] = {}
    used: set[str] = set()
    left_bytes = GROWTH * distinct_bytes(known) + SLACK
    for rule in rules:
        missing = [name for name in rule.sources if name not in known]
        if missing:
            raise UnsafeFileError(f"{rule.target}: the source has no {', '.join(missing)}")
        used.update(rule.sources)
        value = _value(rule, known)
        left_bytes -= value.nbytes
        if left_bytes < 0:
            raise UnsafeFileError("the source names the same arrays too often")
        _put(nested, rule.target, value)
    if left := sorted(set(weights) - used):
        raise UnsafeFileError(
            f"{len(left)} weights of the source are used by no rule: {', '.join(left)[:400]}"
        )
    return nested


def distinct_bytes(arrays: Mapping[str, np.ndarray]) -> int:
    """How many bytes arrays take, of which several may be the same memory."""
    held = {one.__array_interface__["data"][0]: one.nbytes for one in arrays.values()}
    return sum(held.values())


def _value(rule: Rule, known: Mapping[str, np.ndarray]) -> np.ndarray:
    try:
        array = np.asarray(rule.transform(*(known[name] for name in rule.sources)), np.float32)
    except UnsafeFileError:
        raise
    except (ValueError, IndexError, TypeError) as error:
        raise UnsafeFileError(f"{rule.target}: source of another shape ({error})") from error
    if array.shape != rule.shape:
        raise UnsafeFileError(f"{rule.target}: shape {array.shape}; allowed: {rule.shape}")
    if not np.isfinite(array).all():
        raise UnsafeFileError(f"{rule.target}: holds values that are not finite")
    return np.ascontiguousarray(array).reshape(array.shape)


def _put(nested: dict[str, Any], target: str, array: np.ndarray) -> None:
    *parents, leaf = target.split("/")
    branch = nested
    for key in parents:
        branch = branch.setdefault(key, {})
    if leaf in branch:
        raise UnsafeFileError(f"two rules fill {target}")
    branch[leaf] = array


def undo_rules(rules: Iterable[Rule], params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The source's arrays by name, float32, of which `apply_rules` would make `params`.

    All parameters must be used. Raises `ValueError` for one that is missing, left over or of
    another shape, and for a rule that has no inverse.
    """
    left = dict(_leaves(params, ""))
    arrays: dict[str, np.ndarray] = {}
    for rule in rules:
        if rule.inverse is None or len(rule.sources) != 1:
            raise ValueError(f"the rule of {rule.target} cannot be undone")
        if rule.target not in left:
            raise ValueError(f"the generator has no {rule.target}")
        array = np.asarray(left.pop(rule.target), np.float64)
        if array.shape != rule.shape:
            raise ValueError(f"{rule.target}: shape {array.shape}; allowed: {rule.shape}")
        stored = np.asarray(rule.inverse(array), np.float32)
        arrays[rule.sources[0]] = np.ascontiguousarray(stored).reshape(stored.shape)
    if left:
        raise ValueError(f"{len(left)} parameters are used by no rule: {', '.join(left)[:400]}")
    return arrays


def _leaves(params: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value
