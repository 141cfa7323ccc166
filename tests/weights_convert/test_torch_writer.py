"""Torch's zip files as they are written: their layout, what they name, what is refused."""

from __future__ import annotations

import io
import pickletools
import zipfile
from typing import Any

import numpy as np
import pytest

from weights_convert.sources import containers
from weights_convert.writers import torch_files

TREE = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "c": np.full(1, 7, np.float32)}}


def file_of(tree: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    torch_files.write(tree, stream)
    return stream.getvalue()


def test_files_are_laid_out_as_torch_lays_them_out() -> None:
    data = file_of(TREE | {"none": np.zeros((0, 3), np.float32), "one": np.ones((), np.float32)})
    tree = containers.parse(data).tree
    np.testing.assert_array_equal(tree["a"]["b"], TREE["a"]["b"])
    assert (tree["none"].shape, tree["one"].shape) == ((0, 3), ())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        members = archive.infolist()
        assert archive.read("archive/version") == b"3\n"
        assert archive.read("archive/byteorder") == b"little"
        assert archive.read("archive/data/0") == TREE["a"]["b"].astype("<f4").tobytes()
    for member in members:
        at = member.header_offset
        lengths = [int.from_bytes(data[at + n : at + n + 2], "little") for n in (26, 28)]
        assert (at + 30 + sum(lengths)) % 64 == 0
        assert member.compress_type == zipfile.ZIP_STORED


def test_files_name_nothing_but_dicts_and_tensors() -> None:
    with zipfile.ZipFile(io.BytesIO(file_of(TREE))) as archive:
        found = list(pickletools.genops(archive.read("archive/data.pkl")))
    assert {argument for opcode, argument, _ in found if opcode.name == "GLOBAL"} == {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
    }
    assert not {opcode.name for opcode, _, _ in found} & {"BUILD", "NEWOBJ", "INST", "OBJ"}


def test_equal_trees_give_equal_files() -> None:
    assert file_of(TREE) == file_of({"a": dict(TREE["a"])})


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"a": np.ones(2)}, "a leaf is a ndarray; allowed: float32"),
        ({"a": 1.5}, "a leaf is a float"),
        ({1: np.ones(2, np.float32)}, "key 1; allowed: strings"),
    ],
)
def test_other_leaves_and_keys_are_refused(tree: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        file_of(tree)
