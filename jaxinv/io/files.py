"""Files of pictures in folders: which are tried, and how their bytes are read."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import itertools
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from jaxinv.io import archives
from jaxinv.io.output_folder import results_among
from jaxinv.io.regular_files import MAX_BYTES, BadFile, open_regular
from jaxinv.io.text import json_text
from jaxinv.specs.checks import check_whole

# What a folder of pictures also holds and what is no picture by its name; anything else is tried.
# fmt: off
NOT_IMAGES = frozenset((
    ".aae", ".bz2", ".cfg", ".cls", ".csv", ".db", ".doc", ".docx", ".gz", ".h5", ".htm", ".html",
    ".ini", ".ipynb", ".js", ".json", ".jsonl", ".log", ".m4a", ".md", ".mov", ".mp3", ".mp4",
    ".npy", ".npz", ".parquet", ".pdf", ".pkl", ".pt", ".pth", ".py", ".rst", ".safetensors",
    ".sh", ".sqlite", ".tar", ".tgz", ".toml", ".tsv", ".txt", ".wav", ".xml", ".xmp", ".yaml",
    ".yml", ".zip", ".zst",
))
# fmt: on
LISTS = (".txt", ".lst")  # files of paths
_LONGEST_LINE, _LONGEST_PATH = 2**15, 2**11  # bytes of a list
_MOST_NEAR = 2**12  # names that are looked at for a similar one


def find_images(
    paths: Iterable[str | Path], *, limit: int | None = None, leaving: bool = False
) -> list[Path]:
    """The image files of files, folders, archives and lists, at most `limit`.

    Folders are walked recursively in the order of names. Hidden entries, links to folders, links
    that leave the folder, files that are no image by their extension (`NOT_IMAGES`) and results of
    earlier runs (`results_among`) are skipped; all else is listed, so that broken files get
    reported. Members of a zip or a plain tar are called ARCHIVE/MEMBER. A list is a text file
    called .txt or .lst with one path a line, from its own folder. Other files are returned as
    given. With `leaving`, links that leave their folder are listed, for a caller that refuses them
    one by one (`leaves`).
    """
    if limit is not None:
        check_whole("limit", limit, 0)
    found = (file for path in paths for file in _expanded(Path(path), is_list(path), leaving))
    return list(map(Path, itertools.islice(_once(found), limit)))


def is_list(path: str | Path) -> bool:
    """Whether that is a file which lists others."""
    return Path(path).suffix.lower() in LISTS and Path(path).is_file()


def leaves(file: Path, folders: Iterable[Path]) -> bool:
    """Whether a file in one of the folders is a link to somewhere outside of it."""
    if not file.is_symlink():
        return False
    return any(file.is_relative_to(one) and not _stays(file, one) for one in folders)


def _expanded(path: Path, listing: bool, leaving: bool) -> Iterable[str]:
    """Paths as texts: of many files, those take less time and room."""
    if path.is_dir():
        return _walk(os.fspath(path), path, leaving)
    if listing:
        return (file for one in _listed(path) for file in _expanded(one, False, leaving))
    return _members(path) if archives.is_archive(path) else [os.fspath(path)]


def _listed(path: Path) -> Iterator[Path]:
    """The paths in a list, one a line; of what is too long for a file system a part is kept."""
    with open_regular(path) as lines:
        while line := lines.readline(_LONGEST_LINE):
            parts = line.rstrip(b"\r\n")[:_LONGEST_PATH].split(b"/")
            if text := b"/".join(part[: archives.LONGEST_PART] for part in parts):
                yield path.parent / os.fsdecode(text)


def _members(path: Path) -> Iterable[str]:
    try:
        names = archives.picture_names(archives.open_archive(path), NOT_IMAGES)
    except (BadFile, OSError):
        return [os.fspath(path)]  # reading it says why
    return (f"{path}/{name}" for name in names)


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """Contents of a regular, non-empty file of at most `most` bytes (None: `MAX_BYTES`).

    Raises `BadFile`, which says why, for every other file and where there is none.
    """
    place, most = Path(path), MAX_BYTES if most is None else most
    if (packed := archives.find_member(place)) is not None:
        return packed[0].read(packed[1], most)
    try:
        if archives.is_archive(place):
            archives.open_archive(place)  # says why it has no members
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
    """Raise `ValueError` where nothing has that path: no file, folder or link, nor a member."""
    if not os.path.lexists(path) and not is_there(path):
        raise ValueError(f"no such file or folder: {path}{nearest(Path(path))}")


def is_there(path: str | Path) -> bool:
    """Whether a file has that path: by itself, in an archive, or packed with other results."""
    try:
        found = archives.find_member(path)
    except (BadFile, OSError):
        return False
    return found[1] in found[0].members if found else Path(path).is_file()


def nearest(place: Path) -> str:
    """What the first part of a path that is not there resembles: "; nearest: NAME", or nothing."""
    while place.parent != place and not os.path.lexists(place.parent):
        place = place.parent
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [entry.name for entry in itertools.islice(place.parent.iterdir(), _MOST_NEAR)]
    found = difflib.get_close_matches(place.name, names, n=1)
    return f"; nearest: {place.parent / found[0]}" if found else ""


def _once(files: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for file in files:
        if file not in seen:
            seen.add(file)
            yield file


def _walk(folder: str, root: Path, leaving: bool) -> Iterator[str]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        yield folder  # reading it says why
        return
    results = results_among(entry.name for entry in entries)
    for entry in entries:
        if entry.name.startswith(".") or entry.name in results:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, root, leaving)
        elif entry.is_symlink() and not _wanted(Path(entry.path), root, leaving):
            continue
        elif os.path.splitext(entry.name)[1].lower() not in NOT_IMAGES:  # noqa: PTH122
            yield entry.path


def _wanted(link: Path, root: Path, leaving: bool) -> bool:
    return not link.is_dir() and (leaving or _stays(link, root))


def _stays(link: Path, root: Path) -> bool:
    """Whether a link ends in a place within the folder that is no folder itself."""
    target = os.path.realpath(link)
    inside = os.path.commonpath([target, os.path.realpath(root)]) == os.path.realpath(root)
    return inside and not Path(target).is_dir()


_BLOCK = 2**20


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file as 64 hex digits, read in blocks; errors as of `open_regular`."""
    digest = hashlib.sha256()
    if archives.find_member(path) is not None:
        return hashlib.sha256(read_bytes(path)).hexdigest()
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


@contextlib.contextmanager
def json_lines(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A new file of JSON lines: what is given puts one down, on the disk before it goes on."""
    with open_new(path) as lines:

        def put(line: Mapping[str, Any]) -> None:
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

        yield put


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
