from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import CheckpointError
from jaxinv.io.files import atomic_write, sha256_file

TREE = {
    "mapping": {"fc0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}},
    "flags": np.array([True, False]),
    "half": np.ones((1, 2), np.float16),
    "step": np.int64(7),
    "none": np.zeros((0, 4), np.float32),
}
NOTES = {"format": "jaxinv", "schema": "1", "kind": "test", "text": 'quote " and umlaut ä'}


def raw(header: object, data: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def tensor(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_round_trip_keeps_names_shapes_types_values_and_metadata(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path / "new" / "a.safetensors", TREE, NOTES)
    params, notes = checkpoints.load(path)
    assert notes == checkpoints.read_metadata(path) == NOTES
    kernel = params["mapping"]["fc0"]["kernel"]
    np.testing.assert_array_equal(kernel, TREE["mapping"]["fc0"]["kernel"])
    assert params["flags"].dtype == np.bool_
    assert params["half"].dtype == np.float16
    assert params["step"].shape == ()
    assert params["step"] == 7
    assert params["none"].shape == (0, 4)
    assert checkpoints.content_sha256(params) == checkpoints.content_sha256(TREE)


def test_strided_and_foreign_byte_order_arrays_keep_their_values(tmp_path: Path) -> None:
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    tree = {"t": grid.T, "step": grid[:, ::2], "big": grid.astype(">f4")}
    params, _ = checkpoints.load(checkpoints.save(tmp_path / "a.safetensors", tree))
    for name, array in tree.items():
        np.testing.assert_array_equal(params[name], array)


def test_numbers_of_every_type_come_back_and_lie_aligned(tmp_path: Path) -> None:
    tree = {kind: np.arange(3).astype(kind) for kind in "?bBhHiIqQefd"}
    path = checkpoints.save(tmp_path / "a.safetensors", tree)
    params, _ = checkpoints.load(path)
    assert {name: array.dtype for name, array in params.items()} == {
        name: array.dtype for name, array in tree.items()
    }
    assert all((params[name] == array).all() for name, array in tree.items())
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    starts = {name: header[name]["data_offsets"][0] for name in tree}
    assert [name for name, start in starts.items() if start % tree[name].itemsize] == []


def test_writing_holds_no_second_copy_of_the_arrays(tmp_path: Path) -> None:
    tree = {name: np.ones(2**20, np.float32) for name in "abcd"}
    tracemalloc.start()
    try:
        checkpoints.save(tmp_path / "a.safetensors", tree)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_equal_contents_give_equal_files_whatever_the_order(tmp_path: Path) -> None:
    first = checkpoints.save(tmp_path / "a", TREE, NOTES)
    swapped = {key: TREE[key] for key in reversed(TREE)}
    second = checkpoints.save(tmp_path / "b", swapped, dict(reversed(NOTES.items())))
    assert sha256_file(first) == sha256_file(second)
    assert (int.from_bytes(first.read_bytes()[:8], "little")) % 8 == 0


def test_content_digest_sees_names_types_shapes_and_values() -> None:
    variants = [
        {"a": np.zeros(4, np.float32)},
        {"b": np.zeros(4, np.float32)},
        {"a": np.zeros((2, 2), np.float32)},
        {"a": np.zeros(4, np.int32)},
        {"a": np.array([0, 0, 0, 1], np.float32)},
    ]
    assert len({checkpoints.content_sha256(tree) for tree in variants}) == len(variants)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"a/b": np.ones(1)}, "a/b"),
        ({"": np.ones(1)}, "''"),
        ({1: np.ones(1)}, "1"),
        ({}, "the top"),
        ({"a": {}}, "a"),
        ({"a": np.array(["text"])}, "<U4"),
        ({"a": np.array([object()])}, "object"),
        ({"a": np.ones(1, np.complex64)}, "complex64"),
    ],
)
def test_save_refuses_what_it_could_not_read_back(tmp_path: Path, tree: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        checkpoints.save(tmp_path / "a", tree)
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_metadata_that_are_not_strings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="schema"):
        checkpoints.save(tmp_path / "a", TREE, {"schema": 1})  # pyright: ignore[reportArgumentType]


