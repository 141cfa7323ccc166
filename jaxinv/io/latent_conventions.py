"""How other tools lay out files of latents: what their names say, and layouts that they read.

NVlabs' projector writes `projected_w.npz`, stylegan3-fun .npy files, PTI and StyleCLIP a tensor,
encoder4editing one tensor for a folder, rosinality a dict of dicts by file, ReStyle a dict of lists
by file, InterFaceGAN one array of codes in W or Z.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from jaxinv.io.files import atomic_write
from jaxinv.io.latent_files import CODES, codes_of, published_rows

if TYPE_CHECKING:
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Latents

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
Named = tuple[str, "Latents", dict[str, str]]
# Writes nested dicts and lists of float32 arrays, or one array, as a torch file.
TorchWriter = Callable[[Any, BinaryIO], None]


def named_codes(tree: Any, path: str | Path, *, space: str | None = None) -> list[Named]:
    """Latents in what another tool saved, each with its name ("": none) and what is known of it.

    Names are those of files in rosinality's and ReStyle's dicts; of several iterations the last
    counts, noise maps come along. With `space` "w" or "z" each row of an array [n, d] is a code of
    its own. All else is read as `codes_of` says. Raises `ValueError` where there are no latents.
    """
    if space is not None:
        return [("", {space: row}, {}) for row in _rows(tree, path)]
    if isinstance(tree, Mapping) and tree and not {*CODES, "z"}.intersection(tree):
        if all(isinstance(one, Mapping) and "latent" in one for one in tree.values()):
            return [_projected(key, one, path) for key, one in tree.items()]
        if all(PurePosixPath(str(key)).suffix.lower() in PICTURES for key in tree):
            return [_last(key, one, path) for key, one in tree.items()]
    return [("", one, {}) for one in codes_of(tree, path)]


def _rows(tree: Any, path: str | Path) -> np.ndarray:
    held = list(tree.values()) if isinstance(tree, Mapping) else [tree]
    array = held[0] if len(held) == 1 else None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise ValueError(f"{path} holds no array [n, d] of floats, whose rows could be codes")
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"{path} holds no codes, or some that are not finite")
    return np.atleast_2d(array).astype(np.float32)


def _projected(key: Any, held: Mapping[Any, Any], path: str | Path) -> Named:
    (code,) = _single(codes_of({"latent": held["latent"]}, path), key, path)
    maps = held.get("noise")
    if isinstance(maps, list | tuple) and maps:
        code = {**code, "noise": tuple(_map(one, path) for one in maps)}
    return _stem(key), code, {"source": str(key)}


def _map(found: Any, path: str | Path) -> np.ndarray:
    plane = np.squeeze(found) if isinstance(found, np.ndarray) else np.empty(0)
    if plane.dtype.kind != "f" or plane.ndim != 2 or not np.isfinite(plane).all():
        raise ValueError(f"{path}: a noise map is no finite array [side, side]")
    return plane.astype(np.float32)


def _last(key: Any, held: Any, path: str | Path) -> Named:
    last = held[-1] if isinstance(held, list | tuple) and held else held
    (code,) = _single(codes_of({"latent": last}, path), key, path)
    return _stem(key), code, {"source": str(key)}


def _single(codes: list[Latents], key: Any, path: str | Path) -> list[Latents]:
    if len(codes) != 1:
        raise ValueError(f"{path} holds {len(codes)} codes of {str(key)[:80]!r}; allowed: 1")
    return codes


def _stem(key: Any) -> str:
    return PurePosixPath(str(key).replace("\\", "/")).stem


class Sample(NamedTuple):
    """One sample to be written: its name, latents, source, and its picture [h, w, 3], if any."""

    name: str
    latents: Latents
    source: str = ""
    picture: np.ndarray | None = None


class Layout(NamedTuple):
    """A layout of `EXPORTS`: how it is written to a folder for one generator.

    `whole` layouts are written once, with all samples, others with each of them; `pictures` says
    whether they hold them.
    """

    write: Callable[[Path, GeneratorSpec, Sequence[Sample], TorchWriter], Path]
    whole: bool = False
    pictures: bool = False


def w_plus(spec: GeneratorSpec, latents: Latents) -> np.ndarray:
    """W+ of a sample as other tools take it (see `published_rows`); `ValueError` if it has none."""
    rows = latents.get("w+")
    if rows is None and "w" in latents:
        rows = np.broadcast_to(latents["w"], (spec.rows, spec.w_dim))
    if rows is None or np.ndim(rows) != 2:
        raise ValueError(f"latents in {', '.join(sorted(latents))}; allowed: w or w+")
    return published_rows(spec, np.asarray(rows))


def _npz(out: Path, spec: GeneratorSpec, samples: Sequence[Sample], torch: TorchWriter) -> Path:
    del torch
    (one,) = samples
    rows, place = w_plus(spec, one.latents)[None], out / one.name / "projected_w.npz"
    return atomic_write(place, lambda file: np.savez(file, w=rows))


def _npy(out: Path, spec: GeneratorSpec, samples: Sequence[Sample], torch: TorchWriter) -> Path:
    del torch
    (one,) = samples
    rows = w_plus(spec, one.latents)[None]
    return atomic_write(out / f"{one.name}.npy", lambda file: np.save(file, rows))


def _pt(out: Path, spec: GeneratorSpec, samples: Sequence[Sample], torch: TorchWriter) -> Path:
    (one,) = samples
    rows = w_plus(spec, one.latents)[None]
    return atomic_write(out / f"{one.name}.pt", lambda file: torch(rows, file))


def _e4e(out: Path, spec: GeneratorSpec, samples: Sequence[Sample], torch: TorchWriter) -> Path:
    rows = np.stack([w_plus(spec, one.latents) for one in samples])
    names = "".join(f"{one.name}\n" for one in samples).encode()
    atomic_write(out / "latents.txt", lambda file: file.write(names))
    return atomic_write(out / "latents.pt", lambda file: torch(rows, file))


def _projector(
    out: Path, spec: GeneratorSpec, samples: Sequence[Sample], torch: TorchWriter
) -> Path:
    (one,) = samples
    held: dict[str, Any] = {"latent": w_plus(spec, one.latents)}
    if one.picture is not None:
        held["img"] = np.moveaxis(one.picture.astype(np.float32) / 127.5 - 1, -1, 0)
    if "noise" in one.latents:
        maps = [np.asarray(plane, np.float32) for plane in one.latents["noise"]]
        held["noise"] = [plane[None, None] for plane in maps]
    tree = {one.source or one.name: held}
    return atomic_write(out / f"{one.name}.pt", lambda file: torch(tree, file))


LAYOUTS: dict[str, Layout] = {
    "npz": Layout(_npz),
    "npy": Layout(_npy),
    "pt": Layout(_pt),
    "e4e": Layout(_e4e, whole=True),
    "rosinality": Layout(_projector, pictures=True),
}
