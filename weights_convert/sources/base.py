"""What a source is: whose files it knows, and how they become parameters and facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]
Facts = tuple[dict[str, Any], dict[str, Any]]  # nested parameters, fields of the spec
DiscriminatorParams = tuple[dict[str, Any], list[Any]]  # parameters and plan of a discriminator


class Source(NamedTuple):
    """`find` gives the generator's arrays in a tree (None: another source); `convert` uses them.

    `discriminator` gives the discriminator that stands beside it in the tree, or None, for the
    generator's fields of the spec.
    """

    name: str
    find: Callable[[Any], Any]
    convert: Callable[..., Facts]
    options: tuple[str, ...] = ()
    config: bool = False
    discriminator: Callable[[Any, Any], DiscriminatorParams | None] | None = None


def state_dict(tree: Any, *keys: str) -> Arrays | None:
    """The arrays by name under the first of `keys` that the tree has, without "module."."""
    for key in keys:
        held = tree.get(key) if isinstance(tree, dict) else None
        if isinstance(held, dict) and all(isinstance(name, str) for name in held):
            return {
                name.removeprefix("module."): value
                for name, value in held.items()
                if isinstance(value, np.ndarray)
            }
    return None


def requiring(marker: str, find: Callable[[Any], Arrays | None]) -> Callable[[Any], Arrays | None]:
    """`find`, but only arrays of which one is called `marker`."""

    def found(tree: Any) -> Arrays | None:
        arrays = find(tree)
        return arrays if arrays is not None and marker in arrays else None

    return found
