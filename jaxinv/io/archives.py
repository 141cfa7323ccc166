"""Members of zips and plain tars, read in place: ARCHIVE/MEMBER is the path of a file.

Nothing is unpacked to disk. A member whose name leads out of the archive, a link, one that is
encrypted or that would unpack to far more than it takes is refused, and costs only itself.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jaxinv.io.regular_files import MAX_BYTES, BadFile, open_regular

SUFFIXES = (".zip", ".tar")
ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
KEPT = 16  # archives whose members are remembered
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
UNSUSPICIOUS, MOST_RATIO = 2**26, 100  # bytes; above it, how many times the packed ones
LONGEST_PART, LONGEST_PATH = 255, 4096  # bytes
SHARDS, DONE = "shards", ".safetensors"  # of packed results; what stands beside a whole archive
DEEPEST = 3  # folders between a result and its run
REST = "[rest of the archive]"


class Member(NamedTuple):
    """Where a member lies and how large it is, or the reason why it is refused.

    `stamp` changes with its content.
    """

    size: int
    stamp: int
    place: int | zipfile.ZipInfo = 0
    reason: str = ""


@dataclass(frozen=True)
class Archive:
    """A zip or a plain tar; `members` go by their names, without what leads out of it."""

    place: Path
    members: dict[str, Member]
    zipped: zipfile.ZipFile | None = None

    def member(self, name: str) -> Member:
        """What is known of a member; `BadFile` where there is none."""
        if name not in self.members:
            raise BadFile("no such file in the archive")
        return self.members[name]

    def read(self, name: str, most: int = MAX_BYTES) -> bytes:
        """The bytes of a member, at most `most`; `BadFile` says why there are none."""
        member = self.member(name)
        if member.reason:
            raise BadFile(member.reason)
        if member.size > most:
            raise BadFile(f"{member.size} bytes, more than the allowed {most}")
        data = self._stored(member)
        if not data:
            raise BadFile("empty file (0 bytes)")
        if len(data) != member.size:
            raise BadFile("cut short in the archive")
        return data

    def _stored(self, member: Member) -> bytes:
        if self.zipped is None or not isinstance(member.place, zipfile.ZipInfo):
            with open_regular(self.place) as handle:
                handle.seek(int(str(member.place)))
                return handle.read(min(member.size, os.fstat(handle.fileno()).st_size))
        try:
            with self.zipped.open(member.place) as part:
                return part.read(member.size + 1)
        except Exception as error:  # zipfile and zlib raise whatever they like
            said = " ".join(str(error).split())[:80]
            raise BadFile(f"cannot be unpacked: {said} ({type(error).__name__})") from error


def is_archive(path: str | Path) -> bool:
    """Whether that is a file called .zip or .tar, which is read as its members."""
    return Path(path).suffix.lower() in SUFFIXES and Path(path).is_file()


def find_member(path: str | Path) -> tuple[Archive, str] | None:
    """The archive and the name within it of a path that leads into one, or to a packed result.

    A result OUT/images/NAME.png is packed once it lies in an archive of OUT/shards. Nothing is
    found for a path where a file is. Raises `BadFile` for an archive that cannot be read.
    """
    place = Path(path)
    if "\0" in os.fspath(place) or os.path.lexists(place):
        return None
    for parent in place.parents:
        if parent.suffix.lower() in SUFFIXES and parent.is_file():
            return open_archive(parent), place.relative_to(parent).as_posix()
    for parent in list(place.parents)[:DEEPEST]:
        name = place.relative_to(parent).as_posix()
        for one in packed_files(parent):
            if name in one.members:
                return one, name
    return None


def packed_files(out: Path) -> tuple[Archive, ...]:
    """The archives of packed results in a folder, the newest first."""
    shards = out / SHARDS
    try:
        changed = shards.stat().st_mtime_ns
    except OSError:
        return ()
    return _packed(os.fspath(shards), changed)


@lru_cache(maxsize=KEPT)
def _packed(shards: str, changed: int) -> tuple[Archive, ...]:
    del changed
    found = []
    for file in sorted(Path(shards).glob("*.tar"), reverse=True):
        with contextlib.suppress(BadFile, OSError):  # what is in it is missed by name
            found += [open_archive(file)] if file.with_suffix(DONE).is_file() else []
    return tuple(found)


def forget() -> None:
    """Look again at packed results: there are others now."""
    _packed.cache_clear()


def open_archive(path: str | Path) -> Archive:
    """The members of a zip or a plain tar, told by its content.

    Raises `BadFile` for what is neither, also for tars that are compressed: they give no random
    access.
    """
    with open_regular(path) as handle:
        found, head = os.fstat(handle.fileno()), handle.read(4)
    return _opened(os.fspath(path), found.st_mtime_ns, found.st_size, head)


@lru_cache(maxsize=KEPT)
def _opened(place: str, changed: int, size: int, head: bytes) -> Archive:
    del size
    try:
        if head in ZIPS:  # not by its end: a tar may end with a zip
            return _zip(Path(place))
        return Archive(Path(place), _once(_tar(Path(place), changed)))
    except BadFile:
        raise
    except Exception as error:  # zipfile and tarfile raise whatever they like
        said = " ".join(str(error).split())[:80]
        raise BadFile(f"no archive that can be read: {said} ({type(error).__name__})") from error


def _once(found: Iterator[tuple[str, Member]]) -> dict[str, Member]:
    """The members by name; readers disagree about one that is there twice."""
    members: dict[str, Member] = {}
    for name, member in found:
        if name in members:
            member = member._replace(reason="its name is twice in the archive")  # noqa: PLW2901
        members[name] = member
    return members


def _zip(place: Path) -> Archive:
    archive = zipfile.ZipFile(place)

    def found() -> Iterator[tuple[str, Member]]:
        for one in archive.infolist():
            if one.is_dir():
                continue
            name, reason = clean_name(one.orig_filename)
            yield name, Member(one.file_size, one.CRC, one, reason or _suspicion(one))

    return Archive(place, _once(found()), archive)


def _suspicion(one: zipfile.ZipInfo) -> str:
    """Why a member of a zip is refused; empty if it is not."""
    if stat.S_ISLNK(one.external_attr >> 16):
        return "a link in an archive"
    if one.flag_bits & 1:
        return "encrypted in the archive"
    if one.compress_type not in PACKED:
        return f"packed by method {one.compress_type}; allowed: 0, 8"
    if one.file_size > max(UNSUSPICIOUS, MOST_RATIO * one.compress_size):
        return f"unpacks from {one.compress_size} to {one.file_size} bytes"
    return ""


def _tar(place: Path, changed: int) -> Iterator[tuple[str, Member]]:
    with open_regular(place) as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
        try:
            while (one := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
                if one.isdir():
                    continue
                name, reason = clean_name(one.name)
                if not reason and (one.issym() or one.islnk()):
                    reason = "a link in an archive"
                elif not reason and (not one.isreg() or one.sparse is not None):
                    reason = "no regular file in the archive"
                yield name, Member(one.size, changed, one.offset_data, reason)
        except Exception as error:
            yield REST, Member(0, changed, 0, f"cannot be read ({type(error).__name__})")


def clean_name(name: str) -> tuple[str, str]:
    """A member's name without what leads out of the archive, and why it is refused ("": it is not).

    Backslashes separate folders too, as they do where some archives are made.
    """
    parts = name.replace("\\", "/").split("/")
    kept = [part for part in parts if part not in ("", ".")]
    lengths = [len(os.fsencode(part)) for part in kept]
    reason = ""
    if not kept or "\0" in name:
        reason = "its name is no name of a file"
    elif parts[0] == "" or ".." in kept or kept[0][1:2] == ":":
        reason = f"its name leads out of the archive: {name[:80]!r}"
    elif max(lengths) > LONGEST_PART or sum(lengths) > LONGEST_PATH:
        reason = "its name is too long"
    if reason:
        kept = [part.replace("\0", "_").replace(":", "_")[:80] for part in kept[:20]]
        kept = ["__" if part == ".." else part for part in kept]
    return "/".join(kept) or "_", reason


def picture_names(archive: Archive, skipped: frozenset[str]) -> list[str]:
    """Names of members that may be pictures, in their order.

    Left out are hidden ones, and those whose extension is one of `skipped`.
    """
    found = (
        name
        for name in archive.members
        if os.path.splitext(name)[1].lower() not in skipped  # noqa: PTH122  # a path costs more
        and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    )
    return sorted(found)
