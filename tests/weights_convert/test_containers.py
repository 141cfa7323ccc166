"""Checkpoint files of every kind: read exactly, refused with one error, never executed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.io import checkpoints
from tests import fuzz
from tests import torchlike as torch
from weights_convert import UnsafeFileError
from weights_convert.readers.pickles import Limits
from weights_convert.sources import containers

ARRAYS = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "count": np.array([7], np.int64),
    "half": np.ones((2, 2), np.float16),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
}
ONE = {"x": np.arange(4, dtype=np.float32)}
WRITERS: dict[str, Callable[..., bytes]] = {
    "torch zip": torch.zip_file,
    "torch legacy": torch.legacy_file,
}


def read(data: bytes, folder: Path, **options: Any) -> containers.Contents:
    path = folder / "file.safetensors"  # a name that says nothing
    path.write_bytes(data)
    return containers.read_checkpoint(path, **options)


def one_file(container: str, **options: Any) -> bytes:
    return WRITERS[container](torch.state_dict(ONE, **options), ONE)


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WRITERS)
def test_torch_files_give_their_arrays(kind: str, tmp_path: Path) -> None:
    found = read(WRITERS[kind](torch.state_dict(ARRAYS), ARRAYS), tmp_path)
    assert found.container == kind
    assert list(found.tree) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.tree[name].dtype == array.dtype
        np.testing.assert_array_equal(found.tree[name], array)


@pytest.mark.parametrize("kind", WRITERS)
def test_bfloat16_is_widened_and_views_keep_their_offset(kind: str, tmp_path: Path) -> None:
    bits = np.array([0, 0x3F80, 0xC000], np.float32)  # as many 4-byte numbers as are declared
    halves = np.array([0x0000, 0x3F80, 0xC000], "<u2")
    body = torch.tensor(halves, "0", kind="BFloat16", offset=1, sizes=(2,), strides=(1,))
    found = read(WRITERS[kind](body, {"": halves}), tmp_path).tree
    assert found.dtype == np.float32
    assert found.tolist() == [1.0, -2.0]
    assert len(bits) == len(halves)


def test_modules_become_attributes_and_their_source_is_not_kept(tmp_path: Path) -> None:
    attributes = b"}(" + torch.value("w") + torch.nested_tensor(ARRAYS["weight"])
    attributes += torch.value("names") + b"\x8f(" + torch.value("a") + b"\x90"
    attributes += torch.value("size") + torch.value(8) + b"u"
    data = b"\x80\x04" + torch.module("Generator", attributes) + b"."
    found = read(data, tmp_path)
    assert found.container == "pickle"
    assert found.tree["class"] == "Generator"
    assert set(found.tree) == {"class", "state"}
    np.testing.assert_array_equal(found.tree["state"].pop("w"), ARRAYS["weight"])
    assert found.tree["state"] == {"names": ["a"], "size": 8}


def test_networks_of_the_older_code_become_attributes(tmp_path: Path) -> None:
    body = torch.network({"version": 4, "variables": [("w", 1.5)]})
    found = read(torch.finished(body), tmp_path).tree
    assert found == {"class": "Network", "version": 4, "variables": [("w", 1.5)]}


def test_safetensors_are_known_by_their_header(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path / "weights.pt", {"a": {"b": ONE["x"]}})
    found = containers.read_checkpoint(path)
    assert found.container == "safetensors"
    np.testing.assert_array_equal(found.tree["a"]["b"], ONE["x"])


# --- what is refused ------------------------------------------------------------------------------

TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "beyond the storage": ({"sizes": (5,)}, "beyond its storage"),
    "offset beyond": ({"offset": 1}, "beyond its storage"),
    "stride beyond": ({"strides": (2,)}, "beyond its storage"),
    "negative stride": ({"strides": (-1,)}, "bad sizes"),
    "negative offset": ({"offset": -1}, "bad sizes"),
    "negative size": ({"sizes": (-4,)}, "bad sizes"),
    "sizes without strides": ({"strides": ()}, "rank"),
    "rank 17": ({"sizes": (1,) * 17, "strides": (1,) * 17}, "rank 17"),
    "size no number": ({"sizes": ("4",)}, "bad sizes"),
    "unknown type": ({"kind": "Complex"}, "names 'torch.ComplexStorage'"),
    "negative count": ({"count": -1}, "bad storage"),
    "more than there is": ({"count": 5, "sizes": (5,)}, "storage"),
    "a terabyte of one number": ({"sizes": (2**38,), "strides": (0,)}, "expands to more"),
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_do_not_fit_are_refused(case: str, kind: str, tmp_path: Path) -> None:
    options, told = TENSORS[case]
    with pytest.raises(UnsafeFileError, match=told):
        read(one_file(kind, **options), tmp_path)


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "this is empty"),
    "text": (lambda: b"import os; os.abort()", "this is a text"),
    "compressed zip": (
        lambda: torch.zip_file(torch.state_dict(ONE), ONE, compression=zipfile.ZIP_DEFLATED),
        "compressed|expand",
    ),
    "two kinds in one": (lambda: one_file("torch zip")[:-2] + b"\x04\x00abcd", "before or behind"),
    "another byte order": (
        lambda: torch.zip_file(torch.state_dict(ONE), ONE, order=b"big"),
        "byte order",
    ),
    "two pickles": (
        lambda: torch.zip_file(b"N", {}, members={"deeper/data.pkl": b"."}),
        "2 members data.pkl",
    ),
    "zip without a pickle": (lambda: b"PK\x05\x06".join([b"PK\x03\x04", b"\0" * 18]), "zip"),
    "missing storage": (lambda: torch.zip_file(torch.state_dict(ONE), {}), "without the member"),
    "bad magic": (
        lambda: torch.legacy_file(b"N", {}, magic=torch.MAGIC)[:15] + b"\xe9" + b"." * 20,
        "malformed|opcode|magic",
    ),
    "big-endian": (
        lambda: torch.legacy_file(b"N", {}, system={"little_endian": False}),
        "byte order",
    ),
    "unlisted storages": (
        lambda: torch.legacy_file(torch.state_dict(ONE), ONE, keys=[]),
        "other storages",
    ),
    "miscounted storage": (
        lambda: torch.legacy_file(torch.state_dict(ONE), ONE, count=2**40),
        "miscounts",
    ),
    "data behind": (lambda: one_file("torch legacy") + b"x", "followed by other data"),
    "call of a storage type": (
        lambda: torch.zip_file(torch.name("torch", "FloatStorage") + b")R", {}),
        "may only be named",
    ),
    "storage in the result": (lambda: torch.legacy_file(torch.storage(ONE["x"], "0"), ONE), "unf"),
    "loader of nested files": (
        lambda: torch.zip_file(torch.name("torch.storage", "_load_from_bytes"), {}),
        "names 'torch.storage._load_from_bytes'",
    ),
    "nested code": (
        lambda: torch.finished(
            torch.name("torch.storage", "_load_from_bytes")
            + torch.bytes_value(torch.legacy_file(torch.name("os", "system"), {}))
            + b"\x85R"
        ),
        "names 'os.system'",
    ),
    "persistent id in a plain pickle": (lambda: torch.finished(b"NQ"), "BINPERSID"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_not_what_they_say_are_refused(case: str, tmp_path: Path) -> None:
    make, told = FILES[case]
    with pytest.raises(UnsafeFileError, match=told):
        read(make(), tmp_path)


def test_nested_storages_cannot_be_parsed_over_and_over(tmp_path: Path) -> None:
    inner = torch.legacy_file(torch.storage(ONE["x"], "0"), ONE)
    body = b"](" + torch.bytes_value(inner) + b"q\x00"
    again = torch.name("torch.storage", "_load_from_bytes") + b"h\x00\x85R"
    with pytest.raises(UnsafeFileError, match="again and again"):
        read(torch.finished(body + again * 100 + b"e"), tmp_path)


def test_large_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match="at most 10"):
        read(one_file("torch zip"), tmp_path, limits=Limits(file_bytes=10))


@pytest.mark.parametrize("kind", WRITERS)
def test_every_truncation_of_a_torch_file_is_refused(kind: str, tmp_path: Path) -> None:
    whole = one_file(kind)
    for length in range(len(whole)):
        with pytest.raises(UnsafeFileError):
            read(whole[:length], tmp_path)


def test_mutated_files_are_read_or_refused_with_the_one_error() -> None:
    found = fuzz.run(20_000)
    assert found["read"] > 100
    assert found["refused"] > 10_000
