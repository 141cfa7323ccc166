"""Latents on disk: one safetensors file per image, with everything needed to draw it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxinv import checkpoints

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Latents

SCHEMA = "1"


def save_latents(path: Path, latents: Latents, metadata: dict[str, str]) -> None:
    """Write the latents of ONE sample; noise maps become "noise/00", "noise/01", ... in drawing order."""
    flat = {name: value for name, value in latents.items() if name not in ("noise", "s")}
    for name in ("noise", "s"):
        if name in latents:
            flat[name] = {f"{i:02d}": np.asarray(a) for i, a in enumerate(latents[name])}
    facts = {"format": "jaxinv", "schema": SCHEMA, "kind": "latents"}
    checkpoints.save(path, flat, {**metadata, **facts})


def load_latents(path: Path) -> tuple[Latents, dict[str, str]]:
    """Latents of one sample and their metadata; also reads an .npz with the key "w", [1, rows, w_dim].

    Raises `ValueError` when the file is neither.
    """
    if path.suffix == ".npz":
        return {"w+": _read_npz(path)}, {}
    flat, metadata = checkpoints.load(path)
    if metadata.get("kind") != "latents":
        raise ValueError(
            f"{path} holds {metadata.get('kind', 'nothing known')!r}; allowed: 'latents'"
        )
    for name in ("noise", "s"):
        if name in flat:
            flat[name] = tuple(flat[name][key] for key in sorted(flat[name]))
    return flat, metadata


def _read_npz(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays["w"][0], np.float32)
    except (KeyError, OSError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: not an .npz file with an array 'w' [1, rows, w_dim]") from error


def save_npz(path: Path, spec: GeneratorSpec, w: np.ndarray) -> None:
    """Write w+ [rows, w_dim] as `projected_w.npz` is laid out: key "w", float32 [1, rows, w_dim].

    A generator whose rows follow StyleGAN2's 18-row layout is written in 18 rows: each is the mean
    of the rows that stand for it, and rows without a counterpart repeat the last one.
    """
    if spec.layout18:
        layout = np.asarray(spec.layout18)
        rows = [w[layout == i].mean(0) for i in range(layout.max() + 1)]
        w = np.stack(rows + [rows[-1]] * (18 - len(rows)))
    checkpoints.atomic_write(path, lambda file: np.savez(file, w=w[None].astype(np.float32)))
