"""The tensors of a fixture from the rules of its meta.json, and what all checks share."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

NORMAL, ABSOLUTE, ZEROS = "normal", "abs", "zero_int"


def rule_tensor(
    name: str,
    shape: tuple[int, ...],
    scale: float = 1.0,
    offset: float = 0.0,
    kind: str = NORMAL,
    seed: int = 0,
) -> np.ndarray:
    """offset + scale * n, where n is drawn for the name: float32; int64 for "zero_int"."""
    if kind == ZEROS:
        return np.zeros(shape, np.int64)
    draws = np.random.default_rng(zlib.crc32(name.encode()) + seed)
    n = draws.standard_normal(shape).astype(np.float32)
    n = np.abs(n) if kind == ABSOLUTE else n
    return np.asarray(np.float32(offset) + np.float32(scale) * n)


def read_meta(folder: Path) -> dict[str, Any]:
    """The contents of meta.json."""
    return json.loads((folder / "meta.json").read_text("utf-8"))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name."""
    with np.load(path, allow_pickle=False) as held:
        return dict(held)


def tensors(folder: Path, net: str | None = None) -> dict[str, np.ndarray]:
    """The state dict of a fixture; `net` is how the entries of one of several begin to be called.

    What arrays.npz holds takes the place of the rule's values, in float32.
    """
    meta = read_meta(folder)
    own = [entry for entry in meta["tensors"] if net is None or _belongs(entry, net)]
    found = {entry["name"]: _tensor(entry, meta["seed"]) for entry in own}
    if (path := folder / "arrays.npz").is_file():
        stored = {name: array.astype(np.float32) for name, array in read_arrays(path).items()}
        found.update({name: stored[name] for name in found if name in stored})
    return found


def _belongs(entry: Mapping[str, Any], net: str) -> bool:
    return entry.get("net", "").partition(",")[0] == net


def _tensor(entry: Mapping[str, Any], seed: int) -> np.ndarray:
    rule = entry["rule"]
    _, _, more = entry.get("net", "").partition("SEED+")
    seed += int(more or 0)
    if rule == ZEROS:
        return rule_tensor(entry["name"], tuple(entry["shape"]), kind=ZEROS)
    kind = ABSOLUTE if rule.get("abs") else NORMAL
    return rule_tensor(
        entry["name"], tuple(entry["shape"]), rule["scale"], rule["offset"], kind, seed
    )


def relative_error(found: Any, expected: Any) -> float:
    """The largest difference over the largest expected value."""
    ours, theirs = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if ours.shape != theirs.shape:
        raise AssertionError(f"shape {ours.shape}; expected {theirs.shape}")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def check_close(found: Any, expected: Any, what: str, allowed: float = 1e-5) -> None:
    """Fail unless the largest difference is at most `allowed` of the largest expected value."""
    error = relative_error(found, expected)
    assert error <= allowed, f"{what}: relative error {error:.2g}, allowed {allowed:.2g}"
