"""Files of pictures in folders: which are tried, and how their bytes are read."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import itertools
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from jaxinv.io.output_folder import results_among
from jaxinv.io.text import json_text
from jaxinv.specs.checks import check_whole

MAX_BYTES = 2**30
# What a folder of pictures also holds and what is no picture by its name; anything else is tried.
# fmt: off
NOT_IMAGES = frozenset((
    ".aae", ".bz2", ".cfg", ".csv", ".db", ".doc", ".docx", ".gz", ".h5", ".htm", ".html",
    ".ini", ".ipynb", ".js", ".json", ".jsonl", ".log", ".m4a", ".md", ".mov", ".mp3", ".mp4",
    ".npy", ".npz", ".parquet", ".pdf", ".pkl", ".pt", ".pth", ".py", ".rst", ".safetensors",
    ".sh", ".sqlite", ".tar", ".tgz", ".toml", ".tsv", ".txt", ".wav", ".xml", ".xmp", ".yaml",
    ".yml", ".zip", ".zst",
))
# fmt: on


class BadFile(ValueError):
    """Why one file cannot be used; who knows the file's name adds it."""


def find_images(paths: Iterable[str | Path], *, limit: int | None = None) -> list[Path]:
    """The image files of files and folders, at most `limit`; files are returned as given.

    Folders are walked recursively in the order of names. Hidden entries, links to folders, links
    that leave the folder, files that are no image by their extension (`NOT_IMAGES`) and results of
    earlier runs (`results_among`) are skipped; all else is listed, so that broken files get
    reported.
    """
    if limit is not None:
        check_whole("limit", limit, 0)
    given = (Path(path) for path in paths)
    found = (file for path in given for file in (_walk(path, path) if path.is_dir() else [path]))
    return list(itertools.islice(_once(found), limit))


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading; pipes, devices and sockets are never waited for.

    Raises `BadFile` for anything that is none, and for a link that leads nowhere,
    `FileNotFoundError` where there is nothing, `OSError` for what cannot be read.
    """
    place = Path(path)
    if place.is_dir():
        listable = os.access(place, os.R_OK | os.X_OK)
        raise BadFile("a folder, not a file" if listable else "a folder that cannot be listed")
    if place.is_symlink() and not place.exists():
        raise BadFile("a link that leads nowhere")
    if place.exists() and not place.is_file():
        raise BadFile("not a regular file")
    # What became a pipe since then is not waited for either.
    handle = os.open(place, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BadFile("not a regular file")
    return os.fdopen(handle, "rb")


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """Contents of a regular, non-empty file of at most `most` bytes (None: `MAX_BYTES`).

    Raises `BadFile`, which says why, for every other file and where there is none.
    """
    place, most = Path(path), MAX_BYTES if most is None else most
    try:
        with open_regular(place) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise BadFile(f"{size} bytes, more than the allowed {most}")
            data = file.read(size)
    except FileNotFoundError as error:
        raise BadFile(f"no such file or folder{nearest(place)}") from error
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror}") from error
    if not data:
        raise BadFile("empty file (0 bytes)")
    return data


def check_exists(path: str | Path) -> None:
    """Raise `ValueError` where nothing has that path: neither a file or folder, nor a link."""
    if not os.path.lexists(path):
        raise ValueError(f"no such file or folder: {path}{nearest(Path(path))}")


def nearest(place: Path) -> str:
    """What the first part of a path that is not there resembles: "; nearest: NAME", or nothing."""
    while place.parent != place and not os.path.lexists(place.parent):
        place = place.parent
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [entry.name for entry in place.parent.iterdir()]
    found = difflib.get_close_matches(place.name, names, n=1)
    return f"; nearest: {place.parent / found[0]}" if found else ""


def _once(files: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for file in files:
        if file not in seen:
            seen.add(file)
            yield file


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        yield folder  # reading it says why
        return
    results = results_among(entry.name for entry in entries)
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.name in results:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path, root)
        elif entry.is_symlink() and not _stays(path, root):
            continue
        elif path.suffix.lower() not in NOT_IMAGES:
            yield path


def _stays(link: Path, root: Path) -> bool:
    """Whether a link ends in a place within the folder that is no folder itself."""
    target = os.path.realpath(link)
    inside = os.path.commonpath([target, os.path.realpath(root)]) == os.path.realpath(root)
    return inside and not Path(target).is_dir()


_BLOCK = 2**20


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file as 64 hex digits, read in blocks; errors as of `open_regular`."""
    digest = hashlib.sha256()
    with open_regular(path) as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def atomic_write(path: str | Path, writer: Callable[[BinaryIO], object]) -> Path:
    """Let `writer(handle)` fill a temporary neighbour of `path`, then rename it to `path`.

    `path` is never half-written. The file and its folder are flushed to the disk. If `writer` (or
    the disk) fails, the temporary file is removed, an older `path` stays as it was, and the error
    passes on. Returns `path`. Raises `ValueError` where that is a device, a pipe or a socket.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError(f"{path} is a device, a pipe or a socket; allowed: a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as handle:
            writer(handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def open_new(path: Path) -> TextIO:
    """An empty text file for writing, in UTF-8.

    An older file of that name is taken away, not emptied: it may be a link to something else.
    """
    path.unlink(missing_ok=True)
    return path.open("x", encoding="utf-8")


def _sync_folder(folder: Path) -> None:
    # Windows can neither open nor sync a folder; there the rename itself is journalled.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems refuse to sync a folder; the file's own bytes are safe by then.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file atomically; `ValueError` for NaN and infinity."""
    data = json_text(value, indent=2).encode()
    atomic_write(path, lambda file: file.write(data))
