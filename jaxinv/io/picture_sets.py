"""Pictures by number, and their labels: of a folder, a zip or a tar, without unpacking it."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.io.files import MAX_BYTES, NOT_IMAGES, BadFile, check_exists, find_images, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

LABELS = "dataset.json"  # of NVlabs: {"labels": [[file, class or vector], ...]}
ROWS = "attributes.jsonl"  # one object a line, with "file" and named attributes


class PictureSet(NamedTuple):
    """Names of pictures in their order, and read(i) -> the bytes of one; other files by `beside`.

    Both raise `BadFile` for what cannot be read, `beside` also where there is no such file.
    """

    place: str
    names: tuple[str, ...]
    read: Callable[[int], bytes]
    beside: Callable[[str], bytes]


def open_set(path: str | Path) -> PictureSet:
    """The pictures of a folder (walked recursively), a zip or a plain tar, in order of names.

    Raises `ValueError` where there are none, and for archives that give no random access.
    """
    check_exists(path)
    place = Path(path)
    try:
        if place.is_dir():
            found = _folder(place)
        elif zipfile.is_zipfile(place):
            found = _zip(place)
        else:
            found = _tar(place)
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path}: {error}; allowed: a folder, a zip or a plain tar") from error
    if not found.names:
        raise ValueError(f"{path} holds no pictures; allowed: a folder, zip or tar with some")
    return found


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and path.suffix.lower() not in NOT_IMAGES


def _folder(place: Path) -> PictureSet:
    files = find_images([place])
    names = tuple(file.relative_to(place).as_posix() for file in files)
    return PictureSet(
        str(place), names, lambda i: read_bytes(files[i]), lambda name: read_bytes(place / name)
    )


def _zip(place: Path) -> PictureSet:
    archive = zipfile.ZipFile(place)
    names = sorted(
        one.filename for one in archive.infolist() if not one.is_dir() and _is_picture(one.filename)
    )

    def read(name: str) -> bytes:
        try:
            info = archive.getinfo(name)
            if info.file_size > MAX_BYTES:
                raise BadFile(f"{info.file_size} bytes, more than the allowed {MAX_BYTES}")
            return archive.read(info)
        except KeyError:
            raise BadFile("no such file in the archive") from None
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise BadFile(f"cannot be read from the archive: {error}") from error
        except Exception as error:  # zlib, lzma and bz2 have errors of their own
            raise BadFile(f"cannot be unpacked ({type(error).__name__})") from error

    return PictureSet(str(place), tuple(names), lambda i: read(names[i]), read)


def _tar(place: Path) -> PictureSet:
    with tarfile.open(place, "r:") as archive:  # "r:": compressed ones give no random access
        members = {m.name: (m.offset_data, m.size) for m in archive if m.isreg() and not m.sparse}
    names = sorted(name for name in members if _is_picture(name))

    def read(name: str) -> bytes:
        if name not in members:
            raise BadFile("no such file in the archive")
        start, size = members[name]
        if size > MAX_BYTES:
            raise BadFile(f"{size} bytes, more than the allowed {MAX_BYTES}")
        with place.open("rb") as handle:
            handle.seek(start)
            data = handle.read(size)
        if len(data) < size:
            raise BadFile("cut short in the archive")
        return data

    return PictureSet(str(place), tuple(names), lambda i: read(names[i]), read)


def read_labels(pictures: PictureSet, attribute: str | None = None) -> np.ndarray:
    """Labels float32 [n, classes] of all pictures: one-hot of classes, or vectors as they stand.

    Those of `dataset.json`, or, with `attribute`, the values of that name in `attributes.jsonl`, in
    the order of their names. Raises `ValueError` where there are none, or a picture has none.
    """
    by_name = _attribute(pictures, attribute) if attribute else _classes(pictures)
    missing = [name for name in pictures.names if name not in by_name]
    if missing:
        raise ValueError(
            f"{pictures.place}: {len(missing)} pictures have no label, the first is {missing[0]!r}"
        )
    values = [by_name[name] for name in pictures.names]
    if all(isinstance(value, (int, str)) for value in values):
        kinds = sorted(set(values)) if attribute else range(max(values) + 1)
        index = {value: number for number, value in enumerate(kinds)}
        return np.eye(len(index), dtype=np.float32)[[index[value] for value in values]]
    try:
        found = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{pictures.place}: labels are neither classes nor vectors") from error
    if found.ndim != 2 or not np.isfinite(found).all():
        raise ValueError(f"{pictures.place}: labels are neither classes nor finite vectors")
    return found


def _classes(pictures: PictureSet) -> dict[str, Any]:
    try:
        pairs = json.loads(pictures.beside(LABELS))["labels"]
        return {os.fspath(name): value for name, value in pairs}
    except (BadFile, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{pictures.place} has no labels in {LABELS}: {error}") from error


def _attribute(pictures: PictureSet, attribute: str) -> dict[str, Any]:
    try:
        rows = [json.loads(line) for line in pictures.beside(ROWS).splitlines() if line.strip()]
        known = sorted(set(rows[0]) - {"file"})
    except (BadFile, ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{pictures.place} has no attributes in {ROWS}: {error}") from error
    if attribute not in known:
        raise ValueError(f"unknown attribute {attribute!r}; allowed: {', '.join(known)}")
    return {str(row.get("file")): str(row[attribute]) for row in rows if attribute in row}
