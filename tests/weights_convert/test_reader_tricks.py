"""What hostile checkpoints try, one test each by name: refused, and nothing run.

Beside the tables of `test_pickles.py` (names, arrays), `test_containers.py` (tensors) and
`test_budgets.py` (opcodes, small files that ask for much).
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import torchlike as torch
from tests.fuzz import watched
from tests.io import test_checkpoints
from weights_convert import UnsafeFileError
from weights_convert.readers import torch_files
from weights_convert.sources import containers

ONE = {"x": np.arange(4, dtype=np.float32)}
BODY = torch.state_dict(ONE)
Trick = tuple[Callable[[], bytes], str]


def whole() -> bytes:
    return torch.zip_file(BODY, ONE)


def patched(old: bytes, new: bytes, data: bytes | None = None) -> bytes:
    data = whole() if data is None else data
    assert old in data
    return data.replace(old, new)


# --- zip archives ---------------------------------------------------------------------------------


def with_member(name: str, *, links: bool = False) -> bytes:
    stream = io.BytesIO(whole())
    member = zipfile.ZipInfo("placeholder")
    member.filename = member.orig_filename = name
    member.external_attr = (stat.S_IFLNK | 0o777) << 16 if links else 0
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(member, b"target")
    return stream.getvalue()


def in_directory(field: int, value: bytes, data: bytes | None = None) -> bytes:
    """The file with `value` put into the last directory entry, `field` bytes from its start."""
    data = whole() if data is None else data
    at = data.rindex(b"PK\x01\x02") + field
    return data[:at] + value + data[at + len(value) :]


def bomb() -> bytes:
    zeros = {"x": np.zeros(2**24, np.float32)}
    return torch.zip_file(torch.state_dict(zeros), zeros, compression=zipfile.ZIP_DEFLATED)


def two(name: str) -> bytes:
    return torch.zip_file(BODY, {"x": ONE["x"], "y": ONE["x"]}, members={name: b"later"})


ZIPS: dict[str, Trick] = {
    "zip bomb": (bomb, "overlap or expand"),
    "stated size beyond the file": (lambda: in_directory(24, b"\0\0\0\x7f"), "overlap or expand"),
    "entries that share their bytes": (lambda: in_directory(42, bytes(4)), "broken zip archive"),
    "duplicate members": (lambda: patched(b"data/1", b"data/0", two("a")), "two members of one"),
    "second data.pkl of one name": (
        lambda: patched(b"archive/data.pk_", b"archive/data.pkl", two("data.pk_")),
        "two members of one",
    ),
    "name that climbs": (lambda: with_member("archive/../../up"), r"called 'archive/../../up'"),
    "absolute name": (lambda: with_member("/etc/passwd"), "called '/etc/passwd'"),
    "name of a drive": (lambda: with_member("C:\\up"), "called 'C:"),
    "name with a zero": (lambda: patched(b"archive/a", b"archive\0a", two("a")), r"\\x00a"),
    "link": (lambda: with_member("archive/data/9", links=True), "link, 'archive/data/9'"),
    "encrypted member": (lambda: in_directory(8, b"\x01\0"), "encrypted"),
    "wrong checksum": (lambda: in_directory(16, b"\1\2\3\4"), "broken zip archive"),
    "unknown compression": (lambda: in_directory(10, b"\x63\0"), "compressed"),
    "name that differs within": (
        lambda: in_directory(46, b"archive/data/5"),
        "without the member|broken",
    ),
    "zip behind a zip": (lambda: whole() + whole(), "before or behind"),
    "text before the directory": (lambda: b"PK\x03\x04" + bytes(60) + whole(), "before or behind"),
    "text behind the directory": (lambda: whole() + b"#!/bin/sh", "broken|before or behind"),
    "zip behind a pickle": (lambda: torch.finished(b"N") + whole(), "followed by other data"),
}


@pytest.mark.parametrize("trick", ZIPS)
def test_zip_trick(trick: str) -> None:
    make, told = ZIPS[trick]
    with pytest.raises(UnsafeFileError, match=told):
        containers.parse(make())


def test_an_archive_of_too_many_members_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = whole()
    monkeypatch.setattr(torch_files, "MAX_MEMBERS", 2)
    monkeypatch.setattr(torch_files.zipfile, "ZipFile", None)
    with pytest.raises(UnsafeFileError, match="3 members; allowed: 2"):
        containers.parse(data)


# --- persistent ids and storages ------------------------------------------------------------------


def storage(*parts: Any) -> bytes:
    """A zip file whose value is the persistent id of `parts`; bytes are spliced in as opcodes."""
    body = b"".join(part if isinstance(part, bytes) else torch.value(part) for part in parts)
    return torch.zip_file(b"(" + body + b"tQ", ONE)


FLOATS = torch.name("torch", "FloatStorage")
STORAGES: dict[str, Trick] = {
    "id of something else": (
        lambda: storage("module", FLOATS, "0", "cpu", 4),
        "other than a storage",
    ),
    "id that is too short": (lambda: storage("storage", FLOATS, "0"), "other than a storage"),
    "id that is no tuple": (lambda: torch.zip_file(b"NQ", ONE), "other than a storage"),
    "type that is a text": (lambda: storage("storage", "FloatStorage", "0", "cpu", 4), "bad"),
    "type that is a tensor's": (
        lambda: storage("storage", torch.name("torch._utils", "_rebuild_tensor"), "0", "cpu", 4),
        "bad storage; allowed types: Float",
    ),
    "key that is a number": (lambda: storage("storage", FLOATS, 0, "cpu", 4), "bad storage"),
    "key out of range": (lambda: storage("storage", FLOATS, "7", "cpu", 4), "without the member"),
    "key that climbs": (
        lambda: storage("storage", FLOATS, "../data.pkl", "cpu", 4),
        "without the member",
    ),
    "count beyond the member": (lambda: storage("storage", FLOATS, "0", "cpu", 5), "leaves|lacks"),
    "count that is a float": (lambda: storage("storage", FLOATS, "0", "cpu", 4.0), "bad storage"),
    "view of another storage": (
        lambda: storage("storage", FLOATS, "0", "cpu", 4, ("1", 0, 4)),
        "view of another",
    ),
    "one storage in two ways": (
        lambda: torch.zip_file(
            b"](" + torch.tensor(ONE["x"], "0") + torch.tensor(ONE["x"], "0", count=3) + b"e", ONE
        ),
        "in two ways",
    ),
    "storage that ends beyond the file": (
        lambda: torch.legacy_file(BODY, ONE)[:-1],
        "cut off, or miscounts",
    ),
    "storages that overlap": (
        lambda: torch.legacy_file(torch.state_dict(ONE | {"y": ONE["x"]}), ONE),
        "other storages than it uses",
    ),
    "long sizes with a text": (
        lambda: torch.zip_file(
            torch.tensor(ONE["x"], "0", sizes=(1,) * 16 + ("1",), strides=(1,) * 17), ONE
        ),
        "rank 17",
    ),
    "sizes in a list": (lambda: torch.zip_file(torch.tensor(ONE["x"], "0", sizes=[4]), ONE), "ank"),
    "tensor without a storage": (
        lambda: torch.zip_file(torch.name("torch._utils", "_rebuild_tensor_v2") + b")R", ONE),
        "without a storage",
    ),
    "parameter of a text": (
        lambda: torch.zip_file(
            torch.name("torch._utils", "_rebuild_parameter") + torch.value("x") + b"\x85R", ONE
        ),
        "no tensor",
    ),
}


@pytest.mark.parametrize("trick", STORAGES)
def test_storage_trick(trick: str) -> None:
    make, told = STORAGES[trick]
    with pytest.raises(UnsafeFileError, match=told):
        containers.parse(make())


# --- nested streams and embedded source -----------------------------------------------------------

LOADER = torch.name("torch.storage", "_load_from_bytes")


def loaded(inner: bytes) -> bytes:
    return torch.finished(LOADER + torch.bytes_value(inner) + b"\x85R")


def persistent(arguments: bytes) -> bytes:
    name = torch.name("torch_utils.persistence", "_reconstruct_persistent_obj")
    return torch.finished(name + arguments + b"R")


NESTED: dict[str, Trick] = {
    "stream within a stream": (
        lambda: loaded(torch.legacy_file(LOADER + torch.bytes_value(b"") + b"\x85R", {})),
        "names 'torch.storage._load_from_bytes'",
    ),
    "object within a stream": (
        lambda: loaded(torch.legacy_file(torch.module("G", b"}"), {})),
        "names 'torch_utils.persistence",
    ),
    "stream of a dict": (lambda: loaded(torch.legacy_file(b"}", {})), "no storage"),
    "stream of a tensor": (
        lambda: loaded(torch.legacy_file(torch.tensor(ONE["x"], "0"), ONE)),
        "no storage",
    ),
    "stream of a zip": (lambda: loaded(whole()), "opcode|malformed|magic"),
    "stream with more behind": (
        lambda: loaded(torch.legacy_file(torch.storage(ONE["x"], "0"), ONE) + b"x"),
        "followed by other data",
    ),
    "stream that is a text": (
        lambda: torch.finished(LOADER + torch.value("x") + b"\x85R"),
        "other than bytes",
    ),
    "object that is no class": (
        lambda: persistent(torch.value(({"type": "function"},))),
        "other than a persistent object",
    ),
    "object of two facts": (lambda: persistent(torch.value(({}, {}))), "other than a persistent"),
}


@pytest.mark.parametrize("trick", NESTED)
def test_nested_trick(trick: str) -> None:
    make, told = NESTED[trick]
    with pytest.raises(UnsafeFileError, match=told):
        containers.parse(make())


SOURCE = "import os; os.abort()"


def sources() -> dict[str, bytes]:
    """Objects of both kinds of NVlabs' pickles, with source text that would end this process."""
    old, new = torch.value("raise SystemExit"), torch.value(SOURCE)
    return {
        "torch": torch.finished(torch.module("G", b"}").replace(old, new)),
        "tensorflow": torch.finished(torch.network({"version": 4, "build_module_src": SOURCE})),
    }


