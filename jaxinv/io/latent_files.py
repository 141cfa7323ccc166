"""Latents on disk: one safetensors file per image, with everything needed to draw it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxinv.io import checkpoints
from jaxinv.io.files import atomic_write
from jaxinv.specs.checks import check_choice, check_kind, check_place
from jaxinv.specs.vocabulary import LATENT_SPACES, NETWORK_VARIABLES, OUTPUT_VARIABLES, SPACES

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Latents

SCHEMA = "1"
LISTS = ("noise", "s")  # one array per layer
TREES = (*NETWORK_VARIABLES, *OUTPUT_VARIABLES)  # nested dicts
LAYOUT = 18  # rows of W+ in StyleGAN2 at 1024 px, which published codes and directions use


def save_latents(path: str | Path, latents: Latents, metadata: dict[str, str]) -> None:
    """Write the latents of ONE sample (no leading axis) as a .safetensors file.

    `metadata` are texts by name; with "generator", `jaxinv render` knows what draws them. Noise
    maps become "noise/00", ... in drawing order.
    """
    check_place("path", path)
    check_kind("latents", latents, Mapping, ", a dict of arrays by space")
    check_kind("metadata", metadata, Mapping, ", a dict of texts by name")
    for name in latents:
        check_choice("space in latents", name, SPACES)
    flat = {name: value for name, value in latents.items() if name not in LISTS}
    for name in LISTS:
        if name in latents:
            flat[name] = {f"{i:02d}": np.asarray(a) for i, a in enumerate(latents[name])}
    facts = {"format": "jaxinv", "schema": SCHEMA, "kind": "latents"}
    checkpoints.save(path, flat, {**metadata, **facts})


def load_latents(path: str | Path) -> tuple[Latents, dict[str, str]]:
    """Latents of one sample, and their metadata, of a .safetensors or .npz file.

    Latents are arrays by space, without a leading axis: `latents["w+"]` is [rows, w_dim]. An .npz
    needs the key "w", [1, rows, w_dim], and has no metadata. Raises `ValueError` when the file
    holds no latents.
    """
    check_place("path", path)
    path = Path(path)
    if path.suffix == ".npz":
        return {"w+": _read_npz(path)}, {}
    flat, metadata = checkpoints.load(path)
    if metadata.get("kind") != "latents":
        raise ValueError(
            f"{path} holds {metadata.get('kind', 'nothing known')!r}; allowed: 'latents'"
        )
    for name, value in flat.items():
        if isinstance(value, dict) != (name in (*LISTS, *TREES)):
            raise ValueError(f"{path}: {name!r} is not laid out as saved latents are")
        if name in LISTS:
            flat[name] = tuple(value[key] for key in sorted(value))
    return flat, metadata


def fit_latents(spec: GeneratorSpec, latents: Latents) -> Latents:
    """Latents of one sample for the generator of `spec`; W+ in 18 rows spreads over its own rows.

    Raises `ValueError` naming the shapes that do not belong to that generator. What is added inside
    the network, or changes it, is checked when it is drawn.
    """
    w = latents.get("w+")
    if w is not None and spec.layout18 and w.ndim == 2 and len(w) == LAYOUT != spec.rows:
        latents = {**latents, "w+": w[np.asarray(spec.layout18)]}
    expected = {
        "z": (spec.z_dim,),
        "z+": (spec.rows, spec.z_dim),
        "w": (spec.w_dim,),
        "w+": (spec.rows, spec.w_dim),
        "s": tuple((channels,) for channels in spec.styles),
        "noise": tuple((side, side) for side in spec.noise),
        "label": (spec.labels,),
        "embedding": (spec.embedding,),
    }
    codes = {name: value for name, value in latents.items() if name not in TREES}
    for name, value in codes.items():
        if "mix" in latents and name in LATENT_SPACES:
            found = value.shape[1:]  # of one among several codes
        else:
            found = tuple(a.shape for a in value) if isinstance(value, tuple) else value.shape
        if found != expected.get(name):
            allowed = expected.get(name, f"only {', '.join(expected)}")
            raise ValueError(
                f"generator {spec.name!r} cannot draw {name!r} of shape {found}; allowed: {allowed}"
            )
    return latents


def _read_npz(path: Path) -> np.ndarray:
    try:
        # Opened here, since numpy leaves a broken archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            w = np.asarray(arrays["w"], np.float32)
    except OSError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise whatever they like
        raise ValueError(f"{path}: not an .npz file with an array 'w' [1, rows, w_dim]") from error
    if w.ndim != 3 or len(w) != 1:
        raise ValueError(f"{path}: 'w' has shape {list(w.shape)}; allowed: [1, rows, w_dim]")
    return w[0]


def save_npz(path: str | Path, spec: GeneratorSpec, w: np.ndarray) -> None:
    """Write w+ [rows, w_dim] in the format of `projected_w.npz`: key "w", float32 [1, rows, w_dim].

    The rows are the generator's own. Only where it has a layout that differs from StyleGAN2's, they
    are written as the 18 rows of that: each is the mean of the rows that stand for it, and rows
    without a counterpart repeat the last one.
    """
    if spec.layout18 and spec.layout18 != tuple(range(spec.rows)):
        layout = np.asarray(spec.layout18)
        rows = [w[layout == i].mean(0) for i in range(layout.max() + 1)]
        w = np.stack(rows + [rows[-1]] * (LAYOUT - len(rows)))
    atomic_write(path, lambda file: np.savez(file, w=w[None].astype(np.float32)))
