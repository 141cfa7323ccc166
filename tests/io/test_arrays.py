"""Files of NumPy arrays: read as numpy reads them, and what lies about its size is refused."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.io import arrays
from jaxinv.io.arrays import parse_npy, read_numpy
from jaxinv.io.files import BadFile


def npy(value: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, value, allow_pickle=True)
    return out.getvalue()


def claim(shape: str, kind: str = "<f4", more: bytes = b"") -> bytes:
    """A .npy file whose header states what it does not hold."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + more


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An .npz of the given members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


LIES = {
    "claims": claim("(1099511627776,)"),
    "overflow": claim("(4294967296, 4294967296, 4)"),
    "digits": claim(f"({'9' * 5000},)"),
    "negative": claim("(-1,)"),
    "short": npy(np.zeros(9, np.float32))[:-4],
    "wide": claim("(1,)", kind="<U1000000000"),
    "nothing": claim("(1099511627776,)", kind="|S0"),
    "object": npy(np.array([{}], object)),
    "fields": npy(np.zeros(3, [("a", "f4")])),
    "dates": npy(np.zeros(3, "M8[s]")),
    "magic": b"\x93NUMPY",
    "code": claim("__import__('os').abort()"),
    "nested": claim("(" * 1000),
    "version": b"\x93NUMPY\x09\x09" + bytes(90),
    "npz": packed(("w.npy", npy(np.zeros(3)))),
    "picture": b"\x89PNG" + bytes(90),
    "empty": b"",
}


@pytest.mark.parametrize("name", LIES)
def test_what_lies_is_refused_before_memory_is_taken(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadFile) as info:
            parse_npy(LIES[name])
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert len(str(info.value)) < 200


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "|u1", "<i8", "|b1", "<c8", "<U3"])
def test_arrays_are_read_as_numpy_reads_them(dtype: str, tmp_path: Path) -> None:
    value = np.arange(12).reshape(3, 4).astype(dtype)
    for one in (value, np.asfortranarray(value), value[:0], np.array(value[0, 1])):
        np.testing.assert_array_equal(parse_npy(npy(one)), one)
    np.savez_compressed(tmp_path / "a.npz", a=value, b=value[0])
    found = read_numpy(tmp_path / "a.npz")
    assert isinstance(found, dict)
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], value)


BOMBS = {
    "one": packed(("w.npy", claim("(100000000,)", more=bytes(2**22)))),
    "many": packed(*((f"{i}.npy", npy(np.zeros(2**14, np.float32))) for i in range(9))),
    "unstated": packed(("w.npy", claim("(4,)", more=bytes(2**22)))).replace(
        (2**22 + 128).to_bytes(4, "little"), (144).to_bytes(4, "little")
    ),
    "bzip2": packed(("w.npy", npy(np.zeros(2**20))), method=zipfile.ZIP_BZIP2),
    "lzma": packed(("w.npy", npy(np.zeros(2**20))), method=zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_npz_is_unpacked_within_a_limit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "MOST_BYTES", 2**18)
    (tmp_path / "w.npz").write_bytes(BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(BadFile):
            read_numpy(tmp_path / "w.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"PK\3\4", b"", bytes(99), packed(("w.npy", b"no array"))])
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(data)
    with pytest.raises(BadFile):
        read_numpy(tmp_path / "w.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.npy")
    with pytest.raises(BadFile, match="not a regular file"):
        read_numpy(tmp_path / "w.npy")


@pytest.mark.parametrize(
    "kind", [b"<f34", b"<i3", b"<f0", b"<q8", b"|O", b"|V8", b"(3,)f4", b"f4,i4"]
)
def test_types_that_there_are_not(kind: bytes) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros(4, np.float32))
    with pytest.raises(BadFile):
        parse_npy(stream.getvalue().replace(b"<f4", kind))
