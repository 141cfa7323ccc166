"""What a search has reached, on disk: the same search goes on there after its process has ended.

Every stage of every batch has one file, replaced whole after some steps. It is found by a digest of
all that the search depends on, and trusted only if its contents have the digest that it states.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import CheckpointError, content_sha256

if TYPE_CHECKING:
    from jaxinv.types import Tree

EVERY = 30.0  # seconds between two checkpoints
SCHEMA = "1"
FOUND = {"kind": "search", "schema": SCHEMA}


class Reached(NamedTuple):
    """A stage after `step` evaluations: trees as `stages.solve` holds them.

    `lanes` [n] are those that are still in the batch, whose solver state is `state`; `best` and
    `curves` are of all.
    """

    step: int
    lanes: np.ndarray
    state: Tree
    best: Tree
    curves: dict[str, np.ndarray]


@dataclass
class SearchCheckpoints:
    """The checkpoints of one search in `folder`; `of` gives those of a batch, `stage` of a stage.

    They are written when `every` seconds have passed since the last one of any stage, when a stage
    is over and a tenth of that has, and when `urgent()` says that the process is about to end.
    """

    folder: Path
    every: float = EVERY
    urgent: Callable[[], bool] = lambda: False
    name: str = ""
    clock: list[float] = field(default_factory=lambda: [time.monotonic()])  # of the last one
    used: set[Path] = field(default_factory=set[Path])  # files of this process

    def of(self, *parts: Any) -> SearchCheckpoints:
        """Those of the search that depends on `parts`: texts, numbers, arrays, trees of them."""
        digest = hashlib.sha256(self.name.encode())
        for leaf in jax.tree.leaves(parts):
            array = None if isinstance(leaf, str) else np.asarray(plain(leaf))
            told = repr(leaf) if array is None else f"{array.dtype}{array.shape}"
            digest.update(told.encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
        return replace(self, name=digest.hexdigest()[:24])

    def stage(self, index: int) -> SearchCheckpoints:
        """Those of the stage of this number, whose file is named so."""
        return replace(self, name=f"{self.name}/stage-{index}")

    @property
    def file(self) -> Path:
        """Where they lie."""
        return self.folder / f"{self.name}.safetensors"

    def due(self, *, over: bool) -> bool:
        """Whether it is time to write one; short stages that are over are soon made again."""
        wait = self.every / 10 if over else self.every
        return self.urgent() or time.monotonic() - self.clock[0] >= wait

    def save(self, reached: Reached) -> None:
        """Replace the file; `OSError` where it cannot be written."""
        tree = {
            "step": np.asarray(reached.step),
            "lanes": np.asarray(reached.lanes),
            "leaves": {
                f"{i:05d}": stored(leaf)
                for i, leaf in enumerate(jax.tree.leaves((reached.state, reached.best)))
            },
            "curves": {name: np.asarray(curve) for name, curve in reached.curves.items()},
        }
        self.used.add(self.file)
        checkpoints.save(self.file, tree, FOUND | {"content_sha256": content_sha256(tree)})
        self.clock[0] = time.monotonic()

    def load(self, fresh: Reached) -> Reached | None:
        """What was reached, laid out as `fresh`; None where nothing can be trusted."""
        if not self.file.is_file():
            return None
        self.used.add(self.file)
        try:
            tree, facts = checkpoints.load(self.file)
        except (CheckpointError, OSError):
            return None
        if facts != FOUND | {"content_sha256": content_sha256(tree)}:
            return None
        leaves, layout = jax.tree.flatten((fresh.state, fresh.best))
        held = [tree["leaves"][name] for name in sorted(tree["leaves"])]
        found = [restored(leaf, like) for leaf, like in zip(held, leaves, strict=True)]
        state, best = jax.tree.unflatten(layout, found)
        return Reached(int(tree["step"]), tree["lanes"], state, best, tree["curves"])

    def forget(self) -> None:
        """Remove those that this process has written or read: their results are safe elsewhere."""
        for folder in {file.parent for file in self.used}:
            shutil.rmtree(folder, ignore_errors=True)
        self.used.clear()

    def clear(self) -> None:
        """Forget all searches of the folder, once their results are safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)


def going_on(kept: SearchCheckpoints | None, fresh: Reached) -> Reached:
    """Where a stage goes on: at its last checkpoint, or as it begins."""
    found = None if kept is None else kept.load(fresh)
    return fresh if found is None else found


def plain(leaf: Any) -> Any:
    """The numbers of a random key, and other arrays as they are."""
    keyed = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if keyed else leaf


def stored(leaf: Any) -> np.ndarray:
    """A leaf as an array of a type that files hold: the bits of types that numpy lacks."""
    array = np.asarray(plain(leaf))
    return array if array.dtype.kind in "biuf" else array.view(f"u{array.dtype.itemsize}")


def restored(array: np.ndarray, like: Any) -> Any:
    """The leaf that was stored, of the type of the fresh leaf `like`."""
    numbers = np.asarray(plain(like))
    value = jnp.asarray(array if array.dtype == numbers.dtype else array.view(numbers.dtype))
    return value if plain(like) is like else jax.random.wrap_key_data(value)
