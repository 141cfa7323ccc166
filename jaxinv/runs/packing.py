"""Results of large runs, packed many to a file: latents in safetensors, everything else in tars.

A shard is a tar and, published after it, the latents beside it; only then the files of the single
results go. `jaxinv.io` reads a result under its own path, wherever it lies.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from jaxinv.io import archives, latent_shards
from jaxinv.io.archives import SHARDS
from jaxinv.io.files import atomic_write, read_bytes
from jaxinv.io.latent_files import as_stored, load_latents
from jaxinv.io.latent_shards import LATENTS, SUFFIX, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_BYTES = 2**28  # of the latents in one shard
SINGLE = (
    *(("images", "png"), ("degraded", "png"), ("degraded", "npy"), ("remeasured", "png")),
    ("combined", "png"),
)
FOLDERS = ("npz", "samples")  # of a result: a folder with its name in each


def held_files(out: Path, name: str) -> list[str]:
    """The files of a result beside its latents, as paths below the run's folder."""
    single = [f"{folder}/{name}.{end}" for folder, end in SINGLE]
    loose = [one for one in single if (out / one).is_file()]
    loose += [
        file.relative_to(out).as_posix()
        for folder in FOLDERS
        for file in sorted((out / folder / name).glob("*"))
        if file.is_file()
    ]
    starts = tuple(f"{folder}/{name}/" for folder in FOLDERS)
    packed = [
        one
        for archive in archives.packed_files(out)
        if f"images/{name}.png" in archive.members
        for one in archive.members
        if one in single or one.startswith(starts)
    ]
    return list(dict.fromkeys([*loose, *packed]))


@dataclass
class Packer:
    """Packs results of a run, `size` at a time; None: not at all. The last ones by `finish`."""

    out: Path
    size: int | None
    waiting: list[str] = field(default_factory=list[str])

    def start(self, names: Iterable[str]) -> None:
        """Take up the finished results that lie by themselves; remove what was left half done."""
        if self.size is None:
            return
        (self.out / SHARDS).mkdir(exist_ok=True)
        for file in (self.out / SHARDS).glob("*.tar"):
            if not file.with_suffix(SUFFIX).is_file():
                file.unlink()
        self.add(*(name for name in names if self._own(name).is_file()))

    def add(self, *names: str) -> None:
        """Results that are written; those without latents are passed over."""
        if self.size is None:
            return
        self.waiting += [name for name in names if self._own(name).is_file()]
        while len(self.waiting) >= self.size:
            ready, self.waiting = self.waiting[: self.size], self.waiting[self.size :]
            pack(self.out, ready)

    def finish(self) -> None:
        """Pack what is left."""
        if self.waiting:
            pack(self.out, self.waiting)
            self.waiting = []

    def _own(self, name: str) -> Path:
        return self.out / LATENTS / f"{name}{SUFFIX}"


def pack(out: Path, names: Sequence[str]) -> None:
    """Move the results of these names into shards: one for each layout of latents, or more."""
    groups: dict[object, list[Row]] = {}
    for name in names:
        file = out / LATENTS / f"{name}{SUFFIX}"
        latents, facts = load_latents(file)
        row = Row(name, file.stat().st_size, facts, as_stored(latents))
        group = groups.setdefault(latent_shards.layout(row.arrays), [])
        group.append(row)
        if sum(one.size for one in group) > MOST_BYTES:
            _publish(out, group)
            group.clear()
    for group in groups.values():
        if group:
            _publish(out, group)


def _publish(out: Path, rows: list[Row]) -> None:
    place = out / SHARDS
    taken = [int(p.stem) for p in place.glob("*.*") if p.stem.isdecimal()]
    stem = f"{1 + max(taken, default=-1):05d}"
    files = {row.name: held_files(out, row.name) for row in rows}
    atomic_write(place / f"{stem}.tar", lambda handle: _write_tar(handle, out, files.values()))
    latent_shards.save_shard(place / f"{stem}{SUFFIX}", rows)  # from now on the shard is there
    archives.forget()
    latent_shards.forget()
    for row in rows:
        for name in files[row.name]:
            (out / name).unlink(missing_ok=True)
        for folder in FOLDERS:
            with contextlib.suppress(OSError):  # it is not there, or not empty
                (out / folder / row.name).rmdir()
        (out / LATENTS / f"{row.name}{SUFFIX}").unlink()  # last: what has it is packed again


def _write_tar(handle: BinaryIO, out: Path, files: Iterable[Iterable[str]]) -> None:
    with tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in (name for names in files for name in names):
            data = read_bytes(out / name)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
