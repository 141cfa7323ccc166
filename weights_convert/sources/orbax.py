"""Parameters that somebody trained on with this library, and saved with orbax."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import read_spec, weights_file
from weights_convert.errors import UnsafeFileError


def convert(tree: Any, like: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts) of a tree that has the arrays of the generator called `like`.

    Parts of that generator that the tree lacks altogether, such as its discriminator, stay as they
    are; what `load_generator` adds to the parameters is dropped. Raises `ValueError` without a
    `like`, `UnsafeFileError` for arrays of other names or shapes.
    """
    if like is None:
        raise ValueError(
            "an orbax checkpoint does not say which generator it is; give the one that it was "
            "trained from with --like"
        )
    expected, metadata = checkpoints.load(weights_file(like))
    if not isinstance(tree, dict) or "synthesis" not in tree:
        raise UnsafeFileError(
            "the checkpoint has no 'synthesis'; allowed: a generator's parameters"
        )
    params = {name: _as(name, tree.get(name, part), part) for name, part in expected.items()}
    read_spec(metadata)
    facts = json.loads(metadata["spec"])
    return params, {key: facts[key] for key in facts if key != "name"}


def _as(name: str, tree: Any, expected: Any) -> Any:
    """`tree` in float32, if it has the names and shapes of `expected`."""
    if isinstance(expected, dict):
        found = sorted(tree) if isinstance(tree, dict) else []
        if found != sorted(expected):
            raise UnsafeFileError(f"{name} holds {found}; allowed: {sorted(expected)}")
        return {key: _as(f"{name}/{key}", tree[key], value) for key, value in expected.items()}
    if np.shape(tree) != expected.shape or not np.isfinite(tree).all():
        raise UnsafeFileError(f"{name} of shape {np.shape(tree)}; allowed: finite {expected.shape}")
    return np.asarray(tree, np.float32)
