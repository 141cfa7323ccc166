"""Latents on disk: one safetensors file per image, with everything needed to draw it again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.io import checkpoints, latent_shards
from jaxinv.io.arrays import read_numpy
from jaxinv.io.file_kinds import NPY, NPZ, read_kind
from jaxinv.io.files import BadFile, atomic_write
from jaxinv.specs.checks import check_choice, check_kind, check_place
from jaxinv.specs.vocabulary import LATENT_SPACES, NETWORK_VARIABLES, OUTPUT_VARIABLES, SPACES

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Latents

SCHEMA = "1"
LISTS = ("noise", "s")  # one array per layer
TREES = (*NETWORK_VARIABLES, *OUTPUT_VARIABLES)  # nested dicts
# What other tools call codes in W and W+.
CODES = (
    "w", "ws", "wp", "w+", "w_plus", "wplus", "latent", "latents", "latent_in", "latent_code",
    "latent_codes", "dlatent", "dlatents", "projected_w", "code", "codes",
)  # fmt: skip
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
    facts = {"format": "jaxinv", "schema": SCHEMA, "kind": "latents"}
    checkpoints.save(path, as_stored(latents), {**metadata, **facts})


def as_stored(latents: Latents) -> dict[str, Any]:
    """The nested dict of arrays that a file holds: lists become "00", "01", ..."""
    flat = {name: value for name, value in latents.items() if name not in LISTS}
    for name in LISTS:
        if name in latents:
            flat[name] = {f"{i:02d}": np.asarray(a) for i, a in enumerate(latents[name])}
    return flat


def from_stored(flat: dict[str, Any], path: str | Path) -> Latents:
    """The latents of what `as_stored` made; `ValueError`, naming `path`, for another layout."""
    for name, value in flat.items():
        if isinstance(value, dict) != (name in (*LISTS, *TREES)):
            raise ValueError(f"{path}: {name!r} is not laid out as saved latents are")
        if name in LISTS:
            flat[name] = tuple(value[key] for key in sorted(value))
    return flat


def load_latents(path: str | Path) -> tuple[Latents, dict[str, str]]:
    """Latents of one sample, and their metadata, of a .safetensors, .npz or .npy file.

    Latents are arrays by space, without a leading axis: `latents["w+"]` is [rows, w_dim]. The kind
    of file is told by its first bytes; files of NumPy have no metadata, and are read as `codes_of`
    says. Latents OUT/latents/NAME.safetensors may be packed with others in OUT/shards. Raises
    `ValueError` when the file holds no latents, or more than one.
    """
    check_place("path", path)
    path = Path(path)
    if (packed := latent_shards.find(path)) is not None:
        return from_stored(packed.load(), path), packed.facts
    if read_kind(path) in (NPY, NPZ):
        codes = codes_of(numpy_tree(path), path)
        if len(codes) > 1:
            raise ValueError(f"{path} holds {len(codes)} codes; allowed: 1")
        return codes[0], {}
    flat, metadata = checkpoints.load(path)
    if metadata.get("kind") != "latents":
        raise ValueError(
            f"{path} holds {metadata.get('kind', 'nothing known')!r}; allowed: 'latents'"
        )
    return from_stored(flat, path), metadata


def fit_latents(spec: GeneratorSpec, latents: Latents) -> Latents:
    """Latents of one sample for the generator of `spec`; W+ in 18 rows spreads over its own rows.

    Raises `ValueError` naming the shapes that do not belong to that generator. What is added inside
    the network, or changes it, is checked when it is drawn.
    """
    w = latents.get("w+")
    if w is not None and spec.layout18 and w.ndim == 2 and len(w) == LAYOUT != spec.rows:
        w = w[np.asarray(spec.layout18)]
        latents = {**latents, "w+": w}
    expected = {
        "z": (spec.z_dim,),
        "z+": (spec.rows, spec.z_dim),
        "w": (spec.w_dim,),
        "w+": (spec.rows, spec.w_dim),
        "s": tuple((channels,) for channels in spec.styles),
        "noise": tuple((side, side) for side in spec.noise),
        "label": (spec.labels,),
        "embedding": (spec.embedding,),
        "camera": (spec.camera,),
    }
    if w is not None and "mix" not in latents and w.shape != expected["w+"] and spec.rows:
        raise ValueError(_wrong_rows(spec, w.shape))
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
    _check_camera(latents)
    return latents


def _check_camera(latents: Latents) -> None:
    """Raise `ValueError` unless the angles of a camera are those of a place on its orbit."""
    yaw, pitch = (float(angle) for angle in latents.get("camera", (0, 0)))
    if not (abs(yaw) <= math.pi and abs(pitch) < math.pi / 2):
        raise ValueError(
            f"camera of yaw {yaw:.6g} and pitch {pitch:.6g} radians; allowed: yaw from -pi to pi, "
            "pitch between -pi / 2 and pi / 2"
        )


def _wrong_rows(spec: GeneratorSpec, shape: tuple[int, ...]) -> str:
    """Says which row counts fit, and whose they and the given ones are."""
    usual = spec.layout18 == tuple(range(spec.rows))
    allowed = _shape((spec.rows, spec.w_dim), _owner(spec.rows) if usual else "its own rows")
    if spec.layout18 and spec.rows != LAYOUT:
        allowed += f" or {_shape((LAYOUT, spec.w_dim), _owner(LAYOUT))}"
    given = _shape(shape, _owner(shape[0]) if spec.layout18 and len(shape) == 2 else "")
    return f"generator {spec.name!r} cannot draw 'w+' of shape {given}; allowed: {allowed}"


def _shape(shape: tuple[int, ...], note: str) -> str:
    return f"{shape} ({note})" if note else f"{shape}"


def _owner(rows: int) -> str:
    """The StyleGAN2 that has so many rows; empty if none has."""
    fits = rows % 2 == 0 and 4 <= rows <= LAYOUT
    return f"the rows of a StyleGAN2 of {2 ** (rows // 2 + 1)} px" if fits else ""


def numpy_tree(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """What an .npy or .npz file holds; `ValueError` naming it where it cannot be read."""
    try:
        return read_numpy(path)
    except BadFile as error:
        raise ValueError(f"{path}: not a readable file of NumPy arrays ({error})") from error


def codes_of(tree: Any, path: str | Path) -> list[Latents]:
    """The latents, a dict for each sample, in what another tool saved: an array, or dicts of them.

    Of several arrays those count that are called as codes are (`CODES`), or "z". Shapes are
    [w_dim], [rows, w_dim] and [n, rows, w_dim]; a single row is "w", several are "w+". Raises
    `ValueError` when there are none, or when they have other shapes or hold no finite numbers.
    """
    named = list(_arrays(tree, ""))
    found = [one for one in named if one[0] in CODES] or [one for one in named if one[0] == "z"]
    found = found or (named if len(named) == 1 else [])
    if not found:
        held = ", ".join(f"{name[:40]!r} {list(array.shape)}" for name, array in named[:8])
        raise ValueError(
            f"{path} holds {held or 'no arrays'}; allowed: one array, or one that is called "
            f"{', '.join(CODES)} or z"
        )
    return [code for name, array in found for code in _codes(name, array, path)]


def _arrays(tree: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays with the nearest key above them."""
    if isinstance(tree, np.ndarray):
        yield name, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _arrays(value, str(key))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _arrays(value, name)


