"""What a source is: whose files it knows, and how they become parameters and facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.errors import UnsafeFileError

Arrays = dict[str, np.ndarray]
# What torch.compile adds anywhere in a name, and wrappers for several devices in front of it.
COMPILED, WRAPPERS = "_orig_mod.", re.compile(r"^(module\.)+")
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
    """The arrays by plain name under the first of `keys` that the tree has."""
    for key in keys:
        held = tree.get(key) if isinstance(tree, dict) else None
        if isinstance(held, dict) and all(isinstance(name, str) for name in held):
            return plain_names(held)
    return None


def plain_names(tree: Mapping[Any, Any]) -> Arrays:
    """The arrays of a dict, by names without what wrappers of torch add ("module.", "_orig_mod.").

    Raises `UnsafeFileError` where two names become one.
    """
    found: Arrays = {}
    for name, value in tree.items():
        if isinstance(name, str) and isinstance(value, np.ndarray):
            plain = WRAPPERS.sub("", name.replace(COMPILED, ""))
            if plain in found:
                raise UnsafeFileError(f"two arrays are called {plain[:80]!r}")
            found[plain] = value
    return found


def requiring(marker: str, find: Callable[[Any], Arrays | None]) -> Callable[[Any], Arrays | None]:
    """`find`, but only arrays of which one is called `marker`."""

    def found(tree: Any) -> Arrays | None:
        arrays = find(tree)
        return arrays if arrays is not None and marker in arrays else None

    return found
