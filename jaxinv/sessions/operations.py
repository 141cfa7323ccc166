"""What can be done to a picture in a session: frozen facts, from which it can be done again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import jax
import numpy as np

from jaxinv.edits.walks import Walk

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.types import Latents


@dataclass(frozen=True, eq=False)
class Move:
    """The code moved along a direction or a walk, by an amount in its units.

    `name` is what finds the way again; by default that of the way.
    """

    way: Way
    amount: float
    name: str = ""


@dataclass(frozen=True, eq=False)
class DragPoints:
    """Points dragged to targets [n, 2], x and y in px of the full picture, for so many steps.

    mask: [256, 256], 1 where the picture may move; None: everywhere.
    """

    points: np.ndarray
    targets: np.ndarray
    steps: int
    rate: float
    mask: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PaintColours:
    """Colours uint8 [256, 256, 3] that count where the mask [256, 256] is 1, for so many steps."""

    colours: np.ndarray
    mask: np.ndarray
    steps: int
    edges: bool = False


@dataclass(frozen=True, eq=False)
class MixRows:
    """Rows of w+ that take other codes [rows, w_dim]; `name` says whose."""

    codes: np.ndarray
    rows: tuple[int, ...]
    name: str = ""


Operation: TypeAlias = Move | DragPoints | PaintColours | MixRows


def fingerprint(latents: Latents) -> str:
    """The SHA-256 of all that latents hold, whatever its order."""
    digest = hashlib.sha256()
    for path, leaf in sorted(
        (jax.tree_util.keystr(path), np.asarray(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(latents)
    ):
        digest.update(f"{path}{leaf.shape}{leaf.dtype}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def way_fingerprint(way: Way) -> str:
    """The SHA-256 of where a direction or a walk leads."""
    if isinstance(way, Walk):
        told = json.dumps([way.kind, way.space, dict(way.options)], sort_keys=True)
        return fingerprint({told: way.arrays})
    return fingerprint({f"{way.space} {way.rows}": way.vector})
