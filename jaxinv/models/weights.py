"""Files of weights to parameters on the device, and what is computed once and cached."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.io import checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Params, Tree


def read_weights(path: Path) -> tuple[Params, dict[str, str]]:
    """Parameters and metadata of a converted checkpoint; float16 becomes float32.

    Raises `ValueError` if its contents are not what it says.
    """
    held, metadata = checkpoints.load(path)
    params = in_single(held)
    expected = metadata.get("content_sha256")
    if expected is not None and checkpoints.content_sha256(params) != expected:
        raise ValueError(
            f"{path} is damaged: its contents do not have the recorded SHA-256 {expected}; "
            f"pull it again"
        )
    return jax.device_put(params), metadata  # `jnp.asarray` would compile a program per shape


def in_single(params: Params) -> Params:
    """The arrays with float16 as float32: what is used, and what the recorded digest is of."""
    return jax.tree.map(lambda a: a.astype(np.float32) if a.dtype == np.float16 else a, params)


def use_compilation_cache() -> None:
    """Keep compiled programs in the cache folder, unless the user has chosen a place, or none."""
    chosen: Any = jax.config  # its options are attributes that are made when it starts
    if chosen.jax_compilation_cache_dir is None and chosen.jax_enable_compilation_cache:
        jax.config.update("jax_compilation_cache_dir", str(checkpoints.cache_dir() / "compiled"))
        # Small programs too: a first step needs dozens of them.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def disk_cached(
    label: str, content: Tree, compute: Callable[[], Params], *, names: tuple[str, ...]
) -> Params:
    """`compute()`, kept in the cache folder under a hash of `label` and of the arrays of `content`.

    A file that is damaged, or does not hold what is called `names`, is computed anew; a folder that
    cannot be written is done without.
    """
    digest = hashlib.sha256(label.encode())
    for leaf in jax.tree.leaves(content):
        digest.update(np.asarray(leaf).tobytes())
    path = checkpoints.cache_dir() / "statistics" / f"{digest.hexdigest()[:32]}.safetensors"
    with suppress(OSError, ValueError):
        found = read_weights(path)[0]
        if found.keys() == set(names):
            return found
    found = compute()
    facts = {"format": "jaxinv", "schema": "1", "kind": "statistics", "label": label}
    facts["content_sha256"] = checkpoints.content_sha256(found)
    with suppress(OSError):
        checkpoints.save(path, found, facts)
    return found