def _codes(name: str, array: np.ndarray, path: str | Path) -> list[Latents]:
    shape = array.shape
    while array.ndim > 3 and len(array) == 1:
        array = array[0]
    if array.dtype.kind != "f" or not array.size or array.ndim not in (1, 2, 3):
        raise ValueError(
            f"{path}: {name or 'the array'} has shape {list(shape)} and type {array.dtype}; "
            "allowed: [w_dim], [rows, w_dim] or [n, rows, w_dim] floats"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: {name or 'the array'} holds values that are not finite")
    if name == "z":
        return [{"z": row} for row in array.reshape(-1, array.shape[-1])]
    samples = array if array.ndim == 3 else array[None]
    return [
        {"w+": one} if one.ndim == 2 and len(one) > 1 else {"w": one.ravel()} for one in samples
    ]


def save_npz(path: str | Path, spec: GeneratorSpec, w: np.ndarray) -> None:
    """Write w+ [rows, w_dim] in the format of `projected_w.npz`: key "w", float32 [1, rows, w_dim].

    The rows are those of `published_rows`.
    """
    rows = published_rows(spec, w)[None]
    atomic_write(path, lambda file: np.savez(file, w=rows))


def published_rows(spec: GeneratorSpec, w: np.ndarray) -> np.ndarray:
    """W+ float32 [rows, w_dim] as other tools take it.

    The rows are the generator's own. Only where it has a layout that differs from StyleGAN2's, they
    become the 18 rows of that: each is the mean of the rows that stand for it, and rows without a
    counterpart repeat the last one.
    """
    if spec.layout18 and spec.layout18 != tuple(range(spec.rows)):
        layout = np.asarray(spec.layout18)
        rows = [w[layout == i].mean(0) for i in range(layout.max() + 1)]
        w = np.stack(rows + [rows[-1]] * (LAYOUT - len(rows)))
    return w.astype(np.float32)