@pytest.mark.parametrize("kind", ["torch", "tensorflow"])
def test_embedded_source_is_neither_kept_nor_run(kind: str) -> None:
    data = sources()[kind]
    assert SOURCE.encode() in data
    with watched() as events:
        tree = containers.parse(data).tree
    assert events == []
    assert tree["class"] == {"torch": "G", "tensorflow": "Network"}[kind]
    assert SOURCE not in repr(tree)


# --- safetensors ----------------------------------------------------------------------------------

SAFETENSORS = {
    **test_checkpoints.HOSTILE,
    "type against bytes": test_checkpoints.raw(
        {"a": test_checkpoints.tensor(0, 8, [2], "F64")}, bytes(8)
    ),
    "one name twice": test_checkpoints.raw(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        bytes(12),
    ),
    "zip behind": test_checkpoints.raw({"a": test_checkpoints.tensor(0, 4, [1])}, bytes(4))
    + whole(),
    "pickle as a type": test_checkpoints.raw(
        {"a": test_checkpoints.tensor(0, 8, [1], "pickle")}, bytes(8)
    ),
}


@pytest.mark.parametrize("trick", SAFETENSORS)
def test_safetensors_trick(trick: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pt"
    path.write_bytes(SAFETENSORS[trick])
    with pytest.raises(UnsafeFileError):
        containers.read_checkpoint(path)


# --- nothing is touched ---------------------------------------------------------------------------


def test_no_trick_makes_the_reader_import_open_or_run_anything() -> None:
    tricks = [make() for table in (ZIPS, STORAGES, NESTED) for make, _ in table.values()]
    b"".decode("cp437")  # as names in zip archives are; it loads when it is first used
    refused = 0
    with watched() as events:
        for data in tricks:
            try:
                containers.parse(data)
            except UnsafeFileError:
                refused += 1
    assert events == []
    assert refused == len(tricks)
