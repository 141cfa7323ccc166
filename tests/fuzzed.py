"""What `tests.fuzz` mutates beside weights: files of latents, pictures and archives of them."""

from __future__ import annotations

import io
import itertools
import tarfile
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from PIL import Image

from jaxinv.cli.foreign_files import read_codes
from jaxinv.io import archives, decoding, latent_shards
from jaxinv.io.checkpoints import CheckpointError
from jaxinv.io.files import NOT_IMAGES, BadFile
from jaxinv.io.latent_files import as_stored, save_latents
from jaxinv.io.latent_shards import Row
from tests.awkward import bad_files, good_files, smooth_face
from tests.fuzz import mutated
from weights_convert import UnsafeFileError
from weights_convert.writers import torch_files

PLACES = archives.KEPT + 1  # that are written in turn: of none is an earlier file remembered
MOST_PIXELS = 2**16  # of a mutated picture, so that what it declares costs little time
OURS = (BadFile, CheckpointError, UnsafeFileError)


class NotOurs(ValueError):
    """A `ValueError` that no line of ours raised."""


class Kind(NamedTuple):
    """Small valid files, and what reads one of them by its path; it gives plain data."""

    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    ours: tuple[type[Exception], ...] = OURS


def latent_files(folder: Path) -> list[bytes]:
    """Every layout of latents, ours and others'."""
    code = np.arange(24, dtype=np.float32).reshape(3, 8)
    sample = {"w+": code, "noise": (np.ones((2, 2), np.float32), np.zeros((4, 4), np.float32))}
    facts = {"generator": "tiny", "source": "a.png", "transform": '{"quad": [[0, 0]]}'}
    save_latents(folder / "a.safetensors", sample, facts)
    rows = [Row(name, 9, facts | {"name": name}, as_stored(sample)) for name in "ab"]
    latent_shards.save_shard(folder / "b.safetensors", rows)
    np.save(folder / "c.npy", code)
    np.save(folder / "d.npy", {"a.jpg": [code, code], "b.jpg": [code]}, allow_pickle=True)  # pyright: ignore[reportArgumentType]
    np.savez(folder / "e.npz", w=code[None])
    with (folder / "f.pt").open("wb") as file:
        torch_files.write({"x/a.png": {"latent": code, "noise": [code]}}, file)
    return [path.read_bytes() for path in sorted(folder.glob("[a-f].*"))]


def read_latents(file: Path) -> Any:
    """Its codes, or the rows of a shard."""
    if file.read_bytes()[8:].find(latent_shards.KIND.encode()) > 0:
        rows = latent_shards.read_rows(file)
        return {name: row.load() for name, row in rows.items()}
    try:
        return [[end, dict(code), facts] for end, code, facts in read_codes(file)]
    except ValueError as error:
        raise checked(error) from error


def checked(error: ValueError) -> Exception:
    """The error, if a line of ours raised it; those of numpy and Python are none of ours."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else trace.tb_frame.f_code.co_filename
    ours = "/jaxinv/" in place or "/weights_convert/" in place
    return BadFile(str(error)) if ours else NotOurs(str(error))


def picture_files(folder: Path) -> list[bytes]:
    """Good and bad pictures of every format and mode that is read."""
    del folder
    face = smooth_face(32)
    found = list((good_files(face) | bad_files(face)).values())
    for kind in ("WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF"):
        stream = io.BytesIO()
        Image.fromarray(face).save(stream, kind)
        found.append(stream.getvalue())
    return [data for data in found if data]


def read_picture(file: Path) -> Any:
    """Its pixels and its notes."""
    found = decoding.decode(file.read_bytes(), size=None, background=0.5)
    if not np.isfinite(found.pixels).all():
        raise NotOurs("pixels that are not finite")
    return [found.pixels, found.alpha, found.source_size, found.notes]


def archive_files(folder: Path) -> list[bytes]:
    """Zips, packed and not, and tars of every dialect."""
    contents = {"0/a.png": b"a" * 300, "b.jpg": bytes(700), "dataset.json": b"{}", "../c.png": b"c"}
    for number, method in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(folder / f"{number}.zip", "w", method) as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
    for dialect in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(folder / f"{dialect}.tar", "w", format=dialect) as archive:
            long = {} if dialect == tarfile.USTAR_FORMAT else {"ü" * 120 + ".png": b"long"}
            for name, data in (contents | long).items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return [path.read_bytes() for path in sorted(folder.glob("*.*")) if path.suffix != ".set"]


def read_archive(file: Path) -> Any:
    """Its members that are pictures, and why others are refused."""
    archive = archives.open_archive(file)
    found: dict[str, Any] = {}
    for name in archives.picture_names(archive, NOT_IMAGES):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise NotOurs(f"a name that leads out: {name!r}")
        try:
            found[name] = archive.read(name)
        except BadFile as error:
            found[name] = str(error)
    return found


KINDS: dict[str, Kind] = {
    "latents": Kind(latent_files, read_latents),
    "pictures": Kind(picture_files, read_picture),
    "archives": Kind(archive_files, read_archive),
}


def run_kind(kind: str, count: int, seed: int = 0) -> Counter[str]:
    """How many of `count` mutated files of a kind were read and refused; anything else raises."""
    seeds, read, ours = KINDS[kind]
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        own = [Path(place) / f"{number}.set" for number in range(PLACES)]
        files, turns = seeds(Path(place)), itertools.cycle(own)

        def of(data: bytes) -> Any:
            file = next(turns)
            # A file that is emptied first is flushed to the disk, which takes longer than all else.
            with file.open("r+b" if file.exists() else "wb") as handle:
                handle.write(data)
                handle.truncate()
            return read(file)

        with (
            patch.object(decoding, "MAX_PIXELS", MOST_PIXELS),
            patch.object(decoding, "MOST_KEPT", MOST_PIXELS // 2),
        ):
            for data in files:  # parts of libraries load when they are first used
                try:
                    of(data)
                except ours:
                    continue
            return mutated(files, of, count, seed, own=tuple(map(str, own)), ours=ours)