def test_every_truncation_is_a_checkpoint_error(tmp_path: Path) -> None:
    whole = checkpoints.save(tmp_path / "a", TREE, NOTES).read_bytes()
    torn = tmp_path / "torn"
    for length in range(len(whole)):
        torn.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="torn"):
            checkpoints.load(torn)
        with pytest.raises(CheckpointError):
            checkpoints.read_metadata(torn)


def test_a_longer_file_is_refused(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path / "a", TREE)
    path.write_bytes(path.read_bytes() + b"\0" * 8)
    with pytest.raises(CheckpointError):
        checkpoints.load(path)


HOSTILE = {
    "size beyond the file": raw(b"{}", size=4096),
    "largest size": raw(b"{}", size=2**64 - 1),
    "header too large": raw(b" " * (checkpoints.MAX_HEADER_BYTES + 1)),
    "no JSON": raw(b"not json"),
    "not UTF-8": raw(b'{"\xff\xfe": 1}'),
    "deep JSON": raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a list": raw([1, 2]),
    "offset outside": raw({"a": tensor(0, 64, [16])}, b"\0" * 8),
    "offsets swapped": raw({"a": tensor(8, 0, [2])}, b"\0" * 8),
    "offset not a number": raw({"a": tensor(0, 8, [2]) | {"data_offsets": ["x", 8]}}, b"\0" * 8),
    "negative shape": raw({"a": tensor(0, 8, [-2])}, b"\0" * 8),
    "shape overflow": raw({"a": tensor(0, 8, [2**62, 2**62])}, b"\0" * 8),
    "shape against bytes": raw({"a": tensor(0, 8, [3])}, b"\0" * 8),
    "unknown type": raw({"a": tensor(0, 8, [2], "O64")}, b"\0" * 8),
    "overlap": raw({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, b"\0" * 12),
    "hole": raw({"a": tensor(8, 16, [2])}, b"\0" * 16),
    "leaf and branch": raw({"a": tensor(0, 4, [1]), "a/b": tensor(4, 8, [1])}, b"\0" * 8),
    "empty name part": raw({"a//b": tensor(0, 4, [1])}, b"\0" * 4),
    "empty name": raw({"": tensor(0, 4, [1])}, b"\0" * 4),
    "name too deep": raw({"/".join("a" * 200): tensor(0, 4, [1])}, b"\0" * 4),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_end_in_a_checkpoint_error(tmp_path: Path, case: str) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(HOSTILE[case])
    with pytest.raises(CheckpointError, match="hostile"):
        checkpoints.load(path)


def test_a_header_is_not_parsed_before_its_size_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "hostile"
    for case in ("size beyond the file", "largest size", "header too large"):
        path.write_bytes(HOSTILE[case])
        with pytest.raises(CheckpointError, match=r"header of .* bytes; allowed: at most 16777216"):
            checkpoints.read_metadata(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoints.load(tmp_path / "none")


@pytest.mark.parametrize("failure", [OSError(28, "disk full"), KeyboardInterrupt()])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, failure: BaseException
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def writer(handle: object) -> None:
        handle.write(b"half")  # pyright: ignore[reportAttributeAccessIssue]
        raise failure

    with pytest.raises(type(failure)):
        atomic_write(path, writer)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    seen: list[bytes] = []

    def writer(handle: object) -> None:
        handle.write(b"new")  # pyright: ignore[reportAttributeAccessIssue]
        seen.append(path.read_bytes())

    assert atomic_write(path, writer) == path
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="permission bits are POSIX")
def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    path = atomic_write(tmp_path / "a", lambda handle: handle.write(b"x"))
    assert path.stat().st_mode == plain.stat().st_mode


def test_cache_dir_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert checkpoints.cache_dir() == tmp_path / "own"
    monkeypatch.setenv("JAXINV_CACHE", "")
    assert checkpoints.cache_dir() == tmp_path / "xdg" / "jaxinv"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert checkpoints.cache_dir() == tmp_path / "home" / ".cache" / "jaxinv"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert checkpoints.cache_dir() == tmp_path / "local" / "jaxinv"
    assert not any(tmp_path.iterdir())
