"""Pictures by number, and their labels: of a folder, a zip, a tar or a list, without unpacking."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.io.archives import is_archive, open_archive, picture_names
from jaxinv.io.files import (
    NOT_IMAGES,
    BadFile,
    check_exists,
    find_images,
    is_list,
    read_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
    """The pictures of a folder (walked recursively), a zip, a plain tar or a list, in their order.

    These are the files that `find_images` lists, and are called as they are below that place.
    Raises `ValueError` where there are none, and for archives that give no random access.
    """
    check_exists(path)
    place = Path(path)
    try:
        found = _files(place) if place.is_dir() or is_list(place) else _archive(place)
    except (BadFile, OSError) as error:
        raise ValueError(f"{path}: {error}; allowed: a folder, a zip or a plain tar") from error
    if not found.names:
        raise ValueError(f"{path} holds no pictures; allowed: a folder, zip or tar with some")
    return found


def _files(place: Path) -> PictureSet:
    files, base = find_images([place]), place if place.is_dir() else place.parent
    names = tuple(
        (file.relative_to(base) if file.is_relative_to(base) else file).as_posix() for file in files
    )
    return PictureSet(
        str(place), names, lambda i: read_bytes(files[i]), lambda name: read_bytes(base / name)
    )


def _archive(place: Path) -> PictureSet:
    archive = open_archive(place)
    names = picture_names(archive, NOT_IMAGES)
    return PictureSet(str(place), tuple(names), lambda i: archive.read(names[i]), archive.read)


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


def _none(number: int) -> bytes:
    raise BadFile(f"no picture {number}")


def classes_by_path(places: Iterable[str | Path]) -> dict[str, Any]:
    """What the `dataset.json` of folders and archives says, and that beside lists, by path.

    The paths are those that `find_images` gives. Raises `ValueError` for a place without labels.
    """
    found: dict[str, Any] = {}
    for place in map(Path, places):
        base = place if place.is_dir() or is_archive(place) else place.parent
        named = PictureSet(str(place), (), _none, lambda name, base=base: read_bytes(base / name))
        found |= {f"{base}/{name}": label for name, label in _classes(named).items()}
    return found


def _attribute(pictures: PictureSet, attribute: str) -> dict[str, Any]:
    try:
        rows = [json.loads(line) for line in pictures.beside(ROWS).splitlines() if line.strip()]
        known = sorted(set(rows[0]) - {"file"})
    except (BadFile, ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{pictures.place} has no attributes in {ROWS}: {error}") from error
    if attribute not in known:
        raise ValueError(f"unknown attribute {attribute!r}; allowed: {', '.join(known)}")
    return {str(row.get("file")): str(row[attribute]) for row in rows if attribute in row}
